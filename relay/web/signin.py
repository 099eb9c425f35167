"""Sign-in without a password: a one-time link in, a signed session cookie out.

Whoever may read the signing key may print a link, so the right to sign in is the right to read the relay's
folder. Codes and sessions are signed, dated and random (128 bits). Spent ones are remembered in this process:
a restart forgets them, and a code that was used less than 15 minutes before it could be used once more.
"""

import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Final, Literal

import msgspec
from itsdangerous import BadData, URLSafeSerializer
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from relay.event.enrich import connection_address
from relay.settings import Settings
from relay.web.errors import error
from relay.web.headers import NO_STORE, bearer
from relay.web.ingest import request_facts
from relay.web.keys import signing_keys
from relay.web.pages import show
from relay.web.rates import Limited, Rates, asker

CODE_SECONDS: Final = 15 * 60
SESSION_SECONDS: Final = 8 * 60 * 60
DOCTOR_SECONDS: Final = 5 * 60  # to look around; the clocks of both ends may differ a little
COMMAND_SECONDS: Final = 5 * 60  # to begin: what it asks for may take longer

SIGN_IN_PAGE: Final = "console/sign_in.html"
NEXT_STEP: Final = "Run `counterfoil sign-in` where the relay runs, and open the link that it prints."

Purpose = Literal["code", "session", "doctor", "command"]
Endpoint = Callable[[Request], Awaitable[Response]]
LIFETIMES: Final[dict[Purpose, int]] = {
    "code": CODE_SECONDS,
    "session": SESSION_SECONDS,
    "doctor": DOCTOR_SECONDS,
    "command": COMMAND_SECONDS,
}


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed. The random id is what makes a token single-use, or ends it early."""

    id: str
    expires_ms: int


class SignIn:
    """Issues and checks codes and sessions, and remembers those that are spent."""

    def __init__(self, keys: Sequence[str], *, secure: bool) -> None:
        self._keys = keys  # oldest first; the last one signs
        self._spent: dict[str, int] = {}  # token id -> expires_ms
        self.secure = secure
        # A sibling host cannot plant a __Host- cookie; browsers take such a name over https only.
        self.cookie = "__Host-counterfoil" if secure else "counterfoil"

    def issue(self, purpose: Purpose, now_ms: int) -> str:
        token = Token(id=secrets.token_urlsafe(16), expires_ms=now_ms + LIFETIMES[purpose] * 1000)
        return str(self._serializer(purpose).dumps(msgspec.to_builtins(token)))

    def check(self, purpose: Purpose, signed: str, now_ms: int) -> Token | None:
        """The token, where it is ours, in time and not spent."""
        try:
            token = msgspec.convert(self._serializer(purpose).loads(signed), Token)
        except (BadData, msgspec.ValidationError):
            return None
        return token if now_ms < token.expires_ms and token.id not in self._spent else None

    def spend(self, token: Token, now_ms: int) -> None:
        """Refuse this token from now on."""
        self._spent = {id_: until_ms for id_, until_ms in self._spent.items() if now_ms < until_ms}
        self._spent[token.id] = token.expires_ms

    def _serializer(self, purpose: Purpose) -> URLSafeSerializer:
        return URLSafeSerializer(list(self._keys), salt=f"counterfoil.{purpose}")


def open_sign_in(settings: Settings, environ: Mapping[str, str]) -> SignIn:
    secure = settings.server.console().startswith("https:")
    return SignIn(signing_keys(settings, environ), secure=secure)


def make_sign_in_link(settings: Settings, environ: Mapping[str, str], now: float) -> str:
    """A link that signs one person in, once, within 15 minutes. `now` is Unix time in seconds."""
    code = open_sign_in(settings, environ).issue("code", int(now * 1000))
    return f"{settings.server.console()}/sign-in?code={code}"


def signed_in(endpoint: Endpoint) -> Endpoint:
    """Let only sessions pass: a person is led to the sign-in page, a program gets a 401."""

    @wraps(endpoint)
    async def guarded(request: Request) -> Response:
        if session_of(request) is not None:
            return await endpoint(request)
        if "text/html" in request.headers.get("accept", ""):
            return RedirectResponse("/sign-in", status_code=303, headers=NO_STORE)
        return error(401, "not_signed_in", f"This needs a console session. {NEXT_STEP}")

    return guarded


def commanded(endpoint: Endpoint) -> Endpoint:
    """Let only commands pass that were run with the relay's own key; each of their tokens once."""

    @wraps(endpoint)
    async def guarded(request: Request) -> Response:
        if spend_command(request):
            return await endpoint(request)
        return error(401, "not_the_operator", "This answers to `counterfoil`, run with the relay's own key.")

    return guarded


