"""The documentation is held against the real objects: what can be set, called or answered has its line."""

import re
import shlex
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, get_type_hints

import click
import msgspec
import pytest
from starlette.routing import BaseRoute, Mount, Route

from relay.assets import find_assets
from relay.cli import main
from relay.event.issue import ISSUE_WORDS, IssueKind
from relay.event.outcome import (
    ADDRESS_SENTENCES,
    ADDRESS_STATUS,
    BODY_SENTENCES,
    BODY_STATUS,
    CALL_SENTENCES,
    CALL_STATUS,
    FATE_SENTENCES,
    IGNORED_SENTENCES,
    RATE_SENTENCES,
    REFUSAL_SENTENCES,
    SEGMENT_SENTENCES,
    SEGMENT_STATUS,
    AddressReason,
    BodyReason,
    BrowserState,
    CallReason,
    Fate,
    FateReason,
    Ignored,
    RateReason,
    Refusal,
    SegmentReason,
)
from relay.event.verdict import Profile
from relay.loading import SECTIONS, load_settings, variables
from relay.senders import SENDERS, Sender
from relay.settings import AddressHosts, EventMapping, EventRules, Pixel, Section, Site
from relay.store.sqlite.file import migrate, migrations
from relay.twin.app import create_twin
from relay.web.health import NOT_READY
from relay.web.operations import OPERATIONS
from relay.web.routes import routes

DOCS = Path(__file__).parent.parent / "docs"
PAGES = sorted(DOCS.glob("*.md"))


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text("utf-8")


def rows(name: str) -> list[list[str]]:
    """The cells of every table row of a page."""
    return [line.strip("| ").split(" | ") for line in page(name).splitlines() if line.startswith("| ")]


def described(struct: type[Section]) -> Iterator[tuple[str, str, str]]:
    """Name, default as the page writes it, and sentence of each field."""
    hints = get_type_hints(struct, include_extras=True)
    for field in msgspec.structs.fields(struct):
        info = msgspec.inspect.type_info(hints[field.name])
        assert isinstance(info, msgspec.inspect.Metadata), f"{field.name} has no sentence"
        sentence = (info.extra_json_schema or {})["description"]
        yield field.name, "needed" if field.required else shown(default_of(field)), str(sentence)


def default_of(field: msgspec.structs.FieldInfo) -> Any:
    makes = field.default_factory
    return field.default if makes is msgspec.NODEFAULT else makes()


def shown(default: Any) -> str:
    if isinstance(default, Section):
        return "as below"
    return "none" if default is None else f"`{msgspec.json.encode(default).decode()}`"


def test_every_setting_is_documented_with_its_default_its_variable_and_its_sentence() -> None:
    documented = rows("settings")
    for variable, (section, field) in variables().items():
        (sentence,) = [s for name, _, s in described(SECTIONS[section]) if name == field]
        (default,) = [d for name, d, _ in described(SECTIONS[section]) if name == field]
        assert [f"`{field}`", default, f"`{variable}`", sentence] in documented


@pytest.mark.parametrize("table", [Site, EventRules, EventMapping, AddressHosts, Pixel])
def test_every_key_of_a_site_and_a_pixel_is_documented(table: type[Section]) -> None:
    documented = rows("settings")
    for name, default, sentence in described(table):
        assert [f"`{name}`", default, sentence] in documented


def test_no_setting_is_documented_that_does_not_exist() -> None:
    tables: list[type[Section]] = [*SECTIONS.values(), Site, EventRules, EventMapping, AddressHosts, Pixel]
    known = {f"`{name}`" for table in tables for name, _, _ in described(table)}
    others = {"`RELAY_CONFIG`", "`COUNTERFOIL_CHROMIUM`", "setting", "variable"}
    assert {row[0] for row in rows("settings")} - others == known


