"""The only door to Meta: one call, one answer. Whatever the network or Meta does comes back as an answer."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

import httpx
import msgspec

from relay import __version__
from relay.delivery.answer import Answer, classify, json_object, without_token
from relay.event.outcome import AttemptOutcome
from relay.event.records import Json
from relay.settings import Delivery
from relay.store.protocol import AttemptResult

ANSWER_MAX_BYTES: Final = 64 * 1024  # Graph's answers are a few hundred bytes
TWIN_STATE_MAX_BYTES: Final = 1024 * 1024
QUALITY_MAX_BYTES: Final = 1024 * 1024
TWIN_SECONDS: Final = 2.0  # a receipt page waits for this

_NEVER_WRITTEN: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
)


class PixelAccess(msgspec.Struct, frozen=True):
    """What it takes to write to one pixel."""

    id: str
    token: str | None  # None: not configured, so the pixel is parked
    graph_version: str
    test_event_code: str | None = None
    test_until_ms: int | None = None  # None: for ever
    shadow: bool = False  # nothing is sent: what is due ends as shadowed

    def test_code_at(self, now_ms: int) -> str | None:
        """The test_event_code of a call that is made now."""
        return self.test_event_code if self.test_until_ms is None or now_ms < self.test_until_ms else None

    def __repr__(self) -> str:  # a traceback or a log must not show the token
        return f"PixelAccess(id={self.id!r}, graph_version={self.graph_version!r})"


class Read(msgspec.Struct, frozen=True, kw_only=True):
    """What a question to Graph came back with: an object, or what is in its way, with no token in it."""

    answer: Json | None = None
    result: AttemptResult  # as of a send; RECEIPT where there is an answer
    retry_after_ms: int | None = None


def call_seconds(delivery: Delivery) -> float:
    """The longest that one call can take: to connect, to write, to be answered."""
    return delivery.connect_timeout_seconds + 2 * delivery.read_timeout_seconds


def open_graph(graph_url: str, delivery: Delivery) -> "Graph":
    """A Graph over a client of its own; close it with `aclose`.

    Idle connections live for httpx's default of 5 s: a write to one that Meta is just closing would be an
    ambiguous send, so ours go first.
    """
    limits = httpx.Limits(max_connections=delivery.concurrency)
    return Graph(httpx.AsyncClient(limits=limits), graph_url, delivery)


class Graph:
    """Calls to one Graph address, Meta's or a twin's."""

    def __init__(self, client: httpx.AsyncClient, graph_url: str, delivery: Delivery | None = None) -> None:
        self._client = client
        self._url = graph_url.rstrip("/")
        self._delivery = delivery or Delivery()
        for name in ("httpx", "httpcore"):  # at DEBUG they print requests
            logging.getLogger(name).setLevel(logging.WARNING)

    async def send(self, access: PixelAccess, body: bytes, *, events: int) -> Answer:
        """Write one batch of `events` events; `body` comes from `batch.request_body`."""
        token = access.token or ""
        try:
            async with asyncio.timeout(call_seconds(self._delivery)):
                answer = await self._post(access, token, body, events)
        except _NEVER_WRITTEN as error:
            return _broken(AttemptOutcome.RETRY, "No connection to Graph, so nothing was sent", error)
        except Exception as error:  # whatever broke, the events may have been taken
            return _broken(AttemptOutcome.UNKNOWN, "The call was written and no whole answer came", error)
        return msgspec.structs.replace(answer, result=without_token(answer.result, token))

    async def read_quality(self, access: PixelAccess, *, fields: str, agent_name: str | None) -> Read:
        """Ask the Dataset Quality API about one pixel: of all senders, or of the one that `agent_name` begins."""
        query = {"dataset_id": access.id, "fields": fields} | (
            {"agent_name": agent_name} if agent_name else {}
        )
        return await self._get(access, "dataset_quality", query)

    async def _get(self, access: PixelAccess, path: str, query: Mapping[str, str]) -> Read:
        token = access.token or ""
        try:
            async with asyncio.timeout(call_seconds(self._delivery)):
                read = await self._question(access, token, path, query)
        except Exception as error:  # nothing was written, so it may be asked again
            return Read(result=_broken(AttemptOutcome.RETRY, "No answer from Graph", error).result)
        return msgspec.structs.replace(read, result=without_token(read.result, token))

    async def _question(self, access: PixelAccess, token: str, path: str, query: Mapping[str, str]) -> Read:
        connect, read = self._delivery.connect_timeout_seconds, self._delivery.read_timeout_seconds
        async with self._client.stream(
            "GET",
            f"{self._url}/{access.graph_version}/{path}",
            params=query,
            headers=_headers(token),
            timeout=httpx.Timeout(read, connect=connect, pool=connect),
            follow_redirects=False,
        ) as response:
            body = await _bounded(response, QUALITY_MAX_BYTES)
        answer = json_object(body)
        status = response.status_code
        if 200 <= status < 300 and answer and "error" not in answer:
            return Read(
                answer=answer, result=AttemptResult(outcome=AttemptOutcome.RECEIPT, http_status=status)
            )
        if 200 <= status < 300 and not answer:
            said = f"HTTP {status} without an answer that could be read"
            return Read(result=AttemptResult(outcome=AttemptOutcome.RETRY, http_status=status, message=said))
        meaning = classify(status, response.headers, body, events=0)
        return Read(result=meaning.result, retry_after_ms=meaning.retry_after_ms)

    async def twin_arrivals(self, event_id: str) -> Json | None:
        """What a Meta twin saw of this event_id; None where the other end is Meta, or says nothing."""
        return await self._ask_twin("state", {"event_id": event_id})

    async def twin_addresses(self) -> Json | None:
        """How the two addresses of all pairs agree that a Meta twin has seen; None as above."""
        return await self._ask_twin("addresses", {})

    async def _ask_twin(self, what: str, query: Mapping[str, str]) -> Json | None:
        if httpx.URL(self._url).host.endswith("facebook.com"):
            return None
        try:
            async with (
                asyncio.timeout(TWIN_SECONDS),
                self._client.stream(
                    "GET", f"{self._url}/twin/{what}", params=query, follow_redirects=False
                ) as response,
            ):
                body = await _bounded(response, TWIN_STATE_MAX_BYTES)
            return msgspec.json.decode(body, type=Json) if response.status_code == 200 else None
        except (httpx.HTTPError, TimeoutError, ValueError, RecursionError):
            return None  # the page is complete without it

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _post(self, access: PixelAccess, token: str, body: bytes, events: int) -> Answer:
        headers = _headers(token) | {"content-type": "application/json"}
        connect, read = self._delivery.connect_timeout_seconds, self._delivery.read_timeout_seconds
        async with self._client.stream(
            "POST",
            f"{self._url}/{access.graph_version}/{access.id}/events",
            content=body,
            headers=headers,
            timeout=httpx.Timeout(read, connect=connect, pool=connect),
            follow_redirects=False,
        ) as response:
            answer = await _bounded(response, ANSWER_MAX_BYTES)
        return classify(response.status_code, response.headers, answer, events=events)


def _headers(token: str) -> dict[str, str]:
    return {
        "authorization": f"Bearer {token}",
        "accept-encoding": "identity",  # a compressed answer could unpack to any size
        "user-agent": f"counterfoil/{__version__}",
    }


async def _bounded(response: httpx.Response, limit: int) -> bytes:
    """The first `limit` bytes; what is longer is cut off and will not parse."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) >= limit:
            break
    return bytes(body[:limit])


def _broken(outcome: AttemptOutcome, what: str, error: Exception) -> Answer:
    return Answer(result=AttemptResult(outcome=outcome, message=f"{what} ({type(error).__name__})."))
