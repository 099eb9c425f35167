"""Every page of the console in the order of the menu, on one screen."""

from typing import Final, NamedTuple


class Entry(NamedTuple):
    """A line of the menu: its address, and how it is called there."""

    path: str
    label: str


class Group(NamedTuple):
    label: str
    entries: tuple[Entry, ...]


MENU: Final = (
    Group("Watch", (Entry("/", "Overview"), Entry("/live", "Live"), Entry("/receipts", "Receipts"))),
    Group(
        "Understand",
        (
            Entry("/dedup", "Dedup"),
            Entry("/match-keys", "Match keys"),
            Entry("/addresses", "Addresses"),
            Entry("/radar", "Radar"),
            Entry("/quality", "Quality"),
            Entry("/shadow", "Shadow"),
            Entry("/mapping", "Mapping"),
        ),
    ),
    Group(
        "Keep going",
        (
            Entry("/issues", "Issues"),
            Entry("/alerts", "Alerts"),
            Entry("/delivery", "Delivery"),
            Entry("/setup", "Set-up"),
            Entry("/settings", "Settings"),
        ),
    ),
)