def acting(endpoint: Endpoint) -> Endpoint:
    """Let commands pass, and people who are signed in and on a page of this relay."""

    @wraps(endpoint)
    async def guarded(request: Request) -> Response:
        if spend_command(request):
            return await endpoint(request)
        if session_of(request) is None:
            return error(401, "not_signed_in", f"This needs a console session. {NEXT_STEP}")
        if not comes_from_here(request):
            return error(403, "cross_site", "This must be sent from the relay's own page.")
        return await endpoint(request)

    return guarded


def spend_command(request: Request) -> bool:
    """Whether a command sends this, with a token that was not spent before."""
    sign_in: SignIn = request.app.state.sign_in
    now_ms: int = request.app.state.clock_ms()
    token = sign_in.check("command", bearer(request.headers) or "", now_ms)
    if token is not None:
        sign_in.spend(token, now_ms)
    return token is not None


def session_of(request: Request) -> Token | None:
    sign_in: SignIn = request.app.state.sign_in
    return sign_in.check("session", request.cookies.get(sign_in.cookie, ""), request.app.state.clock_ms())


async def get_sign_in(request: Request) -> Response:
    """The page behind the link: spends the code and opens a session; without a code, how to get one."""
    code = request.query_params.get("code")
    if code is None or request.method == "HEAD":  # a link checker's HEAD must not spend the code
        return show(request, SIGN_IN_PAGE, view="ask")
    sign_in: SignIn = request.app.state.sign_in
    now_ms: int = request.app.state.clock_ms()
    rates: Rates = request.app.state.rates
    settings: Settings = request.app.state.settings
    facts = request_facts(request, now_ms)
    who = asker(facts, connection_address(facts, settings), settings) or "local"
    try:
        rates.sign_ins.check(who)
    except Limited as limited:
        return await rates.answer(limited)
    token = sign_in.check("code", code, now_ms)
    if token is None:
        rates.sign_ins.take(who)
        return show(request, SIGN_IN_PAGE, view="refused", status=403)
    sign_in.spend(token, now_ms)
    # A page that goes on by itself, not a redirect: after a click in a chat or a ticket, browsers keep a
    # SameSite=Strict cookie from the redirect's target, while a page of ours may send it.
    response = show(request, SIGN_IN_PAGE, view="welcome")
    response.headers["refresh"] = "0; url=/"
    _set_session(response, sign_in, sign_in.issue("session", now_ms))
    return response


async def post_sign_out(request: Request) -> Response:
    """End the session, here and in the browser."""
    if not comes_from_here(request):
        return error(403, "cross_site", "Sign-out must be sent from the relay's own page.")
    sign_in: SignIn = request.app.state.sign_in
    session = session_of(request)
    if session is not None:
        sign_in.spend(session, request.app.state.clock_ms())
    response = RedirectResponse("/sign-in", status_code=303, headers=NO_STORE)
    response.delete_cookie(sign_in.cookie, path="/", secure=sign_in.secure, httponly=True, samesite="strict")
    return response


def comes_from_here(request: Request) -> bool:
    """Whether the browser says that a page of this origin sent the form; no page can forge either header."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    # Browsers send no Sec-Fetch-* over plain http to a name other than localhost.
    host = request.headers.get("host", "")
    return request.headers.get("origin") in (f"https://{host}", f"http://{host}")


def _set_session(response: Response, sign_in: SignIn, session: str) -> None:
    response.set_cookie(
        sign_in.cookie,
        session,
        max_age=SESSION_SECONDS,
        path="/",
        secure=sign_in.secure,
        httponly=True,
        samesite="strict",
    )
