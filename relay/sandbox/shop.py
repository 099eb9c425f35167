"""The demo shop: Meta's base code and the relay's tag, under the policy that `counterfoil snippet` prints."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.templating import Jinja2Templates

from relay.assets import find_assets
from relay.tag import STUB, policy_sources, script_tag

CURRENCY: Final = "EUR"


class Product(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the shop pretends to sell."""

    id: str  # also the name of its drawing
    name: str
    price: float  # in CURRENCY
    line: str
    text: str


PRODUCTS: Final = (
    Product(
        id="ticket-book",
        name="Ticket book",
        price=12.5,
        line="One hundred pairs",
        text="Every leaf tears in two along the perforation: one half goes, one stays. The numbers match.",
    ),
    Product(
        id="ledger",
        name="Desk ledger",
        price=49.9,
        line="Bound in green cloth",
        text="Three hundred ruled pages, sewn so that none can be taken out without a trace.",
    ),
    Product(
        id="stamp",
        name="Date stamp",
        price=24.0,
        line="Turns until 2040",
        text="A brass wheel for each digit and a wooden grip. For those who want to know what came first.",
    ),
    Product(
        id="spike",
        name="Bill spike",
        price=18.0,
        line="Oak and steel",
        text="What has been settled goes onto the spike, in the order in which it was settled.",
    ),
)


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """The other addresses of the sandbox, as the shop's pages need them."""

    relay: str
    meta: str
    site_key: str
    pixel: str


def create_shop(links: Links) -> Starlette:
    """The shop as an app of its own."""
    static = find_assets("static")
    templates = Jinja2Templates(directory=find_assets("templates") / "sandbox")
    templates.env.globals |= {"products": PRODUCTS, "currency": CURRENCY, "links": links, "stub": STUB}
    templates.env.globals["script_tag"] = script_tag(links.relay, links.site_key, radar_share=1)

    def page(name: str) -> Callable[[Request], Awaitable[Response]]:
        async def show(request: Request) -> Response:
            product = next((p for p in PRODUCTS if p.id == request.path_params.get("id")), None)
            missing = name == "missing" or (name == "product" and product is None)
            nonce = secrets.token_urlsafe(16)
            return templates.TemplateResponse(
                request,
                "missing.html" if missing else f"{name}.html",
                {"nonce": nonce, "product": product},
                status_code=404 if missing else 200,
                headers={"content-security-policy": content_security_policy(links, nonce)},
            )

        return show

    return Starlette(
        routes=[
            Route("/", page("home")),
            Route("/product/{id}", page("product")),
            Route("/cart", page("cart")),
            Route("/thanks", page("thanks")),
            Mount("/static/css", StaticFiles(directory=static / "css")),
            Mount("/static/js", StaticFiles(directory=static / "js" / "shop")),
            Route("/{path:path}", page("missing")),
        ]
    )


def content_security_policy(links: Links, nonce: str) -> str:
    """A strict shop's policy, widened by exactly what `policy_sources` names."""
    own: dict[str, tuple[str, ...]] = {
        "default-src": ("'none'",),
        "script-src": ("'self'", f"'nonce-{nonce}'"),
        "style-src": ("'self'",),
        "connect-src": ("'self'",),
        "img-src": ("'self'", "data:"),
        "form-action": ("'self'",),
        "frame-src": (),
        "base-uri": ("'none'",),
    }
    added = policy_sources(links.relay, scripts=links.meta, pixel=links.meta)
    return "; ".join(f"{name} {' '.join(sources + added.get(name, ()))}" for name, sources in own.items())
