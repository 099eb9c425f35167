"""The twin as an app of its own."""

import pytest
from starlette.types import Message

from relay.twin.app import create_twin
from relay.twin.faults import Fault, FaultKind

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("reset", [False, True])
async def test_a_sender_that_hangs_up_in_its_body_is_no_mistake_of_the_twin(reset: bool) -> None:
    twin = create_twin()
    if reset:
        twin.state.twin.faults.add([Fault(what=FaultKind.RESET)])
    arriving: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[Message] = []

    async def receive() -> Message:
        return arriving.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v26.0/1234567890/events",
        "query_string": b"",
        "headers": [(b"content-type", b"application/json")],
    }
    await twin(scope, receive, send)
    assert sent[0]["status"] == 400
    assert not twin.state.twin.state.events
