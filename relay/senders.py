"""Who else may send Meta events of a page, and how each shows; `senders.json` beside this file holds them.

One list for both who look: the doctor searches a page's HTML from outside, and the snippet's radar (built from the
same file) a page's scripts from inside. The marks are what these products print into pages, read in their own public
sources and in pages of public repositories in November 2026. What a tag manager adds later shows inside only; what
Meta's settings alone switch on shows nowhere: no mark is no proof.
"""

import re
from pathlib import Path
from typing import Final

import msgspec


class Sender(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One product. `sends` says that it certainly has a server half of its own; the others may have one.

    The patterns mean the same to Python and to JavaScript, and case does not matter. `agent` and `event_id` are how
    parameters `a` and `eid` of its Pixel requests begin.
    """

    id: str
    name: str
    source: str  # where the mark is from
    mark: str
    fix: str
    agent: str | None = None
    event_id: str | None = None
    sends: bool = False

    def is_in(self, text: str) -> bool:
        """Whether a page's text holds the mark."""
        return re.search(self.mark, text, re.IGNORECASE) is not None


SENDERS: Final = msgspec.json.decode(
    Path(__file__).with_suffix(".json").read_bytes(), type=tuple[Sender, ...]
)
