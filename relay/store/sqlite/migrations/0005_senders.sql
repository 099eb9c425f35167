-- Version 5: who else sends Meta events, as pages have seen it, by the day. Names and counts; nothing of a visitor.

CREATE TABLE sender (
    day_ms INTEGER NOT NULL, -- on which the pages told it
    site TEXT NOT NULL,
    sender TEXT NOT NULL,
    pixel TEXT NOT NULL, -- or empty
    event_name TEXT NOT NULL, -- or empty
    ids TEXT NOT NULL, -- whose: ours, own, none; or empty
    first_ms INTEGER NOT NULL,
    last_ms INTEGER NOT NULL,
    pages INTEGER NOT NULL, -- reports that told it
    n INTEGER NOT NULL,
    PRIMARY KEY (day_ms, site, sender, pixel, event_name, ids)
) STRICT, WITHOUT ROWID;