def test_the_example_settings_are_taken(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", page("settings"), re.DOTALL)
    (tmp_path / "relay.toml").write_text(example)
    assert load_settings(tmp_path / "relay.toml", {}, {}).site_by_key("demo-shop") is not None


@pytest.mark.parametrize("reason", list(CallReason))
def test_every_refusal_of_a_servers_call_is_documented_with_what_to_do(reason: CallReason) -> None:
    assert [f"`{reason}`", str(CALL_STATUS[reason]), CALL_SENTENCES[reason]] in [
        row[:3] for row in rows("refusals") if row[-1]
    ]


@pytest.mark.parametrize("reason", list(BodyReason))
def test_every_refusal_of_a_post_is_documented_with_what_to_do(reason: BodyReason) -> None:
    (row,) = [
        row for row in rows("refusals") if row[0] == f"`{reason}`" and len(row) == 4 and row[1].isdigit()
    ]
    assert row[1:3] == [str(BODY_STATUS[reason]), BODY_SENTENCES[reason]]
    assert row[3]


@pytest.mark.parametrize("reason", list(AddressReason))
def test_every_refusal_of_an_address_token_is_documented_with_what_to_do(reason: AddressReason) -> None:
    (row,) = [row for row in rows("refusals") if row[0] == f"`{reason}`"]
    assert row[1:3] == [str(ADDRESS_STATUS[reason]), ADDRESS_SENTENCES[reason]]
    assert row[3]


@pytest.mark.parametrize("reason", list(SegmentReason))
def test_every_refusal_of_a_post_in_segments_format_is_documented_with_what_to_do(
    reason: SegmentReason,
) -> None:
    (row,) = [row for row in rows("refusals") if row[0] == f"`{reason}`"]
    assert row[1:3] == [str(SEGMENT_STATUS[reason]), SEGMENT_SENTENCES[reason]]
    assert row[3]


@pytest.mark.parametrize("reason", list(Ignored))
def test_every_reason_for_a_message_to_be_no_event_is_documented(reason: Ignored) -> None:
    (row,) = [row for row in rows("refusals") if row[0] == f"`{reason}`"]
    assert row[1] == IGNORED_SENTENCES[reason]
    assert row[2]


@pytest.mark.parametrize("reason", list(Refusal))
def test_every_refusal_of_an_event_is_documented_with_what_to_do(reason: Refusal) -> None:
    (row,) = [row for row in rows("refusals") if row[0] == f"`{reason}`" and len(row) == 3]
    assert row[1] == REFUSAL_SENTENCES[reason]
    assert row[2]


@pytest.mark.parametrize("reason", list(RateReason))
def test_every_429_is_documented_with_what_to_do(reason: RateReason) -> None:
    (row,) = [row for row in rows("refusals") if row[0] == f"`{reason}`"]
    assert row[1] == RATE_SENTENCES[reason]
    assert row[2]


@pytest.mark.parametrize("kind", list(IssueKind))
def test_every_kind_of_issue_is_documented_with_what_to_do(kind: IssueKind) -> None:
    (row,) = [row for row in rows("issues") if row[0] == f"`{kind}`"]
    words = ISSUE_WORDS[kind]
    assert row[1:] == [words.severity, words.title, words.sentence, words.fix]


@pytest.mark.parametrize("reason", list(FateReason))
def test_every_end_of_an_event_is_documented_with_what_to_do(reason: FateReason) -> None:
    (row,) = [
        row for row in rows("refusals") if row[0] == f"`{reason}`" and len(row) == 4 and not row[1].isdigit()
    ]
    assert row[1].strip("`") in list(Fate)
    assert row[2] == FATE_SENTENCES[reason]
    assert row[3]


def test_every_fate_is_named() -> None:
    assert all(f"`{fate}`" in page("refusals") for fate in Fate)


@pytest.mark.parametrize(("listed", "name"), [(BrowserState, "receipts"), (Profile, "receipts")])
def test_every_state_and_every_profile_has_a_row(
    listed: type[BrowserState] | type[Profile], name: str
) -> None:
    assert {f"`{member}`" for member in listed} <= {row[0] for row in rows(name)}


@pytest.mark.parametrize("reason", list(NOT_READY))
def test_every_reason_not_to_be_ready_is_documented(reason: str) -> None:
    assert f"`{reason}`" in page("api")


def test_every_table_of_the_store_is_documented_with_what_it_holds_and_for_how_long() -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        migrate(connection, migrations())
        tables = {
            name for (name,) in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
        }
    named = {table for row in rows("privacy") if len(row) == 3 for table in re.findall(r"`(\w+)`", row[0])}
    assert {table for table in tables if not table.startswith("sqlite_")} - named == set()


def documented_routes() -> set[tuple[str, str]]:
    return {
        (method, path)
        for row in rows("api")
        for method, path in re.findall(r"`(GET|POST|DELETE|OPTIONS) (/[^`]*)`", row[0])
    }


def route_names(found: list[BaseRoute]) -> Iterator[tuple[str, str]]:
    for route in found:
        if isinstance(route, Mount):
            yield "GET", f"{route.path}/…"
        if isinstance(route, Route):
            for method in (route.methods or set()) - {"HEAD"}:
                yield method, re.sub(r":\w+}", "}", route.path)


def test_every_route_of_the_relay_is_documented() -> None:
    assert set(route_names(routes(find_assets("static")))) <= documented_routes()


def test_every_route_of_the_relay_is_described_in_openapi_json_and_nothing_else() -> None:
    described = {(each.method.upper(), each.path.replace("{file}", "…")) for each in OPERATIONS}
    assert described == set(route_names(routes(find_assets("static"))))


def test_every_route_of_the_twin_is_documented_but_its_own_files() -> None:
    own = {"/assets/{name}", "/{rest}", "/tr"}  # `/tr` is `/tr/` without its slash
    answers_405 = {("GET", "/{version}/{pixel}/events"), ("DELETE", "/{version}/{pixel}/events")}
    found = {name for name in route_names(create_twin().routes) if name[1] not in own} - answers_405
    assert found <= documented_routes()


def test_no_route_is_documented_that_does_not_exist() -> None:
    real = {*route_names(routes(find_assets("static"))), *route_names(create_twin().routes)}
    assert documented_routes() <= real


@pytest.mark.parametrize("name", list(main.commands))
def test_every_command_and_every_flag_is_documented(name: str) -> None:
    assert any(row[0] == f"`counterfoil {name}`" for row in rows("cli"))
    section = re.split(r"^## ", page("cli"), flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(f"{name}\n")]
    flags = {
        flag
        for option in main.commands[name].params
        if isinstance(option, click.Option)
        for flag in option.opts
    } - {"--config"}
    assert {flag for flag in flags if flag not in text} == set()


def commands_in_docs() -> list[list[str]]:
    texts = [
        text
        for file in PAGES
        for text in re.findall(r"counterfoil ([a-z-]+[^`\n|<]*)", file.read_text("utf-8"))
    ]
    return [shlex.split(text.partition("  #")[0].replace("'", "")) for text in texts]


def test_no_command_and_no_flag_is_documented_that_does_not_exist() -> None:
    for name, *arguments in commands_in_docs():
        if name in main.commands:
            known = {flag for option in main.commands[name].params for flag in option.opts}
            assert {word for word in arguments if word.startswith("--")} <= {*known, "--help"}, (
                name,
                arguments,
            )


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_every_link_between_the_pages_leads_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", file.read_text("utf-8")):
        assert "://" in target or (DOCS / target).exists(), target


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.name)
def test_every_page_is_in_the_sites_menu(file: Path) -> None:
    menu = (DOCS.parent / "mkdocs.yml").read_text("utf-8")
    assert re.search(rf"[\[ ]{re.escape(file.name)}[,\]]", menu), f"add {file.name} to nav in mkdocs.yml"


INTEGRATIONS = sorted((DOCS.parent / "integrations").glob("*/README.md"))


@pytest.mark.parametrize("file", INTEGRATIONS, ids=lambda file: file.parent.name)
def test_every_integration_is_listed_and_its_page_leads_somewhere_and_names_tests_that_exist(
    file: Path,
) -> None:
    text = file.read_text("utf-8")
    assert f"../integrations/{file.parent.name}/README.md" in page("integrations")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        assert "://" in target or (file.parent / target).exists(), target
    tests = re.findall(r"`((?:tests|e2e)/[^`]+)`", text.partition("Tested:")[2])
    assert tests
    assert all((DOCS.parent / test).exists() for test in tests)


@pytest.mark.parametrize("sender", SENDERS, ids=lambda sender: sender.id)
def test_every_sender_is_documented_with_how_to_turn_it_off(sender: Sender) -> None:
    (row,) = [row for row in rows("radar") if row[0] == f"`{sender.id}`"]
    assert row[1:] == [sender.name, "certainly" if sender.sends else "perhaps", sender.fix]
