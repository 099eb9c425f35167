"""A stand-in for Graph that costs as little as one can: it counts events and answers.

The Meta twin checks each event as strictly as Meta does, which is what tests want and what a speed bench must not
measure. So peers, too, are measured at their best.
"""

import json
import sys
import time
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATE = {"events": 0, "first": 0.0, "last": 0.0}


async def take(request: Request) -> Response:
    body = await request.body()
    is_json = request.headers.get("content-type", "").startswith("application/json")
    data = json.loads(body)["data"] if is_json else json.loads(parse_qs(body.decode())["data"][0])
    STATE["last"] = time.perf_counter()
    STATE["first"] = STATE["first"] or STATE["last"]
    STATE["events"] += len(data)
    answer = {"events_received": len(data), "messages": [], "fbtrace_id": "A1"}
    return Response(json.dumps(answer), media_type="application/json")


async def state(_request: Request) -> Response:
    """The events so far, and the seconds between the first call and the last."""
    return Response(json.dumps([STATE["events"], STATE["last"] - STATE["first"]]))


app = Starlette(
    routes=[
        Route("/bench", state, methods=["GET"]),
        Route("/{version}/{pixel}/events", take, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="error")
