"""`counterfoil init`: at most five questions, and files that the relay, compose and a person can use."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from relay import __version__
from relay.cli import main
from relay.event.address import client_address, parse_networks, parse_providers
from relay.loading import load_settings, read_store_url
from relay.settings import Settings

FLAGS = ["--site", "https://www.shop.example", "--pixel", "1234567890", "--token-env", "SHOP_TOKEN"]
SERVERS = ("caddy", "nginx", "apache")
VISITOR = "203.0.113.7"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("RELAY_CONFIG", raising=False)
    return tmp_path


def init(*arguments: str, given: str | None = None) -> Result:
    result = CliRunner().invoke(main, ["init", *arguments], input=given)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def refused(*arguments: str) -> str:
    result = init(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    return result.stderr


def settings(folder: Path) -> Settings:
    return load_settings(folder / "relay.toml", {}, {})


def test_five_answers_of_which_three_have_a_default_make_every_file(folder: Path) -> None:
    result = init(given="https://shop.example\n1234567890\n\n\n\n")
    assert result.exit_code == 0
    assert [f"{number}/5" in result.stdout for number in range(1, 7)] == [True] * 5 + [False]
    assert {path.name for path in folder.iterdir()} == {
        "relay.toml",
        "compose.yaml",
        "Caddyfile",
        "counterfoil.service",
        "Dockerfile",
        "tag.html",
    }
    assert settings(folder).site[0].pixels[0].token_env == "META_ACCESS_TOKEN"


def test_flags_ask_nothing_and_serve_takes_what_they_give(folder: Path) -> None:
    assert init(*FLAGS, "--front", "other", "--consent", "required").exit_code == 0
    server, (site,) = settings(folder).server, settings(folder).site
    assert server.public_url == "https://relay.shop.example"
    assert (site.key, site.origins, site.pixel_ids(), site.consent) == (
        "www-shop-example",
        ("https://www.shop.example",),
        ("1234567890",),
        "required",
    )
    assert 'data-consent=""' in (folder / "tag.html").read_text()


@pytest.mark.parametrize("front", SERVERS)
def test_a_web_server_of_ones_own_gets_the_path_and_keeps_the_console_off_the_shops_origin(
    folder: Path, front: str
) -> None:
    said = init(*FLAGS, "--front", front, "--yes").stdout
    server = settings(folder).server
    assert server.public_url == "https://www.shop.example/relay"
    assert server.console() == "http://127.0.0.1:8300"
    assert "-> 1. a path of the shop's own origin" in said
    assert (folder / f"counterfoil.{front}.conf").exists()
    assert "caddy:2" not in (folder / "compose.yaml").read_text()


@pytest.mark.parametrize("front", SERVERS)
def test_the_same_servers_can_have_a_subdomain(folder: Path, front: str) -> None:
    said = init(*FLAGS, "--front", front, "--yes", "--public-url", "https://r.shop.example").stdout
    assert "-> 2. a subdomain with A and AAAA" in said
    assert "r.shop.example" in (folder / f"counterfoil.{front}.conf").read_text()
    assert settings(folder).server.console() == "https://r.shop.example"


def test_a_shop_on_this_machine_is_a_trial(folder: Path) -> None:
    said = init("--site", "http://127.0.0.1:8080", "--pixel", "1", "--yes").stdout
    assert "for this machine only" in said
    assert settings(folder).server.public_url == "http://127.0.0.1:8300"


def test_compose_waits_for_a_healthy_relay_keeps_its_file_in_a_named_volume_and_hands_ipv6_on(
    folder: Path,
) -> None:
    init(*FLAGS, "--front", "other", "--yes")
    lines = [line.strip() for line in (folder / "compose.yaml").read_text().splitlines()]
    for line in (
        "SHOP_TOKEN: ${SHOP_TOKEN:?put the access token of your pixel here}",
        "- data:/data",
        "condition: service_healthy",
        "enable_ipv6: true",
        'ports: ["127.0.0.1:8300:8300"]',
    ):
        assert line in lines, line


def test_a_token_may_stand_in_a_file_and_no_written_file_holds_one(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("META_ACCESS_TOKEN", "EAAsecret")
    init(*FLAGS[:4], "--token-file", "/etc/counterfoil/token", "--yes")
    assert settings(folder).site[0].pixels[0].token_file == "/etc/counterfoil/token"
    assert "User=counterfoil" in (folder / "counterfoil.service").read_text()
    assert 'file: "/etc/counterfoil/token"' in (folder / "compose.yaml").read_text()
    assert not any("EAAsecret" in path.read_text() for path in folder.iterdir())


@pytest.mark.parametrize("place", ["EAAGm0PX4ZCpsBO", "two words", "1TOKEN"])
def test_a_token_on_the_command_line_is_refused_and_not_repeated(folder: Path, place: str) -> None:
    sentence = refused(*FLAGS[:4], f"--token-env={place}", "--front", "other", "--consent", "pixel")
    assert "no variable's name" in sentence
    assert place not in sentence
    assert [*folder.iterdir()] == []


def test_files_that_are_there_stay_unless_told_and_then_none_is_written(folder: Path) -> None:
    (folder / "tag.html").write_text("mine")
    assert "tag.html: there already" in refused(*FLAGS, "--yes")
    assert [path.name for path in folder.iterdir()] == ["tag.html"]
    assert init(*FLAGS, "--yes", "--force").exit_code == 0
    assert (folder / "tag.html").read_text() != "mine"


def test_a_checkouts_own_dockerfile_is_used(folder: Path) -> None:
    (folder / "Dockerfile").write_text("FROM scratch")
    init(*FLAGS, "--yes")
    assert (folder / "Dockerfile").read_text() == "FROM scratch"


@pytest.mark.parametrize(
    ("flag", "value", "sentence"),
    [
        ("--site", "shop.example", "not an http or https address"),
        ("--site", "https://shop.example/", "Write https://shop.example."),
        ("--pixel", "EAAtoken", "Expected `str` matching regex"),
        ("--public-url", "relay.shop.example", "not an http or https address"),
        ("--public-url", "https://www.shop.example/a{b", "letters, digits"),
    ],
)
def test_what_serve_would_refuse_is_refused_at_once(
    folder: Path, flag: str, value: str, sentence: str
) -> None:
    assert sentence in refused(*FLAGS, "--yes", flag, value)
    assert [*folder.iterdir()] == []


def test_two_places_for_one_token_are_refused(folder: Path) -> None:
    assert "keep one" in refused(*FLAGS, "--token-file", "/t", "--yes")


def test_a_folder_that_is_not_there_is_a_sentence(folder: Path) -> None:
    assert "cannot be written" in refused(*FLAGS, "--yes", "--config", "none/relay.toml")


# Platforms


def seen_by(folder: Path, peer: str, headers: dict[str, str]) -> str | None:
    """The visitor's address as the settings in the folder understand a request of that platform."""
    trusted = settings(folder).server.trusted_proxies
    return client_address(
        peer=peer,
        forwarded_for=[headers["x-forwarded-for"]],
        forwarded=[],
        trusted_proxies=parse_networks(trusted),
        providers=parse_providers(trusted),
        provider_headers={name: [value] for name, value in headers.items() if name != "x-forwarded-for"},
        accept_private=False,
    ).address


