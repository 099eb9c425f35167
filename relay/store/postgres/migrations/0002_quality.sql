-- Version 2: what Meta said of a pixel's events, the last answer of each day. Names and shares; nothing of a visitor.

CREATE TABLE quality (
    day_ms bigint NOT NULL,
    pixel text NOT NULL,
    scope text NOT NULL, -- all senders, or ours
    at_ms bigint NOT NULL,
    record bytea NOT NULL, -- JSON
    PRIMARY KEY (day_ms, pixel, scope)
);
