"""What the browser clients ask for before they send: Segment's project settings, and RudderStack's source.

Both answers say the same: one destination, this relay, and nothing to load from anywhere else. They are public.
"""

from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from relay.event.outcome import SEGMENT_SENTENCES, SEGMENT_STATUS, SegmentReason
from relay.settings import Settings, Site
from relay.web.errors import JsonResponse, error
from relay.web.origin import readable_by_pages

CACHE: Final = {"cache-control": "public, max-age=300"}
_LONG_AGO: Final = "2026-01-01T00:00:00.000Z"


async def get_project_settings(request: Request) -> Response:
    """`/v1/projects/KEY/settings`, for @segment/analytics-next; KEY is the site's public key."""
    settings: Settings = request.app.state.settings
    site = settings.site_by_key(request.path_params["key"])
    return _answer(request, site and _project(site, settings.server.public_url))


async def get_source_config(request: Request) -> Response:
    """`/sourceConfig/?writeKey=KEY`, for @rudderstack/analytics-js."""
    settings: Settings = request.app.state.settings
    site = settings.site_by_key(request.query_params.get("writeKey", ""))
    return _answer(request, site and _source(site))


def _answer(request: Request, found: Any) -> Response:
    if found is None:
        reason = SegmentReason.UNKNOWN_WRITE_KEY
        response = error(SEGMENT_STATUS[reason], reason, SEGMENT_SENTENCES[reason])
    else:
        response = JsonResponse(found, headers=CACHE)
    response.headers["cross-origin-resource-policy"] = "cross-origin"
    return readable_by_pages(request, response)


def _project(site: Site, public_url: str) -> dict[str, Any]:
    parts = urlsplit(public_url)
    send_to = {"apiHost": f"{parts.netloc}{parts.path.rstrip('/')}/v1", "protocol": parts.scheme}
    everything = {"__default": {"enabled": True, "integrations": {}}}
    return {
        "integrations": {
            "Segment.io": {
                "apiKey": site.key,
                "unbundledIntegrations": [],
                "addBundledMetadata": True,
                "maybeBundledConfigIds": {},
                "versionSettings": {"version": "4.4.7", "componentTypes": ["browser"]},
                **send_to,
            },
        },
        # For our own part of the page; among the integrations Segment's would look for a destination to load.
        "counterfoil": msgspec.to_builtins(site.mapping),
        "plan": {"track": everything, "identify": everything, "group": everything},
        "edgeFunction": {},
        "analyticsNextEnabled": True,
        "middlewareSettings": {},
        "enabledMiddleware": {},
        "metrics": {"sampleRate": 0},
        "legacyVideoPluginsEnabled": False,
        "remotePlugins": [],
    }


def _source(site: Site) -> dict[str, Any]:
    quiet = {"enabled": False}
    return {
        "source": {
            "id": site.key,
            "name": site.key,
            "writeKey": site.key,
            "enabled": True,
            "config": {"statsCollection": {"errors": quiet, "metrics": quiet}},
            "connections": [],
            "destinations": [],
            "workspaceId": site.key,
            "createdAt": _LONG_AGO,
            "updatedAt": _LONG_AGO,
            "dataplanes": {},
        },
        "updatedAt": _LONG_AGO,
    }
