"""The tables of places are whole, and no name means two of them."""

import re

import phonenumbers
import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event import places


def test_every_country_has_a_two_letter_code_a_three_letter_code_and_a_name() -> None:
    for code in set(places.COUNTRIES.values()):
        names = [name for name, of in places.COUNTRIES.items() if of == code]
        assert re.fullmatch(r"[a-z]{2}", names[0])
        assert re.fullmatch(r"[a-z]{3}", names[1])
        assert len(names) > 2


def test_no_country_with_telephones_is_missing() -> None:
    """Kosovo, Ascension and Tristan da Cunha have numbers and no code of their own in ISO 3166-1."""
    with_telephones = {region.lower() for region in phonenumbers.SUPPORTED_REGIONS} - {"xk", "ac", "ta"}
    assert with_telephones <= set(places.COUNTRIES.values())
    assert len(set(places.COUNTRIES.values())) == 249


def test_the_states_and_provinces_are_all_there() -> None:
    assert len(set(places.US_STATES.values())) == 50 + 1 + 5 + 3
    assert len(set(places.CA_PROVINCES.values())) == 13
    assert not set(places.US_STATES) & set(places.CA_PROVINCES)


@pytest.mark.parametrize("lines", [places.COUNTRIES, places.US_STATES, places.CA_PROVINCES])
def test_names_are_keys_of_themselves(lines: dict[str, str]) -> None:
    assert all(places.key_of(name) == name for name in lines)


def test_a_name_given_twice_in_a_table_would_be_noticed() -> None:
    with pytest.raises(ValueError, match="twice"):
        places.table("a b\nc b\n")


@given(st.text(st.characters()))
def test_any_text_has_a_key_of_plain_letters(name: str) -> None:
    assert re.fullmatch(r"[a-z]*", places.key_of(name))
