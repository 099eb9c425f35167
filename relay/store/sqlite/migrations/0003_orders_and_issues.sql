-- Version 3: orders that a pixel has had, the visitors of an event as keyed hashes, and what looks wrong.

-- Up to four hashes of 8 bytes, one after the other: who posted this event. Two browsers with one event_id mean that
-- a cache has frozen it. Goes with the key.
ALTER TABLE dedup ADD COLUMN visitors BLOB;

-- Purchases by order: a thank-you page that is opened again next week is the same order. Only a hash of the order_id.
CREATE TABLE purchase (
    key BLOB PRIMARY KEY,
    event INTEGER NOT NULL, -- the first event of the order; it may be pruned long before this row
    seen_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX purchase_seen_ms ON purchase (seen_ms); -- pruning

-- What looks wrong with a site's events: counted, with the latest event as a sample. A few rows per site.
CREATE TABLE issue (
    site TEXT NOT NULL,
    kind TEXT NOT NULL,
    event_name TEXT NOT NULL,
    place TEXT NOT NULL, -- a field's path, or empty
    event_id TEXT NOT NULL, -- of the latest event that showed it
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (site, kind, event_name, place)
) STRICT, WITHOUT ROWID;
