"""Every URL of the relay, on one screen."""

from pathlib import Path

from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from relay.settings import Role
from relay.web import (
    address,
    address_echo,
    addresses,
    alerts,
    dedup,
    delivery,
    graph_ingest,
    health,
    in_force,
    ingest,
    issues,
    live,
    mapping,
    match_keys,
    metrics,
    openapi,
    origin,
    overview,
    policy,
    quality,
    radar,
    receipts,
    report,
    script,
    segment,
    segment_settings,
    server_events,
    setup,
    shadow,
    signin,
    upkeep,
)


def routes(static: Path, role: Role = "all") -> list[BaseRoute]:
    """Those that a process of this role answers."""
    parts = {
        "all": (*taking(), *operating(), *console(static)),
        "relay": (*taking(), *operating()),
        "console": (*operating(), *console(static)),
        "courier": operating(),
    }
    return list(parts[role])


def taking() -> list[BaseRoute]:
    return [
        # the snippet's, the busiest first: routes are tried in order
        Route("/v1/events", ingest.post_events, methods=["POST"]),
        Route("/v1/events", origin.preflight, methods=["OPTIONS"]),
        Route("/c.js", script.get_script, methods=["GET"]),
        Route("/c.v1.js", script.get_script, methods=["GET"]),
        Route("/address.js", script.get_script, methods=["GET"]),
        Route("/policy.js", policy.get_policy, methods=["GET"]),
        Route("/{part}.js", script.get_script, methods=["GET"]),
        Route("/consent/{source}.js", script.get_script, methods=["GET"]),
        Route("/v1/report", report.post_report, methods=["POST"]),
        Route("/v1/report", origin.preflight, methods=["OPTIONS"]),
        Route("/v1/address", address.get_address, methods=["GET"]),
        # the shop's servers
        Route("/v1/server-events", server_events.post_server_events, methods=["POST"]),
        Route("/graph/{version}/{pixel}/events", graph_ingest.post_graph_events, methods=["POST"]),
    ]


def operating() -> list[BaseRoute]:
    return [
        Route("/healthz", health.healthz, methods=["GET"]),
        Route("/readyz", health.readyz, methods=["GET"]),
        Route("/metrics", metrics.get_metrics, methods=["GET"]),
        Route("/openapi.json", openapi.get_openapi, methods=["GET"]),
        Route("/api/address-echo", address_echo.get_address_echo, methods=["GET"]),
    ]


def console(static: Path) -> list[BaseRoute]:
    signed_in = signin.signed_in
    return [
        Route("/api/replay", signin.acting(upkeep.post_replay), methods=["POST"]),
        Route("/api/prune", signin.commanded(upkeep.post_prune), methods=["POST"]),
        Route("/api/erase", signin.commanded(upkeep.post_erase), methods=["POST"]),
        Route("/", signed_in(overview.overview_page), methods=["GET"]),
        Route("/api/overview", signed_in(overview.overview_json), methods=["GET"]),
        Route("/sign-in", signin.get_sign_in, methods=["GET"]),
        Route("/sign-out", signin.post_sign_out, methods=["POST"]),
        Route("/live", signed_in(live.live_page), methods=["GET"]),
        Route("/live/stream", signed_in(live.live_stream), methods=["GET"]),
        Route("/api/live", signed_in(live.live_json), methods=["GET"]),
        Route("/receipts", signed_in(receipts.list_page), methods=["GET"]),
        Route("/receipts/{event_id:path}", signed_in(receipts.receipt_page), methods=["GET"]),
        Route("/api/receipts", signed_in(receipts.list_json), methods=["GET"]),
        Route("/api/receipts/{event_id:path}", signed_in(receipts.receipt_json), methods=["GET"]),
        Route("/addresses", signed_in(addresses.addresses_page), methods=["GET"]),
        Route("/api/addresses", signed_in(addresses.addresses_json), methods=["GET"]),
        Route("/dedup", signed_in(dedup.dedup_page), methods=["GET"]),
        Route("/api/dedup", signed_in(dedup.dedup_json), methods=["GET"]),
        Route("/match-keys", signed_in(match_keys.match_keys_page), methods=["GET"]),
        Route("/api/match-keys", signed_in(match_keys.match_keys_json), methods=["GET"]),
        Route("/setup", signed_in(setup.setup_page), methods=["GET"]),
        Route("/api/setup", signed_in(setup.setup_json), methods=["GET"]),
        Route("/delivery", signed_in(delivery.delivery_page), methods=["GET"]),
        Route("/api/delivery", signed_in(delivery.delivery_json), methods=["GET"]),
        Route("/replay", signed_in(delivery.post_replay), methods=["POST"]),
        Route("/shadow", signed_in(shadow.shadow_page), methods=["GET"]),
        Route("/api/shadow", signed_in(shadow.shadow_json), methods=["GET"]),
        Route("/issues", signed_in(issues.issues_page), methods=["GET"]),
        Route("/api/issues", signed_in(issues.issues_json), methods=["GET"]),
        Route("/issues/{id}/resolve", signed_in(issues.post_resolve), methods=["POST"]),
        Route("/radar", signed_in(radar.radar_page), methods=["GET"]),
        Route("/api/radar", signed_in(radar.radar_json), methods=["GET"]),
        Route("/mapping", signed_in(mapping.mapping_page), methods=["GET"]),
        Route("/api/mapping", signed_in(mapping.mapping_json), methods=["GET"]),
        Route("/quality", signed_in(quality.quality_page), methods=["GET"]),
        Route("/quality/ask", signed_in(quality.ask_quality), methods=["POST"]),
        Route("/api/quality", signed_in(quality.quality_json), methods=["GET"]),
        Route("/alerts", signed_in(alerts.alerts_page), methods=["GET"]),
        Route("/alerts/test", signed_in(alerts.post_test), methods=["POST"]),
        Route("/api/alerts", signed_in(alerts.alerts_json), methods=["GET"]),
        Route("/settings", signed_in(in_force.settings_page), methods=["GET"]),
        Route("/api/settings", signed_in(in_force.settings_json), methods=["GET"]),
        # Segment's and RudderStack's clients; last, since any prefix may stand before them
        *segment_routes("/v1"),
        *segment_routes("/{prefix:path}/v1"),
        Mount("/static/css", StaticFiles(directory=static / "css")),
        Mount("/static/js/console", StaticFiles(directory=static / "js" / "console")),
    ]


def segment_routes(root: str) -> list[BaseRoute]:
    """What Segment's and RudderStack's clients ask below one root."""
    host = root.removesuffix("/v1")
    return [
        Route(f"{root}/projects/{{key}}/settings", segment_settings.get_project_settings, methods=["GET"]),
        Route(f"{root}/projects/{{key}}/settings", segment.preflight, methods=["OPTIONS"]),
        Route(f"{host}/sourceConfig/", segment_settings.get_source_config, methods=["GET"]),
        Route(f"{host}/sourceConfig/", segment.preflight, methods=["OPTIONS"]),
        Route(f"{root}/{{call}}", segment.post_messages, methods=["POST"]),
        Route(f"{root}/{{call}}", segment.preflight, methods=["OPTIONS"]),
    ]
