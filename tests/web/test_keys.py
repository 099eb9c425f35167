"""The signing key: configured, or made once beside the store."""

import stat
from pathlib import Path

import msgspec
import pytest

from relay.errors import SettingsError
from relay.settings import Settings
from relay.web.keys import KEY_FILE, conversion_keys, signing_keys
from tests.web.lab import lab_settings

LONG_KEY = "k" * 32


def with_key(folder: Path, **server: str) -> Settings:
    settings = lab_settings(folder)
    return msgspec.structs.replace(settings, server=msgspec.structs.replace(settings.server, **server))


def test_a_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    settings = lab_settings(tmp_path / "new" / "folder")
    (key,) = signing_keys(settings, {})
    file = tmp_path / "new" / "folder" / KEY_FILE
    assert len(key) == 64
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert signing_keys(settings, {}) == (key,)
    assert [each.name for each in file.parent.iterdir()] == [KEY_FILE], "no draft stays behind"


def test_a_folder_that_cannot_be_made_is_named_with_the_next_step(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match=r"file/folder/signing\.key cannot be made.*\[store\] path"):
        signing_keys(lab_settings(tmp_path / "file" / "folder"), {})


def test_two_relays_have_two_keys(tmp_path: Path) -> None:
    assert signing_keys(lab_settings(tmp_path / "a"), {}) != signing_keys(lab_settings(tmp_path / "b"), {})


def test_the_key_can_come_from_the_environment(tmp_path: Path) -> None:
    assert signing_keys(with_key(tmp_path, secret_key_env="RELAY_KEY"), {"RELAY_KEY": LONG_KEY}) == (
        LONG_KEY,
    )
    assert list(tmp_path.iterdir()) == []


def test_the_key_can_come_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text(LONG_KEY + "\n")
    assert signing_keys(with_key(tmp_path, secret_key_file=str(tmp_path / "key")), {}) == (LONG_KEY,)


def test_keys_may_be_a_list_for_rotation(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{LONG_KEY}\n\n{'n' * 32}\n")
    settings = with_key(tmp_path, secret_key_file=str(tmp_path / "keys"))
    assert signing_keys(settings, {}) == (LONG_KEY, "n" * 32)


def test_every_key_of_a_list_must_be_long(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="fewer than 32"):
        signing_keys(with_key(tmp_path, secret_key_env="RELAY_KEY"), {"RELAY_KEY": f"{LONG_KEY} short"})


@pytest.mark.parametrize("value", [None, "", "short", "k" * 31])
def test_a_missing_or_short_key_stops_the_start_and_is_not_quoted(tmp_path: Path, value: str | None) -> None:
    environ = {} if value is None else {"RELAY_KEY": value}
    with pytest.raises(SettingsError, match="RELAY_KEY has fewer than 32 characters") as caught:
        signing_keys(with_key(tmp_path, secret_key_env="RELAY_KEY"), environ)
    assert not value or f" {value} " not in str(caught.value)


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no-such-file"):
        signing_keys(with_key(tmp_path, secret_key_file=str(tmp_path / "no-such-file")), {})


def with_shop_key(folder: Path, **site: str) -> Settings:
    settings = lab_settings(folder)
    signed = msgspec.structs.replace(settings.site[0], require_signature=("Purchase",), **site)
    return msgspec.structs.replace(settings, site=(signed, *settings.site[1:]))


def test_a_shops_keys_come_from_the_environment_or_a_file_by_site(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"{LONG_KEY}\n{'n' * 32}\n")
    by_file = with_shop_key(tmp_path, conversion_key_file=str(tmp_path / "keys"))
    by_env = with_shop_key(tmp_path, conversion_key_env="SHOP_KEYS")
    key = by_env.site[0].key
    assert conversion_keys(by_file, {}) == {key: (LONG_KEY, "n" * 32)}
    assert conversion_keys(by_env, {"SHOP_KEYS": f"{LONG_KEY} {'n' * 32}"}) == {key: (LONG_KEY, "n" * 32)}


def test_a_shop_without_a_key_that_can_be_used_stops_the_start(tmp_path: Path) -> None:
    settings = with_shop_key(tmp_path, conversion_key_env="SHOP_KEYS")
    for environ in ({}, {"SHOP_KEYS": "too-short"}):
        with pytest.raises(SettingsError, match="SHOP_KEYS") as stopped:
            conversion_keys(settings, environ)
        assert "too-short" not in str(stopped.value)
