"""A pytest fixture for anyone's tests: `from relay.twin.fixture import meta_twin`, or name this module in
`pytest_plugins`. It runs the twin on a loopback socket in a thread, so the code under test talks real HTTP.

    def test_purchase_reaches_meta(meta_twin):
        send_purchase(graph_url=meta_twin.url)
        assert meta_twin.state()["counted"]["event-id"] == {"Purchase": 1}
"""

import http.client
import socket
import threading
from collections.abc import Iterator
from typing import Any, Self
from urllib.parse import urlencode

import msgspec
import pytest
import uvicorn
from starlette.applications import Starlette

from relay.twin.app import create_twin
from relay.twin.faults import FaultKind

STOP_SECONDS = 10


class MetaTwin:
    """A running twin. Use it as a context manager, or through the `meta_twin` fixture."""

    def __init__(self, app: Starlette | None = None) -> None:
        """Run `app`, one made by `create_twin`; left out: a twin with its defaults."""
        listener = socket.create_server(("127.0.0.1", 0))
        self._port: int = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self._port}"
        config = uvicorn.Config(
            app or create_twin(),
            access_log=False,
            lifespan="off",
            log_config=None,  # the logging of whoever tests with it is theirs
            proxy_headers=False,
            timeout_graceful_shutdown=STOP_SECONDS,
        )
        self._server = uvicorn.Server(config)
        # The socket listens already, so a first request waits for the thread instead of failing.
        self._thread = threading.Thread(target=self._server.run, args=([listener],), daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every connection, and the thread."""
        self._call("DELETE", "/twin/faults")
        self._server.should_exit = True
        self._thread.join(STOP_SECONDS)

    def state(self, event_id: str | None = None) -> dict[str, Any]:
        """What the twin has received: browser, server, rejected, counted."""
        query = f"?{urlencode({'event_id': event_id})}" if event_id is not None else ""
        state: dict[str, Any] = self._call("GET", f"/twin/state{query}")
        return state

    def fault(self, what: FaultKind | str, **fields: Any) -> None:
        """Add a `relay.twin.faults.Fault` to the script: `what`, and fields such as count, path, seconds."""
        self._call("POST", "/twin/faults", {"what": what, **fields})

    def reset(self) -> None:
        """Forget every event and every fault, and end the faults under way."""
        self._call("DELETE", "/twin/faults")
        self._call("DELETE", "/twin/state")

    def _call(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=STOP_SECONDS)
        try:
            content = None if body is None else msgspec.json.encode(body)
            connection.request(method, path, content, {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        if answer.status >= 400:
            raise ValueError(f"The twin refused {method} {path}: {text.decode()}")
        return msgspec.json.decode(text) if text else None


@pytest.fixture
def meta_twin() -> Iterator[MetaTwin]:
    """A Meta twin of its own for each test."""
    with MetaTwin() as twin:
        yield twin
