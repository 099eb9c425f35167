"""Each pixel's token, by a call that carries no event.

Graph must refuse a call without events; what it names first tells whether the token passed: an error about the
parameters (100) comes after the token was taken, an error about the token (190, 102, 104) or a permission before.
That order is the Meta twin's and that of published answers; it is not verified against live Meta.
"""

from typing import Final

from relay.delivery.graph import Graph, PixelAccess
from relay.doctor.finding import Check, Finding, failed, skipped, warned, well
from relay.doctor.network import Network
from relay.doctor.subject import Subject, host_of, is_name
from relay.errors import SettingsError
from relay.event.outcome import AttemptOutcome
from relay.loading import read_token
from relay.settings import GRAPH_URL, Pixel

NO_EVENTS: Final = b'{"data":[]}'
UNVERIFIED: Final = "not verified against live Meta"


async def check_pixels(subject: Subject, network: Network) -> list[Finding]:
    return [await _pixel(subject, network, pixel) for pixel in subject.site.pixels]


async def _pixel(subject: Subject, network: Network, pixel: Pixel) -> Finding:
    about = f"pixel {pixel.id}"
    holder = pixel.token_env or pixel.token_file
    place = f"Put a token of Events Manager that may write to {pixel.id} into {holder or 'token_env or token_file'}"
    try:
        token = read_token(pixel, subject.environ)
    except SettingsError as problem:
        return failed(Check.GRAPH, about, str(problem), f"{place}.")
    if token is None:
        return failed(Check.GRAPH, about, f"{holder or 'its settings'} holds no token", f"{place}.")
    server = subject.settings.server
    access = PixelAccess(pixel.id, token, pixel.graph_version or server.graph_version, pixel.test_event_code)
    graph = Graph(network.http, server.graph_url, subject.settings.delivery)
    result = (await graph.send(access, NO_EVENTS, events=0)).result
    code = f" (code {result.code})" if result.code else ""
    seen = f"{result.message or 'Graph took the empty call'}{code}"
    match result.outcome:
        case AttemptOutcome.PARK:
            return failed(
                Check.GRAPH, about, seen, f"{place}; see that graph_version is one that Meta still serves."
            )
        case AttemptOutcome.RETRY | AttemptOutcome.UNKNOWN:
            return skipped(
                Check.GRAPH, about, seen, f"Let this machine reach {server.graph_url}, or try again."
            )
        case AttemptOutcome.REJECT | AttemptOutcome.RECEIPT:
            return _token_passed(subject, pixel, seen)


def _token_passed(subject: Subject, pixel: Pixel, seen: str) -> Finding:
    about, server = f"pixel {pixel.id}", subject.settings.server
    seen = f"the token passed: {seen} ({UNVERIFIED})"
    if server.graph_url != GRAPH_URL and is_name(host_of(subject.relay)) and not subject.in_laboratory:
        fix = f"Remove [server] graph_url, so that events go to {GRAPH_URL}."
        return failed(Check.GRAPH, about, f"{seen}; but events go to {server.graph_url}, not to Meta", fix)
    if pixel.test_event_code:
        fix = "Remove test_event_code when the tests are over."
        return warned(Check.GRAPH, about, f"{seen}; test_event_code is set, and its events count", fix)
    return well(Check.GRAPH, about, seen)
