-- Version 8: what somebody should be told, and what was told. Nothing of a visitor.

CREATE TABLE alert (
    kind TEXT NOT NULL,
    subject TEXT NOT NULL, -- a pixel or a site
    raised INTEGER NOT NULL, -- 1, or 0 once it is resolved
    since_ms INTEGER NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE notice (
    id TEXT PRIMARY KEY,
    target TEXT NOT NULL, -- a hash of the address: it may hold a key
    created_ms INTEGER NOT NULL,
    body BLOB NOT NULL,
    due_ms INTEGER, -- NULL: told, or given up
    attempts INTEGER NOT NULL,
    told_ms INTEGER,
    problem TEXT
) STRICT, WITHOUT ROWID;

CREATE INDEX notice_due_ms ON notice (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX notice_created_ms ON notice (created_ms);
