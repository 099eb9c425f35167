"""Which address families an event came over, was told of, and went with: all that is kept of addresses for good."""

from collections.abc import Sequence
from typing import NamedTuple

from relay.event.address import Family
from relay.event.records import SeenAddress


class FamilyPath(NamedTuple):
    """None: there was no address to believe."""

    page: Family | None  # of the connection that carried the post
    token: Family | None  # of the best token that was believed
    sent: Family | None  # of the address that goes to Meta


def family_path(addresses: Sequence[SeenAddress]) -> FamilyPath | None:
    """The way of an event's address; None where nothing was recorded about it."""
    if not addresses:
        return None
    connection, *tokens = addresses
    return FamilyPath(
        page=connection.family,
        token=max((token.family for token in tokens if token.family), default=None),  # ipv6 is the better one
        sent=next((word.family for word in addresses if word.sent), None),
    )
