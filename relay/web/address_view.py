"""What a receipt says of the visitor's address: who named which, which was sent and why, and what Meta saw."""

from collections.abc import Sequence
from enum import StrEnum
from ipaddress import ip_address, ip_network
from typing import Final, Literal

import msgspec
from msgspec.structs import replace

from relay.event.address import AddressSource, Family
from relay.event.families import FamilyPath, family_path
from relay.event.records import SeenAddress
from relay.store.protocol import StoredReceipt
from relay.web.twin_view import Arrived, TwinState

IPV4_SHOWN_BITS: Final = 24
IPV6_SHOWN_BITS: Final = 48
NAMES: Final[dict[Family, str]] = {"ipv4": "IPv4", "ipv6": "IPv6"}


class Agreement(StrEnum):
    """The address that is sent beside the one that the Pixel's request came from."""

    SAME = "same"
    DIFFERS = "differs"
    OTHER_FAMILY = "other family"


class AddressWord(msgspec.Struct, frozen=True, kw_only=True):
    """One who named an address: the page's connection, or a token that came with the post."""

    by: Literal["page", "token"]
    source: AddressSource
    address: str | None
    family: Family | None
    seen_ms: int | None
    sent: bool
    why: str


class Addresses(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one event's address."""

    words: tuple[AddressWord, ...]  # the connection's first; none once they are forgotten
    sent: str | None
    pixel: str | None  # where a twin saw the Pixel's request come from
    agreement: Agreement | None  # None: nobody saw both
    sentence: str
    anonymised: bool


def addresses_of(stored: StoredReceipt, arrived: Arrived | None, *, anonymised: bool) -> Addresses:
    """`arrived` is the browser half as a twin received it."""
    pixel = arrived.ip if arrived else None
    agreement = agreement_of(pixel, stored.client_ip_address)
    return Addresses(
        words=tuple(_word(number, seen, anonymised) for number, seen in enumerate(stored.addresses)),
        sent=shown(stored.client_ip_address, anonymised=anonymised),
        pixel=shown(pixel, anonymised=anonymised),
        agreement=agreement,
        sentence=" ".join(
            filter(None, (way_sentence(stored), agreement_sentence(agreement, pixel, stored.addresses)))
        ),
        anonymised=anonymised,
    )


def shown(address: str | None, *, anonymised: bool) -> str | None:
    """The address as the console may show it: whole, or the network that it belongs to."""
    if address is None or not anonymised:
        return address
    try:
        bits = IPV4_SHOWN_BITS if ip_address(address).version == 4 else IPV6_SHOWN_BITS
        return str(ip_network(f"{address}/{bits}", strict=False))
    except ValueError:
        return None  # what is no address was named by the other end, and could be anything


def shown_twin(twin: TwinState, *, anonymised: bool) -> TwinState:
    """What the twin saw, with addresses as they may be shown; its raw parameters hold them too."""
    if not anonymised:
        return twin

    def masked(events: tuple[Arrived, ...]) -> tuple[Arrived, ...]:
        return tuple(replace(event, ip=shown(event.ip, anonymised=True), params=None) for event in events)

    return replace(twin, browser=masked(twin.browser), server=masked(twin.server))


def agreement_of(pixel: str | None, sent: str | None) -> Agreement | None:
    if pixel is None or sent is None:
        return None
    if pixel == sent:
        return Agreement.SAME
    return Agreement.DIFFERS if _family(pixel) == _family(sent) else Agreement.OTHER_FAMILY


def way_sentence(stored: StoredReceipt) -> str:
    """How the page reached the relay, and which address went to Meta."""
    path = family_path(stored.addresses)
    if path is None:
        return "" if stored.client_ip_address else "No address is kept of this event, or none was ever known."
    if path.page is None and path.sent is None:
        return f"No address goes to Meta: {stored.addresses[0].why}."
    came = (
        f"The page reached the relay over {NAMES[path.page]}"
        if path.page
        else "The page's address is not known"
    )
    return f"{came}; {_chosen(path, stored.addresses)}."


def agreement_sentence(agreement: Agreement | None, pixel: str | None, words: Sequence[SeenAddress]) -> str:
    """Whether the twin saw the Pixel come from the same address; where not, what that can mean."""
    match agreement:
        case None:
            return ""
        case Agreement.SAME:
            return "Meta's twin saw the Pixel come from the same address."
        case Agreement.DIFFERS:
            return (
                "The Pixel came from another address of the same family: the visitor changed networks between the "
                "two, or trusted_proxies names too few or too many. `counterfoil doctor` shows the chain."
            )
        case Agreement.OTHER_FAMILY if pixel is not None and _family(pixel) == "ipv6":
            doubted = any(word.address is None for word in words[1:])
            no_token = "no token that came with it could be believed" if doubted else "no token came with it"
            return (
                "The Pixel reached Meta over IPv6, from an address that this relay could not see: the page reached "
                f"it over IPv4 only, and {no_token}. Give the relay's host an AAAA record, or name an IPv6-only "
                "host in address_hosts."
            )
        case _:
            return (
                "The Pixel reached Meta over IPv4, though this visitor has IPv6: browsers choose for each host and "
                "connection, and take IPv4 where IPv6 answers late."
            )


def _chosen(path: FamilyPath, words: Sequence[SeenAddress]) -> str:
    sent = next((word for word in words if word.sent), None)
    if sent is None or sent.family is None:
        return "no address goes to Meta"
    if sent.source == "token":
        return f"a token that this relay signed shows the visitor's {NAMES[sent.family]} address, which goes to Meta"
    return "that address goes to Meta" + (", and the token's stays here" if path.token else "")


def _word(number: int, seen: SeenAddress, anonymised: bool) -> AddressWord:
    return AddressWord(
        by="token" if number else "page",
        source=seen.source,
        address=shown(seen.address, anonymised=anonymised),
        family=seen.family,
        seen_ms=seen.seen_ms,
        sent=seen.sent,
        why=seen.why,
    )


def _family(address: str) -> Family:
    return "ipv6" if ":" in address else "ipv4"
