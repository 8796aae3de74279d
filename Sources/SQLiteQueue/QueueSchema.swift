// The tables of the queue, and how a database of an older Relay is brought to them.

import GRDB

/// What makes a database a queue of Relay.
enum QueueSchema {
    /// `application_id` in the header of the file, "Rlay" (https://www.sqlite.org/pragma.html#pragma_application_id).
    static let applicationID: Int32 = 0x526C_6179

    /// Append-only: a migration that was released is never edited. Each runs in one transaction, so after a crash a
    /// database has all of a migration or nothing of it.
    static var migrator: DatabaseMigrator {
        var migrator = DatabaseMigrator().disablingDeferredForeignKeyChecks()
        migrator.registerMigration("1: envelopes, deliveries, deduplication keys") { db in
            try db.execute(sql: first)
        }
        migrator.registerMigration("2: deliveries that were sent before they were stored, late answers") { db in
            try db.execute(sql: second)
        }
        migrator.registerMigration("3: pauses") { db in
            try db.execute(sql: third)
        }
        migrator.registerMigration("4: order keys") { db in
            try db.execute(sql: fourth)
        }
        migrator.registerMigration("5: history of deliveries, replays") { db in
            try db.execute(sql: fifth)
        }
        migrator.registerMigration("6: probes in the history of deliveries") { db in
            try db.execute(sql: sixth)
        }
        return migrator
    }

    /// Times are nanoseconds since the epoch, states the raw values of `DeliveryState`.
    ///
    /// An envelope's id is the sequence of its first delivery, and its deliveries are numbered on from there: no index
    /// is needed to go from one to the other. Strict tables hold the types that the reader expects. Payloads stand last
    /// in rows of their own, which are not rewritten when a delivery changes.
    private static let first = """
        CREATE TABLE meta (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            queue_id INTEGER NOT NULL,        -- DeliveryID.queue
            next_sequence INTEGER NOT NULL,   -- of the next delivery; never goes back
            bytes INTEGER NOT NULL,           -- sum of envelope.size
            probes INTEGER NOT NULL           -- counts up with each probe: something to write
        ) STRICT;
        CREATE TABLE envelope (
            id INTEGER PRIMARY KEY,           -- sequence of the first delivery
            deliveries INTEGER NOT NULL,      -- stored with it: id ..< id + deliveries
            size INTEGER NOT NULL,            -- counted against max_bytes
            app TEXT NOT NULL,
            kind TEXT NOT NULL,
            slack_id TEXT NOT NULL,           -- envelope_id
            received_at INTEGER NOT NULL,
            retry_attempt INTEGER,            -- null in Slack's first copy
            retry_reason TEXT,
            payload BLOB                      -- null once removed
        ) STRICT;
        CREATE TABLE delivery (
            id INTEGER PRIMARY KEY,           -- DeliveryID.sequence
            envelope INTEGER NOT NULL,
            backend TEXT NOT NULL,
            route TEXT NOT NULL,
            path TEXT,
            state TEXT NOT NULL,              -- never in_flight: leases are not stored
            due_at INTEGER NOT NULL,
            settled_at INTEGER,               -- null until final
            attempts INTEGER NOT NULL,
            attempt_started_at INTEGER,       -- of the last attempt, as all that follows
            attempt_finished_at INTEGER,
            outcome TEXT,
            reason TEXT,
            dead_reason TEXT
        ) STRICT;
        -- settled_at, which is always null here, makes the index cover the queries that name it.
        CREATE INDEX delivery_waiting ON delivery (backend, due_at, id, state, settled_at) WHERE settled_at IS NULL;
        CREATE INDEX delivery_settled ON delivery (state, settled_at) WHERE settled_at IS NOT NULL;
        CREATE TABLE deduplication (
            id INTEGER PRIMARY KEY,           -- counts up: the order in which keys are forgotten
            seen_at INTEGER NOT NULL,         -- received_at of the first copy
            app TEXT NOT NULL,
            key TEXT NOT NULL
        ) STRICT;
        CREATE UNIQUE INDEX deduplication_key ON deduplication (key, app);
        """

    /// Late answers have no part in `meta.bytes`: few wait, and not for long. Most are small, hence no row ids: one
    /// tree to write instead of two (https://www.sqlite.org/withoutrowid.html).
    private static let second = """
        -- The DeliveryID that it was sent with, as text; null where that is meta.queue_id and id.
        ALTER TABLE delivery ADD COLUMN sent_id TEXT;
        CREATE TABLE late_answer (
            app TEXT NOT NULL,
            envelope_id TEXT NOT NULL,
            response_url TEXT NOT NULL,       -- a secret: whoever has it can post
            expires_at INTEGER NOT NULL,
            reply BLOB,                       -- null until the backend has replied
            failure BLOB NOT NULL,            -- posted in place of a reply
            PRIMARY KEY (app, envelope_id)
        ) STRICT, WITHOUT ROWID;
        """

