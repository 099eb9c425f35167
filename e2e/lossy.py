"""A door that takes a post in and loses its answer, as a proxy does that gives up too early."""

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send


class LosesAnswers:
    """In front of the relay: takes a post in, and answers 503 all the same, as often as a test says."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.to_lose = 0
        self.posts: list[dict[str, str]] = []  # the headers of each
        self.answered = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        self.posts.append({name.decode(): value.decode() for name, value in scope["headers"]})
        if not self.to_lose:
            await self._app(scope, receive, send)
            self.answered += 1
            return
        self.to_lose -= 1

        async def swallow(message: Message) -> None:
            pass

        await self._app(scope, receive, swallow)
        lost = PlainTextResponse("lost", 503, {"access-control-allow-origin": "*"})
        await lost(scope, receive, send)
        self.answered += 1
