"""The proxies that `trusted_proxies` takes by name; `proxies.toml` beside this file holds them."""

import datetime
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec


class NamedProxy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One provider, or one kind of server: who says what its networks are, and when."""

    source: str
    as_of: datetime.date
    networks: tuple[str, ...]  # CIDRs
    client_headers: tuple[str, ...] = ()  # lower case; the provider overwrites them, so they can be believed
    # It ends the forwarded chain with an address of its own that is in no list, so only its header can be read.
    hides_chain: bool = False


def _load(tables: Mapping[str, Mapping[str, Any]]) -> dict[str, NamedProxy]:
    return {name: msgspec.convert(_resolved(table, tables), NamedProxy) for name, table in tables.items()}


def _resolved(table: Mapping[str, Any], tables: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    if "networks_of" not in table:
        return dict(table)
    own = {key: value for key, value in table.items() if key != "networks_of"}
    return own | {"networks": tables[table["networks_of"]]["networks"]}


NAMED_PROXIES: Final[Mapping[str, NamedProxy]] = _load(
    tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
)
CLIENT_HEADERS: Final = tuple(
    dict.fromkeys(header for proxy in NAMED_PROXIES.values() for header in proxy.client_headers)
)
