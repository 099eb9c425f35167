-- Version 1: the outbox and the ledger, as in SQLite, with what many machines on one database need beside it.
--
-- Times are Unix milliseconds by the database's clock. An event's id begins with the day on which it was received
-- (`days.py`), so that every table that belongs to events is cut into days by that id, and retention drops a day
-- whole. No foreign keys: each would be looked up at every insert, and would forbid dropping a day; what belongs to an
-- event is removed by `prune.py` and `person.py` only, which name every table.

CREATE SEQUENCE event_seq MAXVALUE 274877906943 CYCLE; -- 38 bits; the day stands above them

-- The facts of an accepted event; written once, but for `why`.
CREATE TABLE event (
    id bigint PRIMARY KEY,
    key bytea NOT NULL,
    site text NOT NULL,
    pixel text NOT NULL,
    event_name text NOT NULL,
    event_id text NOT NULL,
    event_time_ms bigint NOT NULL,
    received_ms bigint NOT NULL,
    server_event bytea NOT NULL,
    why bytea NOT NULL,
    crc bigint NOT NULL -- over all columns but id: page checksums may be off, and a copy may have been damaged
) PARTITION BY RANGE (id);

CREATE INDEX event_event_id ON event (event_id, id); -- the receipt page
CREATE INDEX event_site ON event (site, id); -- the list of one site
CREATE INDEX event_event_name ON event (event_name, id); -- the list of one event name, and the list of names

-- The visitor's address and user agent, apart, because they are forgotten long before the event.
CREATE TABLE visitor (
    event bigint PRIMARY KEY,
    client_ip_address text,
    client_user_agent text,
    crc bigint NOT NULL,
    addresses bytea NOT NULL, -- JSON: every word on the address
    addresses_crc bigint NOT NULL
) PARTITION BY RANGE (event);

-- The browser's reports of its own half; a row is added only by a report that knew better than the ones before.
CREATE TABLE leg (
    event bigint NOT NULL,
    seq integer NOT NULL,
    state text NOT NULL,
    evidence text NOT NULL,
    transport text NOT NULL,
    dispatched_ms bigint,
    settled_ms bigint,
    reported_ms bigint NOT NULL,
    seen bytea, -- JSON
    not_before_ms bigint, -- the hold this report decided; NULL: it came too late to decide one
    crc bigint NOT NULL,
    PRIMARY KEY (event, seq)
) PARTITION BY RANGE (event);

-- The end of an event. The primary key is the promise: exactly one.
CREATE TABLE fate (
    event bigint PRIMARY KEY,
    fate text NOT NULL,
    reason text NOT NULL,
    detail text,
    at_ms bigint NOT NULL
) PARTITION BY RANGE (event);

CREATE INDEX fate_fate ON fate (fate, event); -- the list of one fate, and replay
CREATE INDEX fate_at_ms ON fate (at_ms); -- pruning

-- Which calls an event was in.
CREATE TABLE attempt_event (
    event bigint NOT NULL,
    attempt bigint NOT NULL,
    PRIMARY KEY (event, attempt)
) PARTITION BY RANGE (event);

