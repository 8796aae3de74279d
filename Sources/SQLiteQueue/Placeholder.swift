// SQLiteQueue
