"""Request bodies as pairs of texts: urlencoded and multipart, bounded, never trusting Content-Length."""

from collections.abc import AsyncGenerator, Mapping
from urllib.parse import parse_qsl

from starlette.datastructures import Headers
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

MAX_FIELDS = 10_000


class BodyError(Exception):
    """The body cannot be read; the message says why."""


async def read_body(request: Request, limit: int, too_large: Exception | None = None) -> bytes:
    """The body, counted as it arrives: Content-Length may be absent or a lie. Raises `too_large`, or a BodyError."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large or BodyError(f"The body is larger than {limit:,} bytes.")
    return bytes(body)


def query_fields(query: bytes) -> list[tuple[str, str]]:
    return _urlencoded(query)


async def form_fields(headers: Headers, body: bytes) -> list[tuple[str, str]]:
    """Fields in order. A multipart file counts as nothing; a body of another type has none."""
    kind = headers.get("content-type", "").split(";", 1)[0].strip().lower()
    if kind == "multipart/form-data":
        return await _multipart(headers, body)
    return _urlencoded(body) if kind == "application/x-www-form-urlencoded" else []


def _urlencoded(text: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError as error:
        raise BodyError(f"The fields cannot be read: {error}.") from error


async def _multipart(headers: Headers, body: bytes) -> list[tuple[str, str]]:
    async def once() -> AsyncGenerator[bytes, None]:
        yield body

    try:
        form = await MultiPartParser(
            headers, once(), max_fields=MAX_FIELDS, max_part_size=len(body) + 1
        ).parse()
    except (MultiPartException, KeyError, ValueError, UnicodeError) as error:
        raise BodyError(f"The multipart body cannot be read: {error}.") from error
    fields = [(name, value) for name, value in form.multi_items() if isinstance(value, str)]
    await form.close()
    return fields


def last_wins(fields: list[tuple[str, str]]) -> Mapping[str, str]:
    """One text per name, the last, as PHP reads them."""
    return dict(fields)
