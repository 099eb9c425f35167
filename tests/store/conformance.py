"""What every store must do, whatever it is built on: the promises of `tests/store/promises/`, a file per subject.

A store's own test module subclasses `StoreConformance` and gives the fixture `open_store`: each call opens
the same store again, as a new process would; its clock stands still at `NOW_MS`. A new promise goes into the file of
its subject, and is then asked of every store.
"""

from tests.store.promises.admission import Admitting
from tests.store.promises.base import OpenStore
from tests.store.promises.delivery import Delivery
from tests.store.promises.forgetting import Forgetting
from tests.store.promises.halves import Halves
from tests.store.promises.lifecycle import Lifecycle
from tests.store.promises.orders import Orders
from tests.store.promises.reading import Reading
from tests.store.promises.replay import Replay

__all__ = ["OpenStore", "StoreConformance"]


class StoreConformance(Admitting, Halves, Delivery, Replay, Orders, Reading, Forgetting, Lifecycle):
    """Every promise."""
