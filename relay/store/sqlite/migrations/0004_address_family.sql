-- Version 4: the way of each event's address, as families only and by the hour, so that the console's matrix never
-- reads events, and outlives the addresses. 'none': there was no address to believe.

CREATE TABLE address_family (
    hour_ms INTEGER NOT NULL, -- in which the event was accepted
    site TEXT NOT NULL,
    page TEXT NOT NULL, -- of the connection that carried the post
    token TEXT NOT NULL, -- of the best signed observation that came with it
    sent TEXT NOT NULL, -- of the address that goes to Meta
    n INTEGER NOT NULL,
    PRIMARY KEY (hour_ms, site, page, token, sent)
) STRICT, WITHOUT ROWID;
