-- Version 7: what Meta said of a pixel's events, the last answer of each day. Names and shares; nothing of a visitor.

CREATE TABLE quality (
    day_ms INTEGER NOT NULL,
    pixel TEXT NOT NULL,
    scope TEXT NOT NULL, -- all senders, or ours
    at_ms INTEGER NOT NULL,
    record BLOB NOT NULL, -- JSON
    PRIMARY KEY (day_ms, pixel, scope)
) STRICT, WITHOUT ROWID;
