"""User agent → a label for people, and whether it is a known crawler.

A crawler runs no Pixel, so its server event would have no browser half and would count a visitor who never
was: its events are recorded and not sent. The list's verdict stands as it is, which includes HeadlessChrome:
shops do get visits from scripted browsers, Meta marks them as such in the Pixel's own request, and a relay
that let them through would count what Meta leaves out. Whoever drives a headless browser on purpose gives it
an ordinary user agent, or sets `accept_headless`, as the sandbox does.
"""

from functools import lru_cache
from typing import Final

import msgspec
import user_agents
from crawleruseragents import CRAWLER_USER_AGENTS_DATA, is_crawler, matching_crawlers

HEADLESS: Final = "HeadlessChrome"  # the list's pattern for a Chromium that says it has no window
READ_MAX: Final = (
    1_024  # characters looked at; real ones stay below 600, and matching is no place to be flooded
)


class Agent(msgspec.Struct, frozen=True, kw_only=True):
    label: str  # device / system / browser, such as "iPhone / iOS 26.1 / Instagram 408.0"
    bot: str | None  # the pattern of the crawler list that it matches


def read_agent(user_agent: str) -> Agent:
    return _read(user_agent[:READ_MAX])


@lru_cache(maxsize=4_096)
def _read(user_agent: str) -> Agent:
    return Agent(label=str(user_agents.parse(user_agent)), bot=_crawler(user_agent))


def _crawler(user_agent: str) -> str | None:
    if not is_crawler(user_agent):
        return None
    pattern: str = CRAWLER_USER_AGENTS_DATA[matching_crawlers(user_agent)[0]]["pattern"]
    return pattern
