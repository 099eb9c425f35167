"""A stand-in for Graph that costs as little as one can: it counts events and answers; away until it is opened.

The Meta twin checks each event as strictly as Meta does, which is what tests want and what a speed bench must not
measure. So peers, too, are measured at their best.
"""

import json
import sys
from urllib.parse import parse_qs

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

STATE = {"events": 0, "away": False}


async def take(request: Request) -> Response:
    body = await request.body()
    if STATE["away"]:
        return Response(b'{"error":{"message":"away","code":2}}', 503, media_type="application/json")
    is_json = request.headers.get("content-type", "").startswith("application/json")
    data = json.loads(body)["data"] if is_json else json.loads(parse_qs(body.decode())["data"][0])
    STATE["events"] += len(data)
    answer = {"events_received": len(data), "messages": [], "fbtrace_id": "A1"}
    return Response(json.dumps(answer), media_type="application/json")


async def state(request: Request) -> Response:
    """`?away=1` or `?away=0` turns it; the answer is the number of events so far."""
    if "away" in request.query_params:
        STATE["away"] = request.query_params["away"] == "1"
        STATE["events"] = 0
    return Response(str(STATE["events"]))


app = Starlette(
    routes=[
        Route("/bench", state, methods=["GET"]),
        Route("/{version}/{pixel}/events", take, methods=["POST"]),
    ]
)

if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="error")
