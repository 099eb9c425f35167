"""The console's template environment: every value is escaped, and an undefined name is an error."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from relay import __version__
from relay.event.gap import gap
from relay.settings import Settings
from relay.web import words
from relay.web.headers import NO_STORE
from relay.web.navigation import MENU
from relay.web.scope import RANGES, scope_or_usual
from relay.web.testing import testing_now


def open_pages(templates: Path) -> Environment:
    pages = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for word in (words.iso, words.clock, words.day, words.code, gap, receipt_path):
        pages.filters[word.__name__] = word
    pages.globals |= {"version": __version__, "menu": MENU, "ranges": RANGES}
    return pages


def show(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of the console. Pages show personal data, so no cache keeps them.

    Every template knows where it is (`path`), what it is about (`scope`), which sites there are (`site_keys`), and
    which pixels are in test mode (`testing`).
    """
    pages: Environment = request.app.state.pages
    settings: Settings = request.app.state.settings
    about = {
        "path": request.url.path,
        "scope": scope_or_usual(request),
        "site_keys": [site.key for site in settings.site],
        "testing": testing_now(settings, request.app.state.clock_ms()),
    }
    html = pages.get_template(template).render(about | values)
    return HTMLResponse(html, status_code=status, headers=NO_STORE)


def receipt_path(event_id: str) -> str:
    """The receipt's address. An event_id may hold any printable character, slashes too."""
    return f"/receipts/{quote(event_id, safe='')}"
