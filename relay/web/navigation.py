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
            Entry("/addresses", "Addresses"),
            Entry("/radar", "Radar"),
            Entry("/quality", "Quality"),
            Entry("/shadow", "Shadow"),
        ),
    ),
    Group(
        "Keep going",
        (Entry("/delivery", "Delivery"), Entry("/issues", "Issues"), Entry("/settings", "Settings")),
    ),
)
