"""The errors Counterfoil raises.

    RelayError
    ├── SettingsError     the configuration cannot be used; names the path of the bad key
    ├── WireError         a request body is refused as a whole; carries a `BodyReason`
    └── StoreError        the store cannot serve
        ├── StoreLocked   another process holds the database file
        ├── StoreUnavailable  the database cannot be reached, or does not answer in time
        ├── LeaseLost     the courier's lease has ended; the events are somebody else's now
        └── StoreFull     no room left; the sender should come back later

The message is for the person who has to act: what is wrong, and the next step.
"""


class RelayError(Exception):
    """Base of every error that Counterfoil raises on purpose."""


class SettingsError(RelayError):
    """The configuration cannot be used."""


class StoreError(RelayError):
    """The store cannot serve this request."""


class StoreLocked(StoreError):
    """Another process already works on this database file."""


class StoreUnavailable(StoreError):
    """The database cannot be reached, or does not answer in time; it may be well again soon."""


class LeaseLost(StoreError):
    """The lease ended before the call began; nothing may be sent for it. Claim again."""


class StoreFull(StoreError):
    """The disk is full; nothing was accepted, and the sender should come back later."""
