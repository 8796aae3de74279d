// SQLiteQueueTests
