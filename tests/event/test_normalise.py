"""Match keys are normalised by the documented rules, hashed, and never shown."""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from relay.event.explain import explain_hash
from relay.event.normalise import USER_DATA_KEYS, hash_user_data, normalise

ROWS: list[dict[str, Any]] = [
    json.loads(line) for line in (Path(__file__).parent / "data/match_keys.jsonl").read_text().splitlines()
]
# Rows whose expectation we do not share, and what we send instead; docs/normalisation.md says why.
ARGUED = {"n091": "442079460958"}

MD5 = "6ad14ba9986e3615423dfca256d04e3f"
SHA256 = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"

any_text = st.text(st.characters()) | st.text("aZé東İß19٣@.,-+()x#/ \t\u200b'”_|", max_size=24)
fields = st.sampled_from(USER_DATA_KEYS)


def sha(text: str) -> str:
    return sha256(text.encode()).hexdigest()


@pytest.mark.parametrize("row", ROWS, ids=[row["id"] for row in ROWS])
def test_every_known_value_is_hashed_as_expected_or_as_argued(row: dict[str, Any]) -> None:
    answer = explain_hash({name: row[name] for name in ("id", "field", "value", "country") if name in row})
    if argued := ARGUED.get(row["id"]):
        assert (answer["normalized"], answer["sha256"]) == (argued, sha(argued))
        assert row["expect"]["normalized"] != argued
        return
    assert (answer["normalized"], answer["sha256"]) == (row["expect"]["normalized"], row["expect"]["sha256"])
    label = row["expect"]["why"].split(" (")[0]
    assert answer["why"].startswith(label)


@pytest.mark.parametrize(
    ("field", "value", "normalized"),
    [
        ("em", "Jane@Example.com\u202c", "jane@example.com"),
        ("em", "john@उदाहरण.परीक्षा", "john@उदाहरण.परीक्षा"),
        ("em", "jane@a_b-c.example", "jane@a_b-c.example"),
        ("em", "jane@example.com;", None),
        ("em", "@example.com", None),
        ("em", "jane@example-.com", None),
        ("ph", "１６５０５５５１２１２", "16505551212"),  # noqa: RUF001 -- full-width digits are the case
        ("ph", "+1 650 555 1212 ext. 99", "16505551212"),
        ("ph", "650 555 1212 x99", "6505551212"),
        ("ph", "1234567890123456", None),
        ("fn", "D'Arcy  Ann-Marie", "darcyannmarie"),
        ("ln", "--", None),
        ("ct", "東京", "東京"),
        ("ct", "Кам'янець-Подільський", "камянецьподільський"),
        ("ct", "1st City", "stcity"),
        ("st", "Québec", "qc"),
        ("st", "Washington, D.C.", "dc"),
        ("st", "Washington State", "wa"),
        ("st", "State of West Virginia", "wv"),
        ("st", "Baja California", "bajacalifornia"),
        ("st", "Maine-et-Loire", "maineetloire"),
        ("st", "us-zz", "uszz"),
        ("st", "75", None),
        ("zp", "100-0001", "100"),
        ("country", "The Netherlands", "nl"),
        ("country", "Korea, Republic of", "kr"),
        ("country", "UK", "gb"),
        ("country", "St. Lucia", "lc"),
        ("country", "Türkiye", "tr"),
        ("country", "Scotland", None),
        ("db", "16.02.1997", "19970216"),
        ("db", "1997年2月16日", "19970216"),
        ("db", "2099-01-01", None),
        ("db", "97-02-16", None),
        ("ge", "MRS", "f"),
        ("external_id", "User 123", "user123"),
    ],
)
def test_a_value_takes_the_form_that_its_rule_says(field: str, value: str, normalized: str | None) -> None:
    result = normalise(field, value)
    assert result.normalized == normalized
    assert result.sha256 == result.sent == (None if normalized is None else sha(normalized))


