"""Signed observations: the address that this relay saw at another of its names, carried back by the page.

A token says: at this time, the browser that asked with this nonce, for this site, reached the relay from this
address. It is signed, not secret: the page could read the address, which is its visitor's own. A token counts
only together with its nonce, for its site, for half an hour, and where the site names a host of its family.
"""

import struct
from collections.abc import Sequence
from enum import StrEnum
from hashlib import blake2b, sha256
from ipaddress import ip_address
from typing import Final

import msgspec
from itsdangerous import BadData, Signer
from itsdangerous.encoding import base64_decode, base64_encode

from relay.event.address import Address, ClientAddress, Family, is_public
from relay.event.records import BrowserEvent, OutboxEvent, SeenAddress
from relay.settings import AddressHosts

MAX_AGE_MS: Final = 30 * 60 * 1_000
CLOCK_SKEW_MS: Final = 60 * 1_000  # between two relays that share a key
TOKEN_MAX: Final = 110  # characters; an IPv6 token has 92

ADDRESS_WHY: Final = (  # the names under which `addresses_why` tells it
    "client_ip_address",
    "client_ip_address_source",
    "client_ip_address_connection",
    "client_ip_address_tokens",
)

_SALT: Final = b"counterfoil.address.1"
_HEAD: Final = struct.Struct(">I8s8s")  # Unix seconds, digests of site and nonce; the address follows


class Doubt(StrEnum):
    """Why a token is not believed."""

    FORGED = "the token is not signed by this relay"
    OTHER_SITE = "the token was given to another site"
    OTHER_NONCE = "the token was given to another page session"
    TOO_OLD = "the token is older than 30 minutes"
    NOT_TAKEN = "the site names no address host of the token's family"
    NOT_PUBLIC = "the token's address is not a public one"


class Observation(msgspec.Struct, frozen=True):
    """What a good token says."""

    address: Address
    seen_ms: int  # whole seconds

    @property
    def family(self) -> Family:
        return "ipv4" if self.address.version == 4 else "ipv6"


def sign_observation(keys: Sequence[str], address: Address, *, site: str, nonce: str, now_ms: int) -> str:
    """A token of at most `TOKEN_MAX` characters, fit for a URL. `keys` are oldest first; the last one signs."""
    head = _HEAD.pack(now_ms // 1_000, _digest(site), _digest(nonce))
    return _signer(keys).sign(base64_encode(head + address.packed)).decode()


def read_observation(
    keys: Sequence[str], token: str, *, site: str, nonce: str, now_ms: int
) -> Observation | Doubt:
    """What the token says, or why it is not believed. Takes any text; never raises."""
    packed = _verified(keys, token)
    if packed is None:
        return Doubt.FORGED
    seconds, of_site, of_nonce = _HEAD.unpack_from(packed)
    if of_site != _digest(site):
        return Doubt.OTHER_SITE
    if of_nonce != _digest(nonce):
        return Doubt.OTHER_NONCE
    if not -CLOCK_SKEW_MS <= now_ms - seconds * 1_000 <= MAX_AGE_MS:
        return Doubt.TOO_OLD
    return Observation(ip_address(packed[_HEAD.size :]), seconds * 1_000)


def weigh(
    connection: ClientAddress,
    event: BrowserEvent,
    *,
    keys: Sequence[str],
    site: str,
    hosts: AddressHosts,
    accept_private: bool,
    now_ms: int,
) -> tuple[SeenAddress, ...]:
    """Every word on the visitor's address, the connection's first; at most one is marked as sent.

    An IPv6 connection is the best there is; then an IPv6 token, the connection, an IPv4 token. Of two equal
    tokens the younger counts. The Pixel's own connection prefers IPv6 in the same way.
    """
    seen = [_of_connection(connection, now_ms)]
    for token in event.addresses:
        found = read_observation(keys, token, site=site, nonce=event.address_nonce or "", now_ms=now_ms)
        if isinstance(found, Observation):
            found = _against_rules(found, hosts, accept_private)
        seen.append(_of_token(found, now_ms))
    best = max(range(len(seen)), key=lambda at: _rank(seen[at], is_connection=at == 0))
    return tuple(_judged(word, is_best=at == best) for at, word in enumerate(seen))


def sent_address(addresses: Sequence[SeenAddress]) -> str | None:
    """The one that goes to Meta."""
    return next((word.address for word in addresses if word.sent), None)


def addresses_why(addresses: Sequence[SeenAddress]) -> dict[str, str]:
    """The receipt's sentences: the address that is sent, its source, and what became of the others."""
    connection, *tokens = addresses
    told = next((word for word in addresses if word.sent), connection)
    sentences = (
        told.why,
        told.source,
        "" if told is connection else connection.why,
        "; ".join(word.why for word in tokens if word is not told),
    )
    return {name: sentence for name, sentence in zip(ADDRESS_WHY, sentences, strict=True) if sentence}


def upgrades(sent: str | None, post: OutboxEvent) -> bool:
    """Whether a held event that would go with the address `sent` takes the address of this later post of it.

    Only a token may change it, and only in a post over the connection that the event came over: whoever has
    guessed an event_id changes nothing from elsewhere.
    """
    if not post.addresses or post.addresses[0].address != sent:
        return False
    return any(word.sent and word.source == "token" for word in post.addresses)


def _signer(keys: Sequence[str]) -> Signer:
    return Signer(list(keys), salt=_SALT, key_derivation="hmac", digest_method=sha256)


def _digest(text: str) -> bytes:
    return blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest()


def _verified(keys: Sequence[str], token: str) -> bytes | None:
    """The signed bytes. A token has one spelling: base64 alone would let some bits of the signature vary."""
    if not keys or not token.isascii() or len(token) > TOKEN_MAX:
        return None
    try:
        text = _signer(keys).unsign(token)
        signature = token.encode()[len(text) + 1 :]
        packed = base64_decode(text)
    except BadData:
        return None
    is_canonical = base64_encode(base64_decode(signature)) == signature
    return packed if is_canonical and len(packed) - _HEAD.size in (4, 16) else None


def _against_rules(found: Observation, hosts: AddressHosts, accept_private: bool) -> Observation | Doubt:
    if found.family not in hosts.urls():
        return Doubt.NOT_TAKEN
    return found if accept_private or is_public(found.address) else Doubt.NOT_PUBLIC


def _of_connection(connection: ClientAddress, now_ms: int) -> SeenAddress:
    return SeenAddress(
        source=connection.source,
        address=connection.address,
        family=connection.family,
        seen_ms=now_ms,
        sent=False,
        why=connection.why,
    )


def _of_token(found: Observation | Doubt, now_ms: int) -> SeenAddress:
    if isinstance(found, Doubt):
        return SeenAddress(source="token", address=None, family=None, seen_ms=None, sent=False, why=found)
    age_seconds = max(0, now_ms - found.seen_ms) // 1_000
    return SeenAddress(
        source="token",
        address=str(found.address),
        family=found.family,
        seen_ms=found.seen_ms,
        sent=False,
        why=f"this relay saw the browser at it {age_seconds} s before, and signed that",
    )


def _rank(word: SeenAddress, *, is_connection: bool) -> tuple[bool, bool, bool, int]:
    return word.address is not None, word.family == "ipv6", is_connection, word.seen_ms or 0


def _judged(word: SeenAddress, *, is_best: bool) -> SeenAddress:
    if word.address is None:
        return word
    if is_best:
        return msgspec.structs.replace(word, sent=True)
    return msgspec.structs.replace(word, why=f"{word.why}; not sent: another one is IPv6, nearer or younger")
