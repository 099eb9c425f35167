"""relay.toml ← RELAY_* ← flags, read once; and the secrets that settings name, each from where it is kept.

Unknown keys are errors that name their path. Secrets never stand in relay.toml: they come from the environment
(`*_env`) or from a file of their own (`*_file`).
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, get_type_hints

import msgspec

from relay.errors import SettingsError
from relay.settings import (
    AddressHosts,
    Alerts,
    Delivery,
    EventMapping,
    EventRules,
    Limits,
    Pixel,
    Privacy,
    Section,
    Server,
    Settings,
    Site,
    StoreSettings,
    Telemetry,
)

SECTIONS: Final[dict[str, type[Section]]] = {
    "server": Server,
    "store": StoreSettings,
    "delivery": Delivery,
    "privacy": Privacy,
    "limits": Limits,
    "telemetry": Telemetry,
    "alerts": Alerts,
}
_TABLES: Final[tuple[type[Section], ...]] = (
    Settings,
    Site,
    AddressHosts,
    EventMapping,
    EventRules,
    Pixel,
    *SECTIONS.values(),
)


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """What was read, each layer by itself, in the shape of the file."""

    path: Path | None
    file: dict[str, Any]
    variables: dict[str, Any]
    flags: dict[str, Any]  # a value of None is a flag that was not given


def read_sources(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Sources:
    """The layers that `load_settings` puts on top of one another. Raises SettingsError."""
    return Sources(
        path=path,
        file=_read(path) if path else {},
        variables=_from_environ(environ),
        flags=dict(overrides),
    )


def load_settings(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, object]) -> Settings:
    """The file at `path` (None: the defaults), then `RELAY_*` of `environ`, then `overrides`.

    Overrides have the shape of the file, `{"server": {"port": 8301}}`; a value of None overrides nothing, so
    that flags can be handed over as they are. Raises SettingsError.
    """
    return settings_of(read_sources(path, environ, overrides), environ)


def settings_of(sources: Sources, environ: Mapping[str, str]) -> Settings:
    """The settings that the layers make together. Raises SettingsError."""
    document = _merge(_merge(sources.file, sources.variables), sources.flags)
    try:
        settings = msgspec.convert(document, Settings)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{sources.path or 'settings'}: {_explain(str(error))}") from None
    _refuse_misspelt(environ, settings)
    return settings


def read_token(pixel: Pixel, environ: Mapping[str, str]) -> str | None:
    """The pixel's access token; None while it has none. Raises SettingsError for what cannot be one."""
    token = read_secret(pixel.token_env, pixel.token_file, environ)
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        raise SettingsError(
            f"The token of pixel {pixel.id} holds characters that no token has. Copy it again."
        )
    return token


def read_secret(env: str | None, file: str | None, environ: Mapping[str, str]) -> str | None:
    """The secret in the variable or the file that a setting names; None where there is none."""
    if env is not None:
        return environ.get(env, "").strip() or None
    return _text(Path(file)).strip() or None if file is not None else None


def read_store_url(store: StoreSettings, environ: Mapping[str, str]) -> str | None:
    """The address of the database; None where the store is a file. Raises SettingsError for what cannot be one."""
    if not store.is_shared():
        return None
    url = store.url or read_secret(store.url_env, store.url_file, environ)
    if not url or not re.match(r"postgres(ql)?://", url):
        raise SettingsError(
            f"{store.url_env or store.url_file} holds no address of a database. "
            "Write it like postgresql://user:password@host1,host2/database."
        )
    return url


def variables() -> dict[str, tuple[str, str]]:
    """Every variable that overrides a setting, with its section and field."""
    return {
        f"RELAY_{field}".upper() if section == "server" else f"RELAY_{section}_{field}".upper(): (
            section,
            field,
        )
        for section, struct in SECTIONS.items()
        for field in struct.__struct_fields__
    }


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise SettingsError(
            f"{path} cannot be read: {error.strerror}. Mend the path or the file's mode."
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(f"{path} is not a text in UTF-8. Save it as one.") from None


def _read(path: Path) -> dict[str, Any]:
    if not path.exists():
        raise SettingsError(
            f"There is no {path}. Write one with `counterfoil init`, or name another by --config."
        )
    try:
        return tomllib.loads(_text(path))
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path} is not TOML: {error}. Mend that line.") from None


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for variable, (section, field) in variables().items():
        # Empty is what a compose file makes of a variable that nobody has set.
        if text := environ.get(variable, "").strip():
            document.setdefault(section, {})[field] = _typed(variable, text, SECTIONS[section], field)
    return document


def _typed(variable: str, text: str, section: type[Section], field: str) -> Any:
    is_list = isinstance(getattr(section(), field), tuple)
    value = [part.strip() for part in text.split(",") if part.strip()] if is_list else text
    try:
        return msgspec.convert(value, get_type_hints(section, include_extras=True)[field], strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(f"{variable}={text}: {error}. Change the variable, or unset it.") from None


def _merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        if isinstance(value, Mapping) and isinstance(merged.get(key, {}), Mapping):
            merged[key] = _merge(merged.get(key, {}), value)
        elif value is not None:
            merged[key] = value
    return merged


def _explain(sentence: str) -> str:
    """msgspec's sentence with the path first; for an unknown key, the path of the key itself."""
    what, _, where = sentence.partition(" - at ")
    path = where.strip("`") or "$"
    if not (unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what)):
        return f"{path}: {what}. docs/settings.md lists every setting."
    near = _nearest(unknown.group(1), {key for table in _TABLES for key in table.__struct_fields__})
    hint = f"Did you mean {near}?" if near else "docs/settings.md lists every setting."
    return f"{path}.{unknown.group(1)} is not a setting. {hint}"


def _refuse_misspelt(environ: Mapping[str, str], settings: Settings) -> None:
    """A misspelt variable would silently do nothing; RELAY_* variables of other programs are left alone."""
    own = {
        settings.server.secret_key_env,
        settings.store.url_env,
        settings.alerts.secret_env,
        *(site.conversion_key_env for site in settings.site),
        *(site.write_key_env for site in settings.site),
        *(pixel.token_env for site in settings.site for pixel in site.pixels),
    }
    for name in environ.keys() - own - variables().keys():
        if name.startswith("RELAY_") and (near := _nearest(name, variables(), cutoff=0.9)):
            raise SettingsError(f"{name} is not a setting. Did you mean {near}? Rename it, or unset it.")


def _nearest(word: str, words: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    return next(iter(difflib.get_close_matches(word, sorted(words), n=1, cutoff=cutoff)), None)
