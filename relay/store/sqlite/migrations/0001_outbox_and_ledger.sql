-- Version 1: the outbox and the ledger.
--
-- Times are Unix milliseconds by the relay's clock. STRICT keeps a wrong type out of a column. Everything that belongs
-- to one event goes with it (ON DELETE CASCADE), so that retention and erasure are one DELETE and cannot forget a table.

-- The facts of an accepted event; written once, never changed.
-- AUTOINCREMENT: a row id is the cursor of the receipts list and is never given twice, not even after pruning.
CREATE TABLE event (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL,
    site TEXT NOT NULL,
    pixel TEXT NOT NULL,
    event_name TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_time_ms INTEGER NOT NULL,
    received_ms INTEGER NOT NULL,
    server_event BLOB NOT NULL,
    why BLOB NOT NULL,
    crc INTEGER NOT NULL -- over all columns but id: SQLite's own checks do not see a changed payload byte
) STRICT;

CREATE INDEX event_event_id ON event (event_id); -- the receipt page
CREATE INDEX event_site ON event (site); -- the list of one site; the row id follows in every index
CREATE INDEX event_event_name ON event (event_name); -- the list of one event name, and the list of names

-- The visitor's address and user agent, apart, because they are forgotten long before the event.
CREATE TABLE visitor (
    event INTEGER PRIMARY KEY REFERENCES event (id) ON DELETE CASCADE,
    client_ip_address TEXT,
    client_user_agent TEXT,
    crc INTEGER NOT NULL
) STRICT;

-- The browser's reports of its own half; a row is added only by a report that knew better than the ones before.
CREATE TABLE leg (
    event INTEGER NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    seq INTEGER NOT NULL,
    state TEXT NOT NULL,
    evidence TEXT NOT NULL,
    transport TEXT NOT NULL,
    dispatched_ms INTEGER,
    settled_ms INTEGER,
    reported_ms INTEGER NOT NULL,
    seen BLOB, -- JSON
    not_before_ms INTEGER, -- the hold this report decided; NULL: it came too late to decide one
    crc INTEGER NOT NULL,
    PRIMARY KEY (event, seq)
) STRICT, WITHOUT ROWID;

-- What is still to be sent: narrow and hot. The row goes when the event has its fate.
CREATE TABLE queue (
    event INTEGER PRIMARY KEY REFERENCES event (id) ON DELETE CASCADE,
    pixel TEXT NOT NULL,
    due_ms INTEGER NOT NULL, -- end of the hold or of the retry delay
    lease TEXT, -- token of the courier that has it in hand
    lease_until_ms INTEGER,
    attempts INTEGER NOT NULL
) STRICT;

-- Every row is in exactly one of the two: free ones by pixel and age, leased ones by the end of the lease.
CREATE INDEX queue_free ON queue (pixel, due_ms) WHERE lease IS NULL;
CREATE INDEX queue_leased ON queue (lease_until_ms) WHERE lease_until_ms IS NOT NULL;

-- One row per (pixel, event_name, event_id) ever accepted. It outlives its event for Meta's seven days.
CREATE TABLE dedup (
    key BLOB PRIMARY KEY,
    event INTEGER, -- NULL once the receipt has been pruned
    seen_ms INTEGER NOT NULL,
    duplicates INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE INDEX dedup_orphan ON dedup (seen_ms) WHERE event IS NULL; -- only pruning asks; costs admission nothing

-- Calls to Graph: written before the call, closed once by its end.
CREATE TABLE attempt (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    pixel TEXT NOT NULL,
    lease TEXT NOT NULL,
    events INTEGER NOT NULL,
    started_ms INTEGER NOT NULL,
    finished_ms INTEGER,
    outcome TEXT,
    http_status INTEGER,
    code INTEGER,
    subcode INTEGER,
    message TEXT,
    fbtrace_id TEXT
) STRICT;

CREATE INDEX attempt_open ON attempt (lease) WHERE finished_ms IS NULL; -- holds only the calls under way

CREATE TABLE attempt_event (
    attempt INTEGER NOT NULL REFERENCES attempt (id) ON DELETE CASCADE,
    event INTEGER NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    PRIMARY KEY (attempt, event)
) STRICT, WITHOUT ROWID;

CREATE INDEX attempt_event_event ON attempt_event (event);

-- The end of an event. The primary key is the promise: exactly one.
CREATE TABLE fate (
    event INTEGER PRIMARY KEY REFERENCES event (id) ON DELETE CASCADE,
    fate TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT,
    at_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX fate_fate ON fate (fate); -- the list of one fate, and replay
CREATE INDEX fate_at_ms ON fate (at_ms); -- pruning

-- The fates that a replay took back.
CREATE TABLE replay (
    id INTEGER PRIMARY KEY,
    event INTEGER NOT NULL REFERENCES event (id) ON DELETE CASCADE,
    fate TEXT NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT,
    at_ms INTEGER NOT NULL,
    replayed_ms INTEGER NOT NULL
) STRICT;

CREATE INDEX replay_event ON replay (event);

-- Parked pixels.
CREATE TABLE pixel_state (
    pixel TEXT PRIMARY KEY,
    parked_ms INTEGER NOT NULL,
    code INTEGER,
    message TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Roll-ups for plots; `what` is an admission, 'refused:<reason>', 'fate:<fate>', 'replayed' or 'ambiguous'.
CREATE TABLE counter (
    minute_ms INTEGER NOT NULL,
    site TEXT NOT NULL,
    event_name TEXT NOT NULL,
    what TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (minute_ms, site, event_name, what)
) STRICT, WITHOUT ROWID;

-- The same since the file was made, so that the status line costs a handful of rows. Pruning does not lower it.
CREATE TABLE total (
    what TEXT PRIMARY KEY,
    n INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