    private static let third = """
        CREATE TABLE pause (
            backend TEXT PRIMARY KEY,
            since INTEGER NOT NULL,
            cause TEXT NOT NULL               -- Pause.Cause
        ) STRICT, WITHOUT ROWID;
        """

    /// Of the unsettled deliveries of a backend that share an order key, all but one are *blocked*: their `due_at` is
    /// `Timestamp.never`, which no query for waiting deliveries reaches. Whatever settles or removes that one for good
    /// gives the next one a time in the same transaction.
    private static let fourth = """
        ALTER TABLE delivery ADD COLUMN order_key TEXT;   -- null: unordered
        CREATE INDEX delivery_ordered ON delivery (backend, order_key, id, settled_at)
            WHERE order_key IS NOT NULL AND settled_at IS NULL;
        """

    /// A delivery that succeeds at once has no row in `attempt` and `response`: its one attempt stands in its own.
    private static let fifth = """
        ALTER TABLE meta ADD COLUMN history_bytes INTEGER NOT NULL DEFAULT 0;  -- sum of attempt.size and response.size
        ALTER TABLE delivery ADD COLUMN first_attempt_at INTEGER;     -- since it was received or last replayed
        ALTER TABLE delivery ADD COLUMN replays INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE delivery ADD COLUMN has_history INTEGER NOT NULL DEFAULT 0;  -- 0: no row in attempt and response
        CREATE INDEX delivery_removable ON delivery (id, state, settled_at)
            WHERE settled_at IS NOT NULL AND state <> 'delivered';
        -- Not accepted, or made before the last replay: the first one and the last nine of a delivery.
        CREATE TABLE attempt (
            delivery INTEGER NOT NULL,
            replay INTEGER NOT NULL,          -- which replay made it; 0: none
            number INTEGER NOT NULL,          -- from 1, anew with each replay
            started_at INTEGER NOT NULL,
            finished_at INTEGER NOT NULL,
            outcome TEXT NOT NULL,
            reason TEXT,
            detail TEXT NOT NULL,
            size INTEGER NOT NULL,            -- counted in meta.history_bytes
            PRIMARY KEY (delivery, replay, number)
        ) STRICT, WITHOUT ROWID;
        -- Of the last attempt that had one and was not accepted.
        CREATE TABLE response (
            delivery INTEGER PRIMARY KEY,
            status INTEGER NOT NULL,
            is_truncated INTEGER NOT NULL,
            size INTEGER NOT NULL,            -- counted in meta.history_bytes
            headers TEXT NOT NULL,            -- JSON: an array of arrays of name and value
            body BLOB NOT NULL
        ) STRICT;
        CREATE TABLE replay (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            filter TEXT NOT NULL,             -- JSON: see StoredFilter
            per_second REAL,                  -- null: as fast as the backend takes them
            state TEXT NOT NULL,              -- Replay.State
            created_at INTEGER NOT NULL,
            ended_at INTEGER,                 -- null while it runs
            matched INTEGER NOT NULL,
            replayed INTEGER NOT NULL,
            without_payload INTEGER NOT NULL,
            cursor INTEGER NOT NULL,          -- all up to this sequence were looked at
            end_sequence INTEGER NOT NULL     -- deliveries from it on were stored after the job
        ) STRICT;
        """

    /// Several probes can fail in the place of one attempt, so their start is part of the key.
    private static let sixth = """
        CREATE TABLE attempt_with_probes (
            delivery INTEGER NOT NULL,
            replay INTEGER NOT NULL,          -- which replay made it; 0: none
            number INTEGER NOT NULL,          -- from 1, anew with each replay
            is_counted INTEGER NOT NULL,      -- 0: a probe that failed, and burned no number
            started_at INTEGER NOT NULL,
            finished_at INTEGER NOT NULL,
            outcome TEXT NOT NULL,
            reason TEXT,
            detail TEXT NOT NULL,
            size INTEGER NOT NULL,            -- counted in meta.history_bytes
            PRIMARY KEY (delivery, replay, number, is_counted, started_at)
        ) STRICT, WITHOUT ROWID;
        INSERT INTO attempt_with_probes
            SELECT delivery, replay, number, 1, started_at, finished_at, outcome, reason, detail, size FROM attempt;
        DROP TABLE attempt;
        ALTER TABLE attempt_with_probes RENAME TO attempt;
        """
}
