"""What is in force, and where each value comes from: the default, relay.toml, a variable, a flag, or the program.

Secrets are not settings, and settings only name where they are kept; of those it is told whether something is there.
"""

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final, Literal, get_type_hints

import msgspec

from relay.errors import SettingsError
from relay.loading import Sources, read_secret, variables
from relay.settings import Section, Settings

Path = tuple[str | int, ...]

HOLDERS: Final = ("_env", "_file")  # a setting that ends so names where a secret is kept
WITH_SECRETS: Final = frozenset({("alerts", "urls")})  # addresses that are secrets themselves


class Origin(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    FILE = "file"
    VARIABLE = "variable"
    FLAG = "flag"
    PROGRAM = "program"  # settings that were made in Python, as the sandbox's


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """One setting as it is in force."""

    section: str  # such as "server" or "site[0].pixels[1]"
    name: str
    value: str  # as relay.toml would have it; what could be a secret is masked
    origin: Origin
    place: str  # the file's name, the variable, the flag; empty for a default
    secret: Literal["set", "missing"] | None  # whether the secret that it names is there
    sentence: str


def in_force(settings: Settings, sources: Sources | None, environ: Mapping[str, str]) -> tuple[InForce, ...]:
    """Every setting, in the order of docs/settings.md. `sources`: None where no file was read."""
    return tuple(
        InForce(
            section=spelt(path[:-1]),
            name=str(path[-1]),
            value=_shown(path, value),
            origin=(origin := _origin(path, value == default, sources)),
            place=_place(origin, path, sources),
            secret=_secret(path, value, environ),
            sentence=sentence,
        )
        for path, value, default, sentence in _walk(settings, ())
    )


def spelt(path: Path) -> str:
    """`site[0].pixels[1].id`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).removeprefix(".")


def _walk(table: Section, path: Path) -> Iterator[tuple[Path, Any, Any, str]]:
    """Path, value, default and sentence of every setting: the table's own first, then those of tables within it."""
    hints = get_type_hints(type(table), include_extras=True)
    fields = [(field, getattr(table, field.name)) for field in msgspec.structs.fields(type(table))]
    for field, value in fields:
        if not _tables(value):
            default = None if field.required else field.default
            yield (*path, field.name), value, default, _sentence(hints[field.name])
    for field, value in fields:
        for key, each in _tables(value):
            yield from _walk(each, (*path, field.name) if key is None else (*path, field.name, key))


def _tables(value: Any) -> list[tuple[str | int | None, Section]]:
    if isinstance(value, Section):
        return [(None, value)]
    pairs = enumerate(value) if isinstance(value, tuple) else value.items() if isinstance(value, dict) else ()
    return [(key, each) for key, each in pairs if isinstance(each, Section)]


def _sentence(hint: Any) -> str:
    """Tables of tables have none of their own."""
    info = msgspec.inspect.type_info(hint)
    schema = info.extra_json_schema if isinstance(info, msgspec.inspect.Metadata) else None
    return str((schema or {}).get("description", ""))


def _origin(path: Path, is_default: bool, sources: Sources | None) -> Origin:
    if sources is None:
        return Origin.DEFAULT if is_default else Origin.PROGRAM
    for document, origin in (
        (sources.flags, Origin.FLAG),
        (sources.variables, Origin.VARIABLE),
        (sources.file, Origin.FILE),
    ):
        if _stands_in(document, path):
            return origin
    return Origin.DEFAULT


def _stands_in(document: Any, path: Path) -> bool:
    for part in path:
        if isinstance(document, Mapping):
            document = document.get(part)
        elif isinstance(document, list) and isinstance(part, int) and part < len(document):
            document = document[part]
        else:
            return False
    return document is not None


def _place(origin: Origin, path: Path, sources: Sources | None) -> str:
    if origin is Origin.FILE and sources is not None:
        return str(sources.path)
    if origin is Origin.VARIABLE:
        return next(name for name, place in variables().items() if place == path)
    return f"--{str(path[-1]).replace('_', '-')}" if origin is Origin.FLAG else ""


def _shown(path: Path, value: Any) -> str:
    if value is None:
        return "none"
    if path in WITH_SECRETS:
        value = [_masked_address(each) for each in value]
    text = msgspec.json.encode(value).decode()
    return re.sub(r"://[^/@\"\s]+@", "://…@", text)  # a password within an address


def _masked_address(address: str) -> str:
    """The host alone: what follows it may be a key."""
    return re.sub(r"(://[^/]+)/.+", r"\1/…", address)


def _secret(path: Path, value: Any, environ: Mapping[str, str]) -> Literal["set", "missing"] | None:
    name = str(path[-1])
    if value is None or not name.endswith(HOLDERS):
        return None
    env, file = (value, None) if name.endswith("_env") else (None, value)
    try:
        found = read_secret(env, file, environ)
    except SettingsError:
        found = None
    return "set" if found else "missing"