@pytest.mark.parametrize(
    ("front", "peer", "headers"),
    [
        # Fly ends the chain with the app's own address; what stands left of the visitor is his own claim.
        (
            "fly",
            "172.16.5.2",
            {"x-forwarded-for": f"192.0.2.66, {VISITOR}, 198.51.100.9", "fly-client-ip": VISITOR},
        ),
        ("render", "10.204.1.1", {"x-forwarded-for": f"192.0.2.66, {VISITOR}, 172.70.1.1, 10.204.3.3"}),
        ("heroku", "10.1.33.7", {"x-forwarded-for": f"192.0.2.66, {VISITOR}"}),
    ],
)
def test_each_platforms_header_gives_the_visitor(
    folder: Path, front: str, peer: str, headers: dict[str, str]
) -> None:
    assert init(*FLAGS, "--front", front, "--yes").exit_code == 0
    assert seen_by(folder, peer, headers) == VISITOR


def test_fly_keeps_its_machine_awake_and_the_store_on_a_volume(folder: Path) -> None:
    init(*FLAGS, "--front", "fly", "--yes")
    fly = tomllib.loads((folder / "fly.toml").read_text())
    assert fly["http_service"]["internal_port"] == 8300
    assert fly["http_service"]["auto_stop_machines"] == "off"
    assert fly["mounts"] == [{"source": "data", "destination": "/data"}]
    assert fly["files"] == [{"guest_path": "/etc/counterfoil/relay.toml", "local_path": "relay.toml"}]


def test_render_has_a_disk_and_the_port_that_the_image_listens_on(folder: Path) -> None:
    init(*FLAGS, "--front", "render", "--yes")
    text = (folder / "render.yaml").read_text()
    assert "mountPath: /data" in text
    assert '- key: PORT\n        value: "8300"' in text
    assert "- key: SHOP_TOKEN\n        sync: false" in text


def test_heroku_listens_where_it_is_told_and_keeps_its_keys_outside_the_disk(folder: Path) -> None:
    init(*FLAGS, "--front", "heroku", "--yes")
    app = json.loads((folder / "app.json").read_text())
    assert app["env"]["RELAY_SECRET_KEY_ENV"] == {"value": "COUNTERFOIL_SECRET_KEY"}
    assert "value" not in app["env"]["SHOP_TOKEN"]
    assert (folder / "requirements.txt").read_text() == f"counterfoil[postgres]=={__version__}\n"
    environ = {name: entry["value"] for name, entry in app["env"].items() if "value" in entry}
    store = load_settings(folder / "relay.toml", environ, {}).store
    given = {"DATABASE_URL": "postgres://user:password@host:5432/database"}
    assert read_store_url(store, given) == given["DATABASE_URL"]
    assert app["addons"] == ["heroku-postgresql:essential-0"]
    serve = main.commands["serve"]
    words = (folder / "Procfile").read_text().split()
    flags = {flag for option in serve.params if isinstance(option, click.Option) for flag in option.opts}
    assert words[:3] == ["web:", "counterfoil", "serve"]
    assert {word for word in words if word.startswith("--")} <= flags
    assert words[-1] == "$PORT"


def test_a_platform_takes_no_file_for_the_token(folder: Path) -> None:
    assert "name it by --token-env" in refused(*FLAGS[:4], "--token-file", "/t", "--front", "fly", "--yes")


def test_the_documentation_shows_what_is_written(folder: Path) -> None:
    """The server's part in docs/install.md is the file's, but for its comments."""
    init("--site", "https://shop.example", "--pixel", "1", "--front", "nginx", "--yes")
    written = (folder / "counterfoil.nginx.conf").read_text().partition("\n")[2]
    assert written in (Path(__file__).parent.parent / "docs" / "install.md").read_text()


def test_hadolint_has_nothing_to_say_about_the_written_dockerfile(folder: Path) -> None:
    init(*FLAGS, "--yes")
    hadolint = Path(sys.executable).with_name("hadolint")
    said = subprocess.run([hadolint, folder / "Dockerfile"], capture_output=True, text=True)
    assert (said.returncode, said.stdout) == (0, "")
