"""The keys that sign sign-in links, sessions and address tokens.

A key file holds one key a line, a variable separates them by spaces. The last one signs and all of them verify:
to rotate, append a new key, and take the old one out when what it signed has ended (8 hours).
"""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from relay.errors import SettingsError
from relay.loading import read_secret
from relay.settings import Settings

KEY_FILE: Final = "signing.key"
MIN_LENGTH: Final = 32  # characters; what `signing_keys` makes itself has 64


def signing_keys(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The configured keys, oldest first, or one of our own beside the store, made at first use with mode 0600."""
    server = settings.server
    if server.secret_key_env or server.secret_key_file:
        keys = read_secret(server.secret_key_env, server.secret_key_file, environ)
        return _checked(keys, server.secret_key_env or str(server.secret_key_file))
    if settings.store.is_shared():
        raise SettingsError(
            "Machines that share a database need the same signing keys: set [server] secret_key_env, or "
            "secret_key_file. Make a key with `python -c 'import secrets; print(secrets.token_hex())'`."
        )
    file = Path(settings.store.path).parent / KEY_FILE
    try:
        if not file.exists():
            _make(file)
    except OSError as error:
        raise SettingsError(
            f"{file} cannot be made: {error.strerror}. "
            "Let this user write into that folder, or name another by [store] path."
        ) from error
    return _checked(read_secret(None, str(file), environ), str(file))


def conversion_keys(settings: Settings, environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The keys that each site's shop signs its conversions with, by site key; every one of them is taken."""
    return {
        site.key: _checked(read_secret(env, file, environ), env or str(file))
        for site in settings.site
        if (env := site.conversion_key_env) or site.conversion_key_file
        for file in (site.conversion_key_file,)
    }


def write_keys(settings: Settings, environ: Mapping[str, str]) -> dict[str, tuple[str, ...]]:
    """The secret keys that each site's servers send events with, by site key. Raises SettingsError."""
    keys = {
        site.key: _checked(read_secret(env, file, environ), env or str(file))
        for site in settings.site
        if (env := site.write_key_env) or site.write_key_file
        for file in (site.write_key_file,)
    }
    if len({key for each in keys.values() for key in each}) != sum(map(len, keys.values())):
        raise SettingsError(
            "Two sites have the same write key. Make one for each, so that it tells them apart."
        )
    return keys


def metrics_keys(settings: Settings, environ: Mapping[str, str]) -> tuple[str, ...]:
    """The keys that `/metrics` asks for; none where none is set. Raises SettingsError."""
    env, file = settings.telemetry.metrics_key_env, settings.telemetry.metrics_key_file
    return _checked(read_secret(env, file, environ), env or str(file)) if env or file else ()


def _checked(text: str | None, source: str) -> tuple[str, ...]:
    keys = tuple((text or "").split())
    if not keys or any(len(key) < MIN_LENGTH for key in keys):
        raise SettingsError(
            f"The signing key in {source} has fewer than {MIN_LENGTH} characters. "
            "Make one with `python -c 'import secrets; print(secrets.token_hex())'`."
        )
    return keys


def _make(file: Path) -> None:
    """Write a new key whole or not at all; where two processes race, the first one's key stays."""
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as out:
        out.write(secrets.token_hex() + "\n")
    try:
        os.link(draft, file)
    except FileExistsError:
        return  # another process was first
    finally:
        draft.unlink()
