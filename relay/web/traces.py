"""OpenTelemetry spans of requests, by Starlette's own middleware, without what they would tell of a visitor.

The middleware writes down addresses, queries and user agents. It is shown a scope without them: a query may hold a
token, and a visitor's address belongs in no trace.
"""

from typing import Any, Final

from starlette.middleware.opentelemetry import OpenTelemetryMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

KEPT_HEADERS: Final = (b"host", b"traceparent", b"tracestate")
SHOWN: Final = ("type", "asgi", "http_version", "method", "scheme", "server")
WHOLE: Final = "counterfoil.scope"


class Traces:
    """Stands outside of the whole app. `tracer_provider` is left out for the global one."""

    def __init__(self, app: ASGIApp, *, tracer_provider: Any = None) -> None:
        self._app = app
        self._traced = OpenTelemetryMiddleware(self._inside, tracer_provider=tracer_provider)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        shown = {name: scope[name] for name in SHOWN if name in scope}
        headers = [(name, value) for name, value in scope["headers"] if name in KEPT_HEADERS]
        # The address may hold an event_id; the pattern of the route says enough, and is set below.
        await self._traced(
            shown | {"path": "/", "query_string": b"", "headers": headers, WHOLE: scope}, receive, send
        )

    async def _inside(self, shown: Scope, receive: Receive, send: Send) -> None:
        scope: Scope = shown[WHOLE]
        try:
            await self._app(scope, receive, send)
        finally:
            shown["route"] = scope.get("route")


def start_exporting() -> None:
    """Send spans to where the standard OTEL_* variables say; needs the extra `counterfoil[otel]`."""
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({SERVICE_NAME: "counterfoil"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
