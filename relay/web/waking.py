"""Tell the courier that there is something to do, where this process has one."""

from starlette.requests import Request

from relay.delivery.courier import Courier


def wake(request: Request, due_ms: int = 0) -> None:
    """Something is due at `due_ms`, or at once. A courier on another machine looks by itself, twice a second."""
    courier: Courier | None = request.app.state.courier
    if courier is not None:
        courier.wake(due_ms)
