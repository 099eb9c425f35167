"""Small shops in Django, Flask and Starlette that use the helpers: tag, signed Purchase, server event; in Chromium."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import django
import pytest
from a2wsgi import WSGIMiddleware
from counterfoil_shop import Relay, send
from counterfoil_shop import flask as for_flask
from counterfoil_shop import starlette as for_starlette
from django.conf import settings as django_settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse
from django.template import Context, Engine
from django.urls import path
from flask import Flask, render_template_string
from jinja2 import DictLoader, Environment
from playwright.sync_api import Page
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.templating import Jinja2Templates
from starlette.types import ASGIApp

from e2e.conftest import QUICK
from e2e.lab import SITE, Json, Lab, open_lab

SIGNING_KEY = "0123456789abcdef0123456789abcdef"
WRITE_KEY = "fedcba9876543210fedcba9876543210"
ORDER: Json = {"order_id": "1001", "value": Decimal("49.90"), "currency": "EUR"}
PAGE = """<!doctype html><html><head><link rel=icon href=data:,>{base_code}{tag}</head><body>{track}</body></html>"""
JINJA = PAGE.format(
    base_code="{{ base_code | safe }}",
    tag="{{ counterfoil_tag() }}",
    track='{{ counterfoil_track("Purchase", order, eventID="order-1001") }}',
)
DJANGO = "{% load counterfoil %}" + PAGE.format(
    base_code="{{ base_code | safe }}",
    tag="{% counterfoil_tag %}",
    track='{% counterfoil_track "Purchase" order eventID="order-1001" %}',
)
# What each view has handed to its task queue: the visitor as the framework knows him.
visitors: list[Json] = []
Shop = Callable[[Relay, str], ASGIApp]


def flask_shop(relay: Relay, base_code: str) -> ASGIApp:
    app = Flask(__name__)
    for_flask.init_app(app, relay)

    @app.get("/thanks")
    def thanks() -> str:
        visitors.append(for_flask.visitor())
        return render_template_string(JINJA, base_code=base_code, order=ORDER)

    return cast(ASGIApp, WSGIMiddleware(cast(Any, app)))  # which has types of its own for both ends


def starlette_shop(relay: Relay, base_code: str) -> ASGIApp:
    templates = Jinja2Templates(env=Environment(loader=DictLoader({"thanks": JINJA}), autoescape=True))
    for_starlette.install(templates, relay)

    async def thanks(request: Request) -> Response:
        visitors.append(for_starlette.visitor(request))
        return templates.TemplateResponse(request, "thanks", {"base_code": base_code, "order": ORDER})

    return Starlette(routes=[Route("/thanks", thanks)])


def django_thanks(request: HttpRequest) -> HttpResponse:
    from counterfoil_shop.django import visitor

    visitors.append(visitor(request))
    page = Engine.get_default().from_string(DJANGO)
    values = {"base_code": django_settings.BASE_CODE, "order": ORDER, "request": request}
    return HttpResponse(page.render(Context(values)))


urlpatterns = [path("thanks", django_thanks)]


def django_shop(relay: Relay, base_code: str) -> ASGIApp:
    if not django_settings.configured:
        django_settings.configure(
            ALLOWED_HOSTS=["*"],
            ROOT_URLCONF=__name__,
            INSTALLED_APPS=["counterfoil_shop"],
            TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        )
        django.setup()
    django_settings.COUNTERFOIL = {
        "url": relay.url,
        "site": relay.site,
        "signing_key": relay.signing_key,
        "write_key": relay.write_key,
        "api": relay.api,
    }
    django_settings.BASE_CODE = base_code
    return cast(ASGIApp, WSGIMiddleware(get_wsgi_application()))


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "signing").write_text(SIGNING_KEY)
    (tmp_path / "write").write_text(WRITE_KEY)
    with open_lab(
        tmp_path,
        delivery=QUICK,
        require_signature=("Purchase",),
        conversion_key_file=str(tmp_path / "signing"),
        write_key_file=str(tmp_path / "write"),
    ) as opened:
        yield opened


@pytest.mark.parametrize("shop", [django_shop, flask_shop, starlette_shop])
def test_a_shops_purchase_is_signed_and_joined_by_its_server(shop: Shop, lab: Lab, page: Page) -> None:
    visitors.clear()
    relay = Relay(lab.relay_url, SITE, signing_key=SIGNING_KEY, write_key=WRITE_KEY, api=lab.api_url)
    app = shop(relay, lab.base_code(page_view=False))
    lab.shop.app.router.routes.insert(0, Mount("/", app=app))
    page.context.add_cookies(
        [{"name": "_fbp", "value": "fb.1.1763859600000.1234567890", "url": lab.shop_url}]
    )
    page.goto(f"{lab.shop_url}/thanks")
    (seen,) = [visitor for visitor in visitors if visitor.get("fbp")]
    assert seen == {
        "client_user_agent": page.evaluate("navigator.userAgent"),
        "client_ip_address": "127.0.0.1",
        "fbp": "fb.1.1763859600000.1234567890",
    }
    (server,) = lab.wait_for_server("Purchase")
    (browser,) = lab.half("browser", "Purchase")
    assert browser["event_id"] == server["event_id"] == "order-1001"
    assert set(lab.counted("Purchase").values()) == {1}

    # The shop's server tells of the same event, and of one that no page knows.
    told: Json = {"event_name": "Purchase", "event_id": "order-1001", "action_source": "website"}
    told |= {"event_source_url": f"{lab.shop_url}/thanks", "user_data": seen, "custom_data": ORDER}
    lead: Json = {"event_name": "Lead", "event_id": "lead-7", "action_source": "system_generated"}
    lead |= {"user_data": {"em": "ada@example.com"}}
    assert send(relay, [told, lead]) | {"refused": []} == {
        "accepted": 1,
        "updated": 0,
        "duplicates": 1,
        "refused": [],
    }
    (sent,) = lab.wait_for_server("Lead")
    assert "ada" not in json.dumps(sent["params"]).lower()
    assert len(lab.half("server", "Purchase")) == 1
