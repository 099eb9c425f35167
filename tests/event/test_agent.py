"""User agents become labels for people; known crawlers are named by their pattern."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relay.event.agent import read_agent

CHROME = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
)
HEADLESS = CHROME.replace("Chrome/", "HeadlessChrome/")
INSTAGRAM = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 26_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Mobile/23B85 Instagram 408.0.0.1 (iPhone14,5; iOS 26_1; de_DE; de; scale=3.00; 1170x2532; 83)"
)
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"


@pytest.mark.parametrize(
    ("user_agent", "label"),
    [
        (CHROME, "PC / Linux / Chrome 142.0.0"),
        (INSTAGRAM, "iPhone / iOS 26.1 / Instagram 408.0.0"),
        ("", "Other / Other / Other"),
    ],
)
def test_a_label_names_device_system_and_browser(user_agent: str, label: str) -> None:
    assert read_agent(user_agent).label == label


@pytest.mark.parametrize("user_agent", [CHROME, INSTAGRAM, "", "something new/1.0"])
def test_a_visitor_is_no_bot(user_agent: str) -> None:
    assert read_agent(user_agent).bot is None


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (GOOGLEBOT, "Googlebot"),
        (HEADLESS, "HeadlessChrome"),
        ("curl/8.1.2", "curl"),
        ("facebookexternalhit/1.1", "facebookexternalhit"),
    ],
)
def test_a_crawler_is_named_by_its_pattern(user_agent: str, name: str) -> None:
    assert name in (read_agent(user_agent).bot or "")


def test_what_follows_a_kilobyte_is_not_looked_at() -> None:
    assert read_agent(CHROME.ljust(1_024) + GOOGLEBOT) == read_agent(CHROME.ljust(1_024))


@given(st.text())
def test_any_text_has_a_label(user_agent: str) -> None:
    assert read_agent(user_agent).label.count(" / ") >= 2
