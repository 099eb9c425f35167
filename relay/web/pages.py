"""The console's template environment: every value is escaped, and an undefined name is an error."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from relay import __version__
from relay.web import words
from relay.web.headers import NO_STORE


def open_pages(templates: Path) -> Environment:
    pages = Environment(
        loader=FileSystemLoader(templates),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for word in (words.iso, words.clock, words.day, words.gap, receipt_path):
        pages.filters[word.__name__] = word
    pages.globals["version"] = __version__
    return pages


def show(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    """A page of the console. Pages show personal data, so no cache keeps them."""
    pages: Environment = request.app.state.pages
    html = pages.get_template(template).render(values)
    return HTMLResponse(html, status_code=status, headers=NO_STORE)


def receipt_path(event_id: str) -> str:
    """The receipt's address. An event_id may hold any printable character, slashes too."""
    return f"/receipts/{quote(event_id, safe='')}"
