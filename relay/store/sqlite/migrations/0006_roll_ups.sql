-- Version 6: counts in three steps, so that a page about thirty days reads as few rows as one about an hour; the
-- moments that explain a bend in a plot; and issues that can be resolved.

ALTER TABLE counter RENAME TO counter_of_version_5;

-- `what` is a topic of relay/event/tally.py, `name` says which of them: an outcome, a reason, a code, a match key.
CREATE TABLE counter (
    step_ms INTEGER NOT NULL, -- a minute, a quarter of an hour, two hours
    what TEXT NOT NULL,
    site TEXT NOT NULL,
    at_ms INTEGER NOT NULL, -- the beginning of the step
    event_name TEXT NOT NULL,
    name TEXT NOT NULL,
    n INTEGER NOT NULL,
    PRIMARY KEY (step_ms, what, site, at_ms, event_name, name)
) STRICT, WITHOUT ROWID;

INSERT INTO counter (step_ms, what, site, at_ms, event_name, name, n)
SELECT
    step.ms,
    CASE instr(what, ':') WHEN 0 THEN what ELSE substr(what, 1, instr(what, ':') - 1) END,
    site, minute_ms - minute_ms % step.ms, event_name,
    CASE instr(what, ':') WHEN 0 THEN '' ELSE substr(what, instr(what, ':') + 1) END,
    sum(n)
FROM counter_of_version_5, (SELECT 60000 AS ms UNION ALL SELECT 900000 UNION ALL SELECT 7200000) AS step
GROUP BY 1, 2, 3, 4, 5, 6;

DROP TABLE counter_of_version_5;

-- Starts of the relay, and changes of a token or of the snippet; of a token only a short keyed hash.
CREATE TABLE mark (
    id INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL, -- a pixel, or empty
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX mark_at_ms ON mark (at_ms);
CREATE INDEX mark_kind ON mark (kind, subject); -- whether it is the same as the last one

ALTER TABLE issue ADD COLUMN sample TEXT NOT NULL DEFAULT ''; -- masked: the shape of a value, never a part of it
ALTER TABLE issue ADD COLUMN resolved_ms INTEGER; -- NULL: never; seen again later, it is open again
