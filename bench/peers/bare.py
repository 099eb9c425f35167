"""The least that a Starlette route can do with a post: parse the body, answer 202. Nothing is kept."""

import sys

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route


async def take(request: Request) -> Response:
    msgspec.json.decode(await request.body())
    return Response(b'{"accepted":1}', status_code=202, media_type="application/json")


app = Starlette(routes=[Route("/v1/events", take, methods=["POST"])])

if __name__ == "__main__":
    # A control's connections are idle between two posts for longer than uvicorn's five seconds.
    port, idle_seconds = int(sys.argv[1]), 60
    uvicorn.run(
        app, host="127.0.0.1", port=port, access_log=False, log_level="error", timeout_keep_alive=idle_seconds
    )
