"""relay.toml ← RELAY_* ← flags: what is read, and how each mistake is named."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.errors import SettingsError
from relay.loading import SECTIONS, load_settings, read_token, variables
from relay.settings import Pixel, Settings

GOOD = """
[server]
port = 8400
trusted_proxies = ["10.0.0.0/8", "fd00::/8"]
[[site]]
key = "demo-shop"
origins = ["https://shop.example", "http://127.0.0.1:8310"]
[[site.pixels]]
id = "1234567890"
token_env = "SHOP_TOKEN"
"""
SITE = 'key = "demo-shop"\norigins = ["https://shop.example"]'
PIXEL = 'id = "1"\ntoken_env = "T"'


def write(folder: Path, text: str) -> Path:
    path = folder / "relay.toml"
    path.write_text(text, "utf-8")
    return path


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(SettingsError) as raised:
        load_settings(write(folder, text), {}, {})
    return str(raised.value)


def test_without_a_file_every_setting_has_its_default() -> None:
    assert load_settings(None, {}, {}) == Settings()


def test_the_file_is_read(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, GOOD), {}, {})
    assert settings.server.port == 8400
    site = settings.site_by_key("demo-shop")
    assert site is not None
    assert site.pixel_ids() == ("1234567890",)


def test_variables_win_over_the_file_and_flags_over_both(tmp_path: Path) -> None:
    path = write(tmp_path, GOOD)
    assert load_settings(path, {"RELAY_PORT": "8500"}, {}).server.port == 8500
    assert load_settings(path, {"RELAY_PORT": "8500"}, {"server": {"port": 8600}}).server.port == 8600


def test_a_flag_that_was_not_given_overrides_nothing(tmp_path: Path) -> None:
    assert load_settings(write(tmp_path, GOOD), {}, {"server": {"port": None}}).server.port == 8400


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("RELAY_GRAPH_URL", "http://127.0.0.1:8320", "http://127.0.0.1:8320"),
        ("RELAY_PORT", " 9000 ", 9000),
        ("RELAY_ACCEPT_PRIVATE_ADDRESSES", "true", True),
        ("RELAY_ACCEPT_PRIVATE_ADDRESSES", "0", False),
        ("RELAY_TRUSTED_PROXIES", "10.0.0.0/8, fd00::/8,", ("10.0.0.0/8", "fd00::/8")),
        ("RELAY_STORE_PATH", "/data/counterfoil.db", "/data/counterfoil.db"),
        ("RELAY_STORE_RETENTION_DAYS", "7", 7),
        ("RELAY_DELIVERY_HOLD_PENDING_SECONDS", "1.5", 1.5),
        ("RELAY_DELIVERY_ON_UNKNOWN", "hold", "hold"),
        ("RELAY_PRIVACY_ADDRESS_HOURS", "0", 0.0),
    ],
)
def test_a_variable_is_read_as_its_field_is_typed(variable: str, text: str, value: object) -> None:
    settings = load_settings(None, {variable: text}, {})
    section, field = variables()[variable]
    assert getattr(getattr(settings, section), field) == value


def test_an_empty_variable_counts_as_not_set() -> None:
    assert load_settings(None, {"RELAY_PORT": ""}, {}) == Settings()


def test_every_field_of_every_section_has_one_variable_of_its_own() -> None:
    fields = {(section, field) for section, struct in SECTIONS.items() for field in struct.__struct_fields__}
    assert set(variables().values()) == fields
    assert len(variables()) == len(fields)


@pytest.mark.parametrize("text", ["tcp://10.0.0.1:80", "0", "70000", "8.5"])
def test_a_variable_of_the_wrong_type_is_named_with_its_text(text: str) -> None:
    with pytest.raises(SettingsError, match=f"^RELAY_PORT={text}: Expected `int`.*unset it"):
        load_settings(None, {"RELAY_PORT": text}, {})


def test_a_misspelt_variable_is_refused_with_the_right_one() -> None:
    with pytest.raises(
        SettingsError, match=r"RELAY_GRAPHURL is not a setting\. Did you mean RELAY_GRAPH_URL"
    ):
        load_settings(None, {"RELAY_GRAPHURL": "http://127.0.0.1:8320"}, {})


def test_variables_of_other_programs_and_those_the_file_names_are_left_alone(tmp_path: Path) -> None:
    named = GOOD.replace("SHOP_TOKEN", "RELAY_PORTS")
    environ = {"RELAY_PORTS": "EAAtoken", "RELAY_SERVICE_HOST": "10.0.0.1", "PATH": "/bin"}
    assert load_settings(write(tmp_path, named), environ, {}).server.port == 8400


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[serve]\n", "$.serve is not a setting. Did you mean server?"),
        ("[server]\nprot = 1", "$.server.prot is not a setting. Did you mean port?"),
        (f"[[site]]\n{SITE}\npixel = []", "$.site[0].pixel is not a setting. Did you mean pixels?"),
        (
            f"[[site]]\n{SITE}\n[[site.pixels]]\n{PIXEL}\nzzz = 1",
            "$.site[0].pixels[0].zzz is not a setting. docs/settings.md lists",
        ),
    ],
)
def test_an_unknown_key_is_refused_with_its_path_and_the_likely_one(
    tmp_path: Path, text: str, sentence: str
) -> None:
    assert sentence in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[server]\nport = 'x'", "$.server.port: Expected `int`, got `str`"),
        ("server = 3", "$.server: Expected `object`, got `int`"),
        (f"[[site]]\n{SITE}\npixels = []", "$.site[0].pixels: Expected `array` of length >= 1"),
        ("[[site]]\nkey = 'demo-shop'", "$.site[0]: Object missing required field `origins`"),
        (f"[[site]]\n{SITE}\n[[site.pixels]]\nid = 'EAA'", "$.site[0].pixels[0].id: Expected `str` matching"),
        (
            "[delivery]\nhold_pending_seconds = inf",
            "$.delivery: hold_pending_seconds must be a finite number",
        ),
        (
            "[delivery]\nhold_pending_seconds = nan",
            "$.delivery.hold_pending_seconds: Expected `float` >= 0.0",
        ),
        (
            "[server]\nsecret_key_env = 'A'\nsecret_key_file = 'b'",
            "$.server: secret_key_env and secret_key_file are",
        ),
        (
            f"[[site]]\n{SITE}\nrequire_signature = ['Purchase']\n[[site.pixels]]\n{PIXEL}",
            "require_signature needs conversion_key_env or conversion_key_file",
        ),
        (
            f"[[site]]\n{SITE}\nconversion_key_env = 'A'\nconversion_key_file = 'b'\n[[site.pixels]]\n{PIXEL}",
            "conversion_key_env and conversion_key_file are both set",
        ),
        (
            f"[[site]]\n{SITE}\n[[site.pixels]]\n{PIXEL}\ntoken_file = 'x'",
            "token_env and token_file are both set",
        ),
        ("port = ", "relay.toml is not TOML: Invalid value (at end of document). Mend that line."),
    ],
)
def test_a_wrong_value_is_refused_with_its_path(tmp_path: Path, text: str, sentence: str) -> None:
    assert sentence in refusal(tmp_path, text)


@pytest.mark.parametrize("network", ["*", "0.0.0.0/0", "::/0", "128.0.0.0/1", "2000::/3"])
def test_trusting_everybody_as_a_proxy_is_refused_with_the_reason(tmp_path: Path, network: str) -> None:
    sentence = refusal(tmp_path, f'[server]\ntrusted_proxies = ["10.0.0.0/8", "{network}"]')
    assert "$.server: " in sentence
    assert f"{network} would trust everybody, and any visitor could then claim any address" in sentence


@pytest.mark.parametrize("network", ["cloudflair", "10.0.0.1/8", "10.0.0.0/33", ""])
def test_a_proxy_must_be_a_network_or_a_known_name(tmp_path: Path, network: str) -> None:
    sentence = refusal(tmp_path, f'[server]\ntrusted_proxies = ["{network}"]')
    assert "Write a CIDR such as" in sentence
    assert "cloudflare" in sentence


def test_a_proxy_may_be_named(tmp_path: Path) -> None:
    settings = load_settings(None, {"RELAY_TRUSTED_PROXIES": "caddy,cloudflare,2001:db8::/32"}, {})
    assert settings.server.trusted_proxies == ("caddy", "cloudflare", "2001:db8::/32")


def test_an_address_host_must_be_an_address(tmp_path: Path) -> None:
    text = f'[[site]]\n{SITE}\n[site.address_hosts]\nipv6 = "v6.shop.example"\n[[site.pixels]]\n{PIXEL}'
    assert "$.site[0].address_hosts: v6.shop.example is not an" in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("origin", "sentence"),
    [
        ("https://shop.example/", "Write https://shop.example."),
        ("https://shop.example/checkout?x=1", "Write https://shop.example."),
        ("https://Shop.Example", "Write https://shop.example."),
        ("https://shop.example:443", "Write https://shop.example."),
        ("http://shop.example:80", "Write http://shop.example."),
        ("https://bücher.example", "Write https://xn--bcher-kva.example."),
        ("shop.example", "not an http or https address"),
        ("ftp://shop.example", "not an http or https address"),
        ("https://user@shop.example", "not an http or https address"),
        ("https://*.shop.example", "not an http or https address"),
        ("https://", "not an http or https address"),
        ("https://shop.example:99999", "is not an address"),
        ("https://[::1", "is not an address"),
        ("*", "would let every page on the web post"),
        ("null", "would let every page on the web post"),
    ],
)
def test_an_origin_must_be_spelt_as_browsers_send_it(tmp_path: Path, origin: str, sentence: str) -> None:
    told = refusal(tmp_path, f'[[site]]\nkey = "demo"\norigins = ["{origin}"]\n[[site.pixels]]\n{PIXEL}')
    assert "$.site[0]: " in told
    assert sentence in told


@pytest.mark.parametrize(
    "origin", ["https://shop.example", "http://127.0.0.1:8310", "https://[2001:db8::1]:8443"]
)
def test_origins_as_browsers_send_them_are_taken(tmp_path: Path, origin: str) -> None:
    text = f'[[site]]\nkey = "demo"\norigins = ["{origin}"]\n[[site.pixels]]\n{PIXEL}'
    assert load_settings(write(tmp_path, text), {}, {}).site[0].origins == (origin,)


@pytest.mark.parametrize(
    "url", ["https://relay.example/", "relay.example", "https://r.example?x", "http://[::1"]
)
def test_the_relays_own_address_must_be_a_plain_one(url: str) -> None:
    with pytest.raises(SettingsError, match=r"\$.server: "):
        load_settings(None, {}, {"server": {"public_url": url}})


def test_two_sites_with_one_key_are_refused_with_the_next_step(tmp_path: Path) -> None:
    sites = "".join(f"[[site]]\n{SITE}\n[[site.pixels]]\nid = '{pixel}'\n" for pixel in (1, 2))
    assert "the site key demo-shop is used twice; give each site its own" in refusal(tmp_path, sites)


@pytest.mark.parametrize("second_key", [None, "other-shop"])
def test_a_pixel_listed_twice_is_refused_with_the_next_step(tmp_path: Path, second_key: str | None) -> None:
    second = f'[[site]]\nkey = "{second_key}"\norigins = ["https://other.example"]\n' if second_key else ""
    text = f"[[site]]\n{SITE}\n[[site.pixels]]\n{PIXEL}\n{second}[[site.pixels]]\n{PIXEL}\n"
    assert "the pixel 1 is listed twice; list it once" in refusal(tmp_path, text)


def test_a_missing_file_says_how_to_write_one(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="Write one with `counterfoil init`"):
        load_settings(tmp_path / "relay.toml", {}, {})


def test_a_file_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "relay.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="not a text in UTF-8"):
        load_settings(path, {}, {})


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: Is a directory"):
        load_settings(tmp_path, {}, {})


def test_a_token_comes_from_its_variable_or_its_file_without_the_line_end(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("EAAfile\n")
    assert read_token(Pixel(id="1", token_env="SHOP_TOKEN"), {"SHOP_TOKEN": "EAAvariable\n"}) == "EAAvariable"
    assert read_token(Pixel(id="1", token_file=str(file)), {}) == "EAAfile"


def test_a_pixel_without_a_token_has_none(tmp_path: Path) -> None:
    empty = tmp_path / "token"
    empty.write_text("\n")
    assert read_token(Pixel(id="1"), {"SHOP_TOKEN": "EAA"}) is None
    assert read_token(Pixel(id="1", token_env="SHOP_TOKEN"), {}) is None
    assert read_token(Pixel(id="1", token_file=str(empty)), {}) is None


def test_a_token_file_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="cannot be read: No such file"):
        read_token(Pixel(id="1", token_file=str(tmp_path / "none")), {})


@pytest.mark.parametrize("token", ["EAA x", "EAA\r\nX-Evil: 1", "EAÄ"])
def test_what_cannot_be_a_token_is_refused_without_repeating_it(token: str) -> None:
    with pytest.raises(SettingsError) as raised:
        read_token(Pixel(id="1", token_env="T"), {"T": token})
    assert token not in str(raised.value)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(), lambda v: st.lists(v), max_leaves=5))
def test_no_value_of_any_field_escapes_as_another_error(value: object) -> None:
    """Either the value is taken as the struct itself would take it, or a SettingsError names its path."""
    for section, struct in SECTIONS.items():
        for field in struct.__struct_fields__:
            document = {section: {field: value}}
            try:
                expected = msgspec.convert({} if value is None else document, Settings)
            except msgspec.ValidationError:
                with pytest.raises(SettingsError, match=rf"\$\.{section}"):
                    load_settings(None, {}, document)
            else:
                assert load_settings(None, {}, document) == expected


@given(st.text())
def test_no_origin_breaks_the_loader(origin: str) -> None:
    document = {"site": [{"key": "demo", "origins": [origin], "pixels": [{"id": "1"}]}]}
    if re.fullmatch(r"https?://[a-z0-9]+", origin):
        assert load_settings(None, {}, document).site[0].origins == (origin,)
    else:
        with pytest.raises(SettingsError, match=r"\$\.site\[0\]"):
            load_settings(None, {}, document)


@pytest.mark.parametrize(
    ("mapping", "named"),
    [
        ({"purchase_currency": "XYZ"}, "XYZ"),
        ({"purchase_currency": "usd"}, "purchase_currency"),
        ({"events": {"Signed Up": "x" * 51}}, "50 characters"),
        ({"identify": "x" * 51}, "50 characters"),
        ({"data_processing_options": ["LDO"]}, "data_processing_options"),
        ({"evnts": {}}, "events"),
    ],
)
def test_a_mapping_that_meta_would_refuse_is_refused_at_the_start(
    mapping: dict[str, Any], named: str
) -> None:
    site = {"key": "shop", "origins": ["https://shop.example"], "pixels": [{"id": "1"}], "mapping": mapping}
    with pytest.raises(SettingsError, match=named):
        load_settings(None, {}, {"site": [site]})