-- What is still to be sent: narrow and hot. The row goes when the event has its fate. Room in each page, and a vacuum
-- that comes early, because every row is written three times in a short life.
CREATE TABLE queue (
    event bigint PRIMARY KEY,
    key bytea NOT NULL,
    pixel text NOT NULL,
    site text NOT NULL,
    event_name text NOT NULL,
    due_ms bigint NOT NULL, -- end of the hold or of the retry delay
    lease uuid, -- token of the courier that has it in hand
    lease_until_ms bigint,
    attempts integer NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- Every row is in exactly one of the first two: free ones by pixel and age, leased ones by the lease.
CREATE INDEX queue_free ON queue (pixel, due_ms, event) WHERE lease IS NULL;
CREATE INDEX queue_leased ON queue (lease) WHERE lease IS NOT NULL;
CREATE INDEX queue_lease_until ON queue (lease_until_ms) WHERE lease_until_ms IS NOT NULL;

-- One row per (pixel, event_name, event_id) ever accepted. It outlives its event for Meta's seven days.
CREATE TABLE dedup (
    key bytea PRIMARY KEY,
    event bigint, -- NULL once erased; after pruning it leads nowhere
    seen_ms bigint NOT NULL,
    duplicates integer NOT NULL DEFAULT 0,
    visitors bytea -- up to four hashes of 8 bytes: who posted this event
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);

CREATE INDEX dedup_seen_ms ON dedup (seen_ms); -- pruning

-- Purchases by order: a thank-you page that is opened again next week is the same order. Only a hash of the order_id.
CREATE TABLE purchase (
    key bytea PRIMARY KEY,
    event bigint NOT NULL, -- the first event of the order; it may be pruned long before this row
    seen_ms bigint NOT NULL
);

CREATE INDEX purchase_seen_ms ON purchase (seen_ms); -- pruning

-- Calls to Graph: written before the call, closed once by its end.
CREATE TABLE attempt (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pixel text NOT NULL,
    lease uuid NOT NULL,
    events integer NOT NULL,
    started_ms bigint NOT NULL,
    finished_ms bigint,
    outcome text,
    http_status integer,
    code bigint,
    subcode bigint,
    message text,
    fbtrace_id text
);

CREATE INDEX attempt_open ON attempt (lease) WHERE finished_ms IS NULL; -- holds only the calls under way
CREATE INDEX attempt_started_ms ON attempt (started_ms); -- pruning

-- The fates that a replay took back.
CREATE TABLE replay (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    event bigint NOT NULL,
    fate text NOT NULL,
    reason text NOT NULL,
    detail text,
    at_ms bigint NOT NULL,
    replayed_ms bigint NOT NULL
);

CREATE INDEX replay_event ON replay (event);

-- Parked pixels.
CREATE TABLE pixel_state (
    pixel text PRIMARY KEY,
    parked_ms bigint NOT NULL,
    code bigint,
    message text NOT NULL
);

-- What looks wrong with a site's events: counted, with the latest event as a sample. A few rows per site.
CREATE TABLE issue (
    site text NOT NULL,
    kind text NOT NULL,
    event_name text NOT NULL,
    place text NOT NULL, -- a field's path, or empty
    event_id text NOT NULL, -- of the latest event that showed it
    first_ms bigint NOT NULL,
    last_ms bigint NOT NULL,
    n bigint NOT NULL,
    sample text NOT NULL, -- masked: the shape of a value, never a part of it
    resolved_ms bigint, -- NULL: never; seen again later, it is open again
    PRIMARY KEY (site, kind, event_name, place)
);

-- Roll-ups. Each machine adds in a shard of its own: a row that every commit writes would make them wait for each other.

CREATE TABLE counter ( -- for plots; `what` is a topic of relay/event/tally.py, `name` says which of them
    step_ms bigint NOT NULL, -- a minute, a quarter of an hour, two hours
    what text NOT NULL,
    site text NOT NULL,
    at_ms bigint NOT NULL, -- the beginning of the step
    event_name text NOT NULL,
    name text NOT NULL,
    shard smallint NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (step_ms, what, site, at_ms, event_name, name, shard)
) WITH (fillfactor = 80);

CREATE TABLE total ( -- the same since the beginning
    what text NOT NULL,
    shard smallint NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (what, shard)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01);

CREATE TABLE address_family ( -- the way of each event's address, as families only and by the hour
    hour_ms bigint NOT NULL,
    site text NOT NULL,
    page text NOT NULL,
    token text NOT NULL,
    sent text NOT NULL,
    shard smallint NOT NULL,
    n bigint NOT NULL,
    PRIMARY KEY (hour_ms, site, page, token, sent, shard)
);

-- Who else sends Meta events, as pages have seen it, by the day. Names and counts; nothing of a visitor.
CREATE TABLE sender (
    day_ms bigint NOT NULL, -- on which the pages told it
    site text NOT NULL,
    sender text NOT NULL,
    pixel text NOT NULL, -- or empty
    event_name text NOT NULL, -- or empty
    ids text NOT NULL, -- whose: ours, own, none; or empty
    first_ms bigint NOT NULL,
    last_ms bigint NOT NULL,
    pages bigint NOT NULL, -- reports that told it
    n bigint NOT NULL,
    PRIMARY KEY (day_ms, site, sender, pixel, event_name, ids)
);

-- Starts of a relay, and changes of a token or of the snippet; of a token only a short keyed hash.
CREATE TABLE mark (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at_ms bigint NOT NULL,
    kind text NOT NULL,
    subject text NOT NULL, -- a pixel, or empty
    detail text NOT NULL
);

CREATE INDEX mark_at_ms ON mark (at_ms);
CREATE INDEX mark_kind ON mark (kind, subject, id); -- whether it is the same as the last one

-- One row per transaction, in the transaction: whether a commit whose answer was lost took place. Kept for an hour.
CREATE TABLE done (
    id uuid PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT now()
);
