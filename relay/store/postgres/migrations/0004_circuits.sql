-- Version 4: what couriers on several machines must know of each other.

-- Pixels of which the last call failed: until when nobody calls for them, and then one with one event.
CREATE TABLE pixel_circuit (
    pixel text PRIMARY KEY,
    failures integer NOT NULL, -- calls that failed on end
    until_ms bigint NOT NULL
);

-- Steps of the database's clock that a courier has noticed: the others notice the same one, and it counts once.
CREATE TABLE clock_step (
    courier uuid NOT NULL,
    at_ms bigint NOT NULL, -- by the clock as it is since
    step_ms bigint NOT NULL
);
