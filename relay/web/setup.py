"""Set-up: a checklist that ticks itself until the first pair has arrived, with the exact next step of each point."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.issue import IssueKind
from relay.event.outcome import AttemptOutcome, BrowserState
from relay.event.tally import Outcome, Topic
from relay.settings import Settings, Site
from relay.store.protocol import Issue, PixelAttempt, PixelState, Store
from relay.tag import STUB, policy_line, site_tag
from relay.web.conditions import is_open
from relay.web.errors import JsonResponse
from relay.web.headers import NO_STORE
from relay.web.issues import origins_line
from relay.web.loads import Loads
from relay.web.pages import show
from relay.web.rollup import read_sums
from relay.web.scope import RANGES, Scope, read_scope

CALLS: Final = 200
LONGEST: Final = RANGES[-1]
DISPATCHED: Final = (BrowserState.SENT, BrowserState.LATE, BrowserState.PENDING)

State = Literal["done", "next", "waiting", "failing"]


class SetupStep(msgspec.Struct, frozen=True, kw_only=True):
    """One point of the list. The first that is neither done nor failing is `next`."""

    name: str
    state: State
    sentence: str
    next_step: str  # empty where it is done
    line: str | None = None  # to be copied


class Snippet(msgspec.Struct, frozen=True, kw_only=True):
    """One way to put the snippet into pages."""

    name: str
    sentence: str
    text: str


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    site: str
    is_done: bool
    steps: tuple[SetupStep, ...]
    snippets: tuple[Snippet, ...]


class Known(NamedTuple):
    """What the steps are told by."""

    host: str  # that this very request asked for
    loads: Loads | None
    refused_origins: Sequence[Issue]
    accepted: int
    legs: dict[str, int]
    paired: int
    reversed: int
    parked: Sequence[PixelState]
    taken: PixelAttempt | None  # the latest call that Meta confirmed


async def setup_page(request: Request) -> Response:
    return show(request, "console/setup.html", view=await read_setup(request))


async def setup_json(request: Request) -> Response:
    return JsonResponse(await read_setup(request), headers=NO_STORE)


async def read_setup(request: Request) -> Setup | None:
    """Of the asked site, or of the first; None without a configured site."""
    settings: Settings = request.app.state.settings
    asked = read_scope(request).site
    site = (settings.site_by_key(asked) if asked else None) or next(iter(settings.site), None)
    if site is None:
        return None
    known = await read_known(request, site)
    steps = [*steps_of(known, site, settings)]
    upcoming = next((n for n, step in enumerate(steps) if step.state == "waiting"), None)
    if upcoming is not None and not any(step.state == "failing" for step in steps[:upcoming]):
        steps[upcoming] = msgspec.structs.replace(steps[upcoming], state="next")
    return Setup(
        site=site.key,
        is_done=all(step.state == "done" for step in steps),
        steps=tuple(steps),
        snippets=tuple(snippets_of(site, settings)),
    )


async def read_known(request: Request, site: Site) -> Known:
    store: Store = request.app.state.store
    now_ms: int = request.app.state.clock_ms()
    scope = Scope(site.key, LONGEST)
    outcomes = await read_sums(store, Topic.OUTCOME, scope, now_ms)
    legs = await read_sums(store, Topic.LEG, scope, now_ms)
    calls = await store.attempts(limit=CALLS)
    return Known(
        host=request.url.netloc,
        loads=request.app.state.loads.of_sites().get(site.key),
        refused_origins=[
            issue
            for issue in await store.issues()
            if issue.kind is IssueKind.ORIGIN_NOT_ALLOWED and issue.site == site.key and is_open(issue)
        ],
        accepted=(await read_sums(store, Topic.ACCEPTED, scope, now_ms)).all,
        legs=dict(legs.by_name),
        paired=outcomes.by_name[Outcome.PAIRED],
        reversed=outcomes.by_name[Outcome.REVERSED],
        parked=[state for state in await store.parked() if state.pixel in site.pixel_ids()],
        taken=next(
            (
                each
                for each in calls
                if each.pixel in site.pixel_ids() and each.attempt.outcome is AttemptOutcome.RECEIPT
            ),
            None,
        ),
    )


def steps_of(known: Known, site: Site, settings: Settings) -> Iterator[SetupStep]:
    yield host_step(known, settings)
    yield origin_step(known, site)
    yield snippet_step(known, site, settings)
    yield pixel_step(known)
    yield token_step(known, site)
    yield taken_step(known)
    yield pair_step(known)


def _step(
    name: str, done: bool, sentence: str, waiting: str, next_step: str, line: str | None = None
) -> SetupStep:
    return SetupStep(
        name=name,
        state="done" if done else "waiting",
        sentence=sentence if done else waiting,
        next_step="" if done else next_step,
        line=None if done else line,
    )


def _failing(name: str, sentence: str, next_step: str, line: str | None = None) -> SetupStep:
    return SetupStep(name=name, state="failing", sentence=sentence, next_step=next_step, line=line)


def host_step(known: Known, settings: Settings) -> SetupStep:
    name, public = "The relay's host answers", settings.server.public_url
    scheme, _, host = public.partition("://")
    host = host.rstrip("/")
    if known.host != host:
        return _failing(
            name,
            f"You are reading this at {known.host}, and public_url says {host}: pages will ask the latter.",
            "Open the console under public_url, or set [server] public_url to the name that pages shall use.",
        )
    sentence = f"You are reading this at {public}. `counterfoil doctor` looks at it from outside."
    if scheme != "https" and not host.startswith(("127.", "localhost", "[::1]")):
        return _failing(
            name,
            "It answers over plain http.",
            "Shops are https, and their pages post to https only: docs/install.md.",
        )
    return _step(name, True, sentence, "", "")


def origin_step(known: Known, site: Site) -> SetupStep:
    name = "The shop's address is allowed"
    if known.refused_origins:
        refused = known.refused_origins[0].place
        return _failing(
            name,
            f"Pages at {refused} post, and are refused.",
            "If that is your shop, put this into relay.toml and restart the relay.",
            origins_line(site, refused),
        )
    heard = known.accepted > 0 or known.loads is not None
    return _step(
        name,
        heard,
        f"A page of {known.loads.origin if known.loads else 'the shop'} was seen.",
        f"Allowed: {', '.join(site.origins)}.",
        "Open a page of the shop that has the tag.",
    )


def snippet_step(known: Known, site: Site, settings: Settings) -> SetupStep:
    name, heard = "The snippet is on the page", known.accepted > 0
    hosts = tuple(site.address_hosts.urls().values())
    if not heard and known.loads is not None and known.loads.heard_ms is None:
        return SetupStep(
            name=name,
            state="waiting",
            sentence=(
                f"Pages of {known.loads.origin} have loaded it, {known.loads.unheard} times, and posted no event yet."
            ),
            next_step=(
                "Call fbq('track', 'PageView') on the page. Where it does, a security policy keeps the posts in: add "
                "these sources to it."
            ),
            line=policy_line(settings.server.public_url, hosts),
        )
    return _step(
        name,
        heard,
        "Events come in.",
        "Nothing has come yet.",
        "Put this into the <head> of every page, before other scripts.",
        site_tag(settings.server.public_url, site),
    )


def pixel_step(known: Known) -> SetupStep:
    name = "Meta's Pixel runs beside it"
    if any(known.legs.get(state) for state in DISPATCHED):
        return _step(name, True, "The Pixel's own requests go out.", "", "")
    if known.legs.get(BrowserState.BLOCKED) or known.legs.get(BrowserState.UNDISPATCHED):
        return _failing(
            name,
            "Events come, and the Pixel's own request has gone out for none of them.",
            "See that the page has Meta's base code with fbq('init', …), that its policy lets connect.facebook.net and "
            "www.facebook.com in, and look with a browser that blocks nothing.",
        )
    return _step(
        name,
        False,
        "",
        "Told by the first event.",
        "Keep Meta's base code on the page; the snippet adopts it.",
    )


def token_step(known: Known, site: Site) -> SetupStep:
    name = "The access token is accepted"
    if known.parked:
        state = known.parked[0]
        return _failing(
            name,
            f"Meta refuses pixel {state.pixel}: {state.message}",
            "In Events Manager, under the data set's settings, generate a token for the Conversions API. Put it where "
            "token_env or token_file says, and restart the relay.",
        )
    pixels = ", ".join(site.pixel_ids())
    return _step(
        name,
        known.taken is not None,
        f"Meta takes calls for pixel {known.taken.pixel if known.taken else ''}.",
        f"Told by the first call for pixel {pixels}.",
        "Make an event on the page.",
    )


def taken_step(known: Known) -> SetupStep:
    trace = known.taken.attempt.fbtrace_id if known.taken else None
    return _step(
        "Meta has taken an event",
        known.taken is not None,
        f"Its fbtrace_id is {trace}." if trace else "It named no fbtrace_id.",
        "No server event has been confirmed yet.",
        "Buy something in the shop, with a test_event_code if you do not want it among the real ones.",
    )


def pair_step(known: Known) -> SetupStep:
    name = "The first pair, browser first"
    if known.paired:
        return _step(name, True, f"{known.paired} so far. The Overview takes it from here.", "", "")
    if known.reversed:
        return _failing(
            name,
            "Pairs come, and not one browser first.",
            "Open a receipt: its timeline shows who waited for whom.",
        )
    return _step(
        name,
        False,
        "",
        "Both halves of one event, the Pixel's first.",
        "Visit the shop with a browser that blocks nothing.",
    )


def snippets_of(site: Site, settings: Settings) -> Iterator[Snippet]:
    url, tag = settings.server.public_url.rstrip("/"), site_tag(settings.server.public_url, site)
    hosts = tuple(site.address_hosts.urls().values())
    pixel = site.pixel_ids()[0]
    yield Snippet(
        name="HTML",
        sentence="Into the head of every page, before other scripts; Meta's base code stays.",
        text=f"<script>{STUB}</script>\n{tag}",
    )
    yield Snippet(
        name="Google Tag Manager",
        sentence="Import integrations/gtm/template.tpl as a tag template; or a Custom HTML tag on all pages.",
        text=tag,
    )
    yield Snippet(
        name="npm",
        sentence="With a bundler, React or Next: docs/npm.md.",
        text=(
            "import { load } from 'counterfoil';\n\n"
            f"load({{ relay: '{url}', site: '{site.key}', pixel: '{pixel}' }});"
        ),
    )
    yield Snippet(
        name="Content-Security-Policy",
        sentence="Where the shop sends one, add these sources to it.",
        text=policy_line(settings.server.public_url, hosts),
    )