@pytest.mark.parametrize(
    ("value", "country", "normalized"),
    [
        ("(650)555-1212", "US", "16505551212"),
        ("(650)555-1212", "United States", "16505551212"),
        ("020 7946 0958", "gb", "442079460958"),
        ("0044 20 7946 0958", "DE", "442079460958"),
        ("+49 30 901820", "US", "4930901820"),
        ("650 555 1212", "nowhere", "6505551212"),
        ("12345678", "US", "12345678"),  # not valid there: the digits as they are, never a guess
    ],
)
def test_a_country_completes_a_telephone_number_only_where_that_is_valid(
    value: str, country: str, normalized: str
) -> None:
    assert normalise("ph", value, country).normalized == normalized


@pytest.mark.parametrize("field", USER_DATA_KEYS)
def test_what_came_hashed_is_sent_in_lower_case(field: str) -> None:
    assert normalise(field, f" {SHA256.upper()} ").sent == SHA256
    assert normalise(field, MD5.upper()).sent == MD5
    assert "cannot match" in normalise(field, MD5).why


@pytest.mark.parametrize("mark", ["BA", "AQYCAQMC"])
def test_a_hash_with_a_parameter_builders_mark_is_sent_as_it_came(mark: str) -> None:
    result = normalise("em", f"{SHA256}.{mark}")
    assert (result.sha256, result.sent) == (SHA256, f"{SHA256}.{mark}")


def test_an_unknown_key_is_left_out_with_the_known_ones_named() -> None:
    result = normalise("shoe_size", "44")
    assert result.sent is None
    assert "external_id" in result.why


@given(field=fields | st.text(), value=any_text, country=st.none() | any_text)
def test_normalising_takes_any_text(field: str, value: str, country: str | None) -> None:
    result = normalise(field, value, country)
    assert (result.sent is None) == (result.sha256 is None)
    assert result.why


@given(field=fields, value=any_text)
def test_normalising_what_is_normalised_changes_no_hash(field: str, value: str) -> None:
    first = normalise(field, value)
    assume(first.normalized is not None)
    assert first.normalized is not None
    again = normalise(field, first.normalized)
    assume(not again.why.startswith("already hashed"))  # digits in a row may look like an MD5
    assert again.sha256 == first.sha256


@given(field=fields, before=any_text, after=any_text)
def test_no_part_of_a_raw_value_is_in_what_is_stored(field: str, before: str, after: str) -> None:
    stored = hash_user_data({field: [f"{before}zyxwvuts{after}"]}, None)
    assert b"zyxwvuts" not in msgspec.json.encode(stored).lower()


def test_a_telephone_number_takes_the_events_own_country_before_the_sites() -> None:
    number = {"ph": ["020 7946 0958"]}
    assert hash_user_data(number | {"country": ["GB"]}, "US").hashed["ph"] == [sha("442079460958")]
    assert hash_user_data(number, "GB").hashed["ph"] == [sha("442079460958")]
    assert hash_user_data(number, None).hashed["ph"] == [sha("2079460958")]


def test_values_that_come_to_the_same_hash_are_sent_once_in_their_order() -> None:
    stored = hash_user_data({"em": ["B@b.co", "a@a.co", "b@b.co", "nobody"]}, None)
    assert stored.hashed == {"em": [sha("b@b.co"), sha("a@a.co")]}
    assert stored.why == {"em": "rule: lower case, trimmed; unusable: not one email address"}


def test_a_key_without_a_usable_value_has_a_reason_and_no_hash() -> None:
    stored = hash_user_data({"ge": ["unknown"], "zp": []}, None)
    assert stored.hashed == {}
    assert list(stored.why) == ["ge"]


def test_the_documented_examples_are_what_happens() -> None:
    page = (Path(__file__).parents[2] / "docs/normalisation.md").read_text()
    examples = [json.loads(line) for line in page.splitlines() if line.startswith('{"field"')]
    assert {example["field"] for example in examples} == set(USER_DATA_KEYS)
    for example in examples:
        result = normalise(example["field"], example["value"], example.get("country"))
        assert result.normalized == example["normalized"], example


def test_every_argued_disagreement_is_in_the_documentation() -> None:
    page = (Path(__file__).parents[2] / "docs/normalisation.md").read_text()
    assert all(f"| `{row}` |" in page and f"`{normalized}`" in page for row, normalized in ARGUED.items())
