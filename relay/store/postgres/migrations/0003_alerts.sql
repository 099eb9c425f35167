-- Version 3: what somebody should be told, and what was told. Nothing of a visitor.

CREATE TABLE alert (
    kind text NOT NULL,
    subject text NOT NULL, -- a pixel or a site
    raised boolean NOT NULL,
    since_ms bigint NOT NULL,
    detail text NOT NULL,
    PRIMARY KEY (kind, subject)
);

CREATE TABLE notice (
    id text PRIMARY KEY,
    target text NOT NULL, -- a hash of the address: it may hold a key
    created_ms bigint NOT NULL,
    body bytea NOT NULL,
    due_ms bigint, -- NULL: told, or given up
    attempts bigint NOT NULL,
    told_ms bigint,
    problem text
);

CREATE INDEX notice_due_ms ON notice (due_ms) WHERE due_ms IS NOT NULL;
CREATE INDEX notice_created_ms ON notice (created_ms);
