"""What a shop would write in Python: a FastAPI route that calls Meta's SDK before it answers."""

import os
import sys
import time
from typing import Any

import facebook_business
import uvicorn
from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.event_request import EventRequest
from facebook_business.adobjects.serverside.user_data import UserData
from facebook_business.api import FacebookAdsApi
from fastapi import FastAPI, Request

facebook_business.session.FacebookSession.GRAPH = os.environ["GRAPH_URL"]
FacebookAdsApi.init(access_token=os.environ["META_ACCESS_TOKEN"], crash_log=False)
app = FastAPI()


def send(posted: dict[str, Any], request: Request) -> None:
    event = Event(
        event_name=posted["event_name"],
        event_id=posted["event_id"],
        event_time=int(time.time()),
        event_source_url=posted["url"],
        action_source=ActionSource.WEBSITE,
        user_data=UserData(
            fbp=posted["fbp"],
            client_ip_address="203.0.113.7",
            client_user_agent=request.headers["user-agent"],
            email="ada@example.com",
        ),
        custom_data=CustomData(
            value=posted["custom_data"]["value"], currency=posted["custom_data"]["currency"]
        ),
    )
    EventRequest(pixel_id=os.environ["PIXEL_ID"], events=[event]).execute()


@app.post("/v1/events", status_code=202)
def take(posted: dict[str, Any], request: Request) -> dict[str, int]:
    for each in posted["events"]:
        send(each, request)
    return {"accepted": len(posted["events"])}


if __name__ == "__main__":
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), access_log=False, log_level="error")
