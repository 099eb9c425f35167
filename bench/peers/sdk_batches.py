"""Meta's SDK alone: `N` events in calls of 1,000, one call after the other. Prints seconds and processor seconds."""

import os
import sys
import time

import facebook_business
from facebook_business.adobjects.serverside.action_source import ActionSource
from facebook_business.adobjects.serverside.custom_data import CustomData
from facebook_business.adobjects.serverside.event import Event
from facebook_business.adobjects.serverside.event_request import EventRequest
from facebook_business.adobjects.serverside.user_data import UserData
from facebook_business.api import FacebookAdsApi

facebook_business.session.FacebookSession.GRAPH = os.environ["GRAPH_URL"]
FacebookAdsApi.init(access_token=os.environ["META_ACCESS_TOKEN"], crash_log=False)


def event(number: int) -> Event:
    return Event(
        event_name="Purchase",
        event_id=f"sdk-{number}",
        event_time=int(time.time()),
        event_source_url="https://shop.example/thanks?order=1001",
        action_source=ActionSource.WEBSITE,
        user_data=UserData(
            fbp="fb.1.1763859600000.1234567890",
            client_ip_address="203.0.113.7",
            client_user_agent="Mozilla/5.0",
            email="ada@example.com",
        ),
        custom_data=CustomData(value=49.9, currency="EUR"),
    )


if __name__ == "__main__":
    total = int(sys.argv[1])
    began, used = time.perf_counter(), time.process_time()
    for start in range(0, total, 1_000):
        events = [event(number) for number in range(start, min(start + 1_000, total))]
        EventRequest(pixel_id=os.environ["PIXEL_ID"], events=events).execute()
    print(time.perf_counter() - began, time.process_time() - used)
