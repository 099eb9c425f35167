-- Version 2: every word on a visitor's address, beside the one that is sent: the connection's, and each token's.
--
-- Forgotten with the rest of the visitor. A checksum of its own, since rows of version 1 have none over it.

ALTER TABLE visitor ADD COLUMN addresses BLOB; -- JSON
ALTER TABLE visitor ADD COLUMN addresses_crc INTEGER;
