"""Spans of requests: their route and status, and nothing of the visitor."""

from pathlib import Path

import httpx
import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from relay.web.traces import Traces
from tests.event.malformed import good_event
from tests.web.lab import HEADERS, lab_settings, open_relay

pytestmark = pytest.mark.anyio

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_span_names_the_route_and_holds_nothing_of_the_visitor(tmp_path: Path) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    async with open_relay(lab_settings(tmp_path)) as relay:
        transport = httpx.ASGITransport(
            Traces(relay.app, tracer_provider=provider), client=("203.0.113.9", 1)
        )
        async with httpx.AsyncClient(transport=transport, base_url="https://relay.shop.example") as http:
            body = msgspec.json.encode({"site": "demo-shop", "events": [good_event()]})
            posted = await http.post(
                "/v1/events?access_token=secret", content=body, headers=HEADERS | {"traceparent": PARENT}
            )
            await http.get("/receipts/an-event-id")
    assert posted.status_code in (202, 403)
    post, receipt = spans.get_finished_spans()
    assert (post.name, receipt.name) == ("POST /v1/events", "GET /receipts/{event_id}")
    assert post.context is not None
    assert f"{post.context.trace_id:032x}" == PARENT.split("-")[1]
    told = "".join(span.to_json() for span in (post, receipt))
    for secret in ("access_token", "secret", "203.0.113.9", "Firefox", "an-event-id"):
        assert secret not in told
