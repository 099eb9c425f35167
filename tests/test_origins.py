"""What is in force and where it comes from; and that no secret is among it."""

from itertools import groupby
from pathlib import Path
from typing import Any

import msgspec
import pytest

from relay.loading import SECTIONS, read_sources, settings_of, variables
from relay.origins import InForce, Origin, in_force
from relay.settings import Server, Settings

CONFIG = """
[server]
public_url = "https://relay.shop.example"
port = 8301
host = "0.0.0.0"

[[site]]
key = "demo-shop"
origins = ["https://shop.example"]

[site.events.Purchase]
mode = "split"

[[site.pixels]]
id = "123"
token_env = "META_TOKEN"

[[site.pixels]]
id = "456"
token_file = "none.token"
"""


def rows(folder: Path, environ: dict[str, str] | None = None, **server: Any) -> dict[str, InForce]:
    (folder / "relay.toml").write_text(CONFIG)
    environ = environ or {}
    sources = read_sources(folder / "relay.toml", environ, {"server": server})
    found = in_force(settings_of(sources, environ), sources, environ)
    return {f"{row.section}.{row.name}": row for row in found}


def told(row: InForce) -> tuple[str, Origin, str]:
    return row.value, row.origin, Path(row.place).name


def test_each_layer_is_named_the_last_one_that_spoke(tmp_path: Path) -> None:
    found = rows(tmp_path, {"RELAY_PORT": "8302", "RELAY_LOG_FORMAT": "json"}, host="::1", port=None)
    assert told(found["server.host"]) == ('"::1"', Origin.FLAG, "--host")
    assert told(found["server.port"]) == ("8302", Origin.VARIABLE, "RELAY_PORT")
    assert told(found["server.log_format"]) == ('"json"', Origin.VARIABLE, "RELAY_LOG_FORMAT")
    assert told(found["server.public_url"]) == ('"https://relay.shop.example"', Origin.FILE, "relay.toml")
    assert told(found["server.graph_version"])[1:] == (Origin.DEFAULT, "")


def test_tables_within_tables_are_told_by_their_place(tmp_path: Path) -> None:
    found = rows(tmp_path)
    assert told(found["site[0].key"])[:2] == ('"demo-shop"', Origin.FILE)
    assert told(found["site[0].consent"])[:2] == ('"pixel"', Origin.DEFAULT)
    assert told(found["site[0].pixels[1].id"])[:2] == ('"456"', Origin.FILE)
    assert told(found["site[0].pixels[1].graph_version"])[:2] == ("none", Origin.DEFAULT)
    assert told(found["site[0].address_hosts.ipv6"])[:2] == ("none", Origin.DEFAULT)
    assert told(found["site[0].events.Purchase.mode"])[:2] == ('"split"', Origin.FILE)


def test_each_section_is_told_in_one_piece(tmp_path: Path) -> None:
    sections = [row.section for row in rows(tmp_path).values()]
    pieces = [section for section, _ in groupby(sections)]
    assert len(pieces) == len(set(pieces))
    assert pieces.index("site[0]") < pieces.index("site[0].pixels[0]") < pieces.index("site[0].pixels[1]")


def test_of_a_secret_it_is_told_whether_it_is_there_and_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("EAAinafile")
    found = rows(
        tmp_path, {"META_TOKEN": "EAAinavariable", "RELAY_SECRET_KEY_FILE": str(tmp_path / "secret")}
    )
    assert found["site[0].pixels[0].token_env"].secret == "set"
    assert found["site[0].pixels[1].token_file"].secret == "missing"
    assert found["server.secret_key_file"].secret == "set"
    assert found["server.secret_key_env"].secret is None
    assert b"EAAina" not in msgspec.json.encode(found)


def test_a_variable_without_its_secret_is_missing(tmp_path: Path) -> None:
    assert rows(tmp_path)["site[0].pixels[0].token_env"].secret == "missing"


def test_every_setting_of_every_section_is_told_with_its_sentence(tmp_path: Path) -> None:
    found = rows(tmp_path)
    named = {f"{section}.{field}" for section, field in variables().values()}
    assert named <= set(found)
    assert all(found[name].sentence for name in named)
    assert {name.partition(".")[0] for name in found} >= set(SECTIONS)


def test_settings_made_in_python_are_the_programs(tmp_path: Path) -> None:
    found = {row.name: row for row in in_force(Settings(server=Server(port=9)), None, {})}
    assert (found["port"].origin, found["host"].origin) == (Origin.PROGRAM, Origin.DEFAULT)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("postgresql://me:secret@db.example/relay", '"postgresql://…@db.example/relay"'),
        ("counterfoil.db", '"counterfoil.db"'),
    ],
)
def test_a_password_within_an_address_is_masked(address: str, shown: str) -> None:
    settings = msgspec.structs.replace(
        Settings(), store=msgspec.structs.replace(Settings().store, path=address)
    )
    (path,) = [row for row in in_force(settings, None, {}) if (row.section, row.name) == ("store", "path")]
    assert path.value == shown
