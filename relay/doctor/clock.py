"""The relay's clock beside Graph's: event times are made by the one and judged by the other."""

from email.utils import parsedate_to_datetime
from typing import Final

from relay.doctor.address import ask_echo, doctor_token
from relay.doctor.finding import Check, Finding, failed, skipped, warned, well
from relay.doctor.network import Network, NoAnswer
from relay.doctor.subject import Subject
from relay.errors import SettingsError

GOOD_SECONDS: Final = 5  # a Date header is a whole second, and a round trip lies in between
# Meta publishes no limit for events from the future; a published integration has seen more than a minute refused.
BAD_SECONDS: Final = 60
FIX: Final = "Let the relay's machine keep its time by NTP (`timedatectl set-ntp true`)."


async def check_clock(subject: Subject, network: Network) -> list[Finding]:
    about = f"{subject.relay} and {subject.settings.server.graph_url}"
    try:
        relay, how = await _relay_ahead_ms(subject, network)
        graph = await _date_ahead_ms(network, subject.settings.server.graph_url)
    except NoAnswer as silent:
        return [skipped(Check.CLOCK, about, str(silent), "See health and graph.")]
    seconds = (relay - graph) / 1000
    if abs(seconds) <= GOOD_SECONDS:
        return [well(Check.CLOCK, about, f"within {GOOD_SECONDS} s of each other, by {how}")]
    seen = f"the relay is {abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'} Graph, by {how}"
    return [(failed if abs(seconds) > BAD_SECONDS else warned)(Check.CLOCK, about, seen, FIX)]


async def _relay_ahead_ms(subject: Subject, network: Network) -> tuple[float, str]:
    """Milliseconds ahead of this machine. The relay's own word, else the Date header, which a proxy may write."""
    try:
        before_ms = network.clock_ms()
        echo = await ask_echo(subject, network, doctor_token(subject, before_ms))
        return echo.now_ms - (before_ms + network.clock_ms()) / 2, "the relay's own clock"
    except (NoAnswer, SettingsError):
        return await _date_ahead_ms(network, f"{subject.relay}/healthz"), "its Date header"


async def _date_ahead_ms(network: Network, url: str) -> float:
    before_ms = network.clock_ms()
    answer = await network.ask("HEAD", url)
    middle_ms = (before_ms + network.clock_ms()) / 2
    try:
        date = parsedate_to_datetime(answer.headers.get("date", ""))
    except ValueError:
        raise NoAnswer(f"{url} sends no Date header.") from None
    return date.timestamp() * 1000 + 500 - middle_ms  # half a second has been cut off on average
