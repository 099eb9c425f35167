"""`GET /openapi.json`: every route of the relay as OpenAPI 3.1, made from the records that the routes answer with."""

from collections.abc import Sequence
from functools import cache
from http import HTTPStatus
from typing import Any, Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay import __version__
from relay.event.records import Json
from relay.web.errors import Error
from relay.web.operation import HTML, JSON, Needs, Operation, Reply
from relay.web.operations import OPERATIONS

REF: Final = "#/components/schemas/{name}"
RETRIED: Final = (429, 503)  # with Retry-After

# Who is let in, by what an operation needs; an empty object stands for everybody.
SECURITY: Final[dict[Needs, list[dict[str, list[str]]]]] = {
    "nothing": [],
    "origin": [],  # no secret: a page's Origin, which browsers write
    "session": [{"session": []}, {"secureSession": []}],
    "doctor": [{"doctor": []}],
    "command": [{"command": []}],
    "person_or_command": [{"session": []}, {"secureSession": []}, {"command": []}],
    "server": [{"server": []}],
    "write_key": [{"writeKey": []}, {}],  # in the body too
    "graph": [{"server": []}, {}],  # or the token in the address or the body, which OpenAPI has no word for
    "metrics_key": [{"metricsKey": []}, {}],  # this machine needs none where none is set
}
SCHEMES: Final[Json] = {
    "session": {"type": "apiKey", "in": "cookie", "name": "counterfoil", "description": "Over plain http."},
    "secureSession": {
        "type": "apiKey",
        "in": "cookie",
        "name": "__Host-counterfoil",
        "description": "Where public_url is https.",
    },
    "server": {"type": "http", "scheme": "bearer", "description": "One of the site's write keys."},
    "writeKey": {
        "type": "http",
        "scheme": "basic",
        "description": "A server's secret write key, or a page's site key, for user; no password.",
    },
    "metricsKey": {"type": "http", "scheme": "bearer", "description": "A key of [telemetry]."},
    "doctor": {"type": "http", "scheme": "bearer", "description": "Signed with the relay's own key."},
    "command": {
        "type": "http",
        "scheme": "bearer",
        "description": "Signed with the relay's own key, good once; `counterfoil` makes it.",
    },
}
ORIGIN: Final[Json] = {
    "name": "Origin",
    "in": "header",
    "required": True,
    "description": "Of one of the site's pages; browsers write it.",
    "schema": {"type": "string"},
}
ANY_TIME: Final = (
    "What any address can answer: 400 not_http, 408 request_too_slow, 431 head_too_large and 503 too_many_connections "
    "before the request is looked at, and 500 internal for a mistake of the relay's own."
)


async def get_openapi(request: Request) -> Response:  # noqa: ARG001 - Starlette's signature
    return Response(encoded(), media_type=JSON)


@cache
def encoded() -> bytes:
    return msgspec.json.encode(document(OPERATIONS))


def document(operations: Sequence[Operation]) -> Json:
    """The whole description; records become components, by their names."""
    records: list[Any] = [Error]
    records += [each.body for each in operations if each.body]
    records += [reply.record for each in operations for reply in each.replies.values() if reply.record]
    schemas, components = msgspec.json.schema_components(records, ref_template=REF)
    schema_of = dict(zip(records, schemas, strict=True))
    paths: Json = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method] = _operation(operation, schema_of)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Counterfoil",
            "version": __version__,
            "description": "First-party relay for Meta Pixel + Conversions API.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": SCHEMES},
    }


def _operation(operation: Operation, schema_of: dict[Any, Json]) -> Json:
    described: Json = {
        "operationId": operation_id(operation),
        "summary": operation.summary,
        "parameters": _parameters(operation),
        "security": SECURITY[operation.needs],
        "responses": _responses(operation, schema_of),
    }
    if operation.body is not None:
        schema = schema_of[operation.body]
        content = {
            media_type: _body(media_type, schema, operation.example) for media_type in operation.body_types
        }
        described["requestBody"] = {"required": True, "content": content}
    return described


def operation_id(operation: Operation) -> str:
    words = operation.path.replace("{", "").replace("}", "").replace(".", "_").strip("/").split("/")
    return "_".join([operation.method, *filter(None, words)]).replace("-", "_")


def _body(media_type: str, schema: Json, example: Json) -> Json:
    """JSON under its own name, or as a text, which needs no preflight."""
    if media_type == JSON:
        return {"schema": schema, "example": example}
    text = {"type": "string", "contentMediaType": JSON, "contentSchema": schema}
    return {"schema": text, "example": msgspec.json.encode(example).decode()}


def _parameters(operation: Operation) -> list[Json]:
    named = [
        {
            "name": each.name,
            "in": each.place,
            "required": each.required,
            "description": each.sentence,
            "schema": each.schema,
        }
        for each in operation.parameters
    ]
    return [ORIGIN, *named] if operation.needs == "origin" else named


def _responses(operation: Operation, schema_of: dict[Any, Json]) -> Json:
    errors = (
        {401: ("not_signed_in",), **operation.errors} if operation.needs == "session" else operation.errors
    )
    answers = {str(status): _reply(reply, schema_of) for status, reply in operation.replies.items()}
    pages = any(reply.media_type == HTML for reply in operation.replies.values())
    answers |= {str(status): _refusal(status, reasons, pages) for status, reasons in errors.items()}
    return answers | {"default": {"description": ANY_TIME, "content": _error((), True)}}


def _reply(reply: Reply, schema_of: dict[Any, Json]) -> Json:
    described: Json = {"description": reply.sentence}
    if reply.media_type is not None:
        content = {"schema": {"type": "string"} if reply.record is None else schema_of[reply.record]}
        if reply.example is not None:
            content["example"] = msgspec.to_builtins(reply.example)
        described["content"] = {reply.media_type: content}
    if reply.headers:
        described["headers"] = {name: {"schema": {"type": "string"}} for name in reply.headers}
    return described


def _refusal(status: int, reasons: Sequence[str], on_page: bool) -> Json:
    described: Json = {
        "description": f"{HTTPStatus(status).phrase}: {', '.join(reasons)}.",
        "content": _error(reasons, on_page or not {"bad_request", "not_found"}.isdisjoint(reasons)),
    }
    if status in RETRIED:
        seconds = {"type": "integer", "minimum": 1}
        described["headers"] = {
            "Retry-After": {"description": "Seconds.", "required": True, "schema": seconds}
        }
    return described


def _error(reasons: Sequence[str], on_page: bool) -> Json:
    """The one error shape, with the reasons that can stand in it; `on_page`: or a page, where one was asked for."""
    shape: Json = {"$ref": REF.format(name=Error.__name__)}
    if reasons:
        words = {"properties": {"reason": {"enum": [str(reason) for reason in reasons]}}}
        shape = {"allOf": [shape, {"properties": {"error": words}}]}
    content: Json = {JSON: {"schema": shape}}
    return content | {HTML: {"schema": {"type": "string"}}} if on_page else content
