"""What `counterfoil init` writes: settings, and the files that bring relay and web server up, for one shop.

The texts are the templates of `templates/install/`; the tests run them in the real servers.
"""

import re
from typing import Final, Literal
from urllib.parse import urlsplit

import msgspec
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from relay import __version__
from relay.assets import find_assets
from relay.errors import RelayError
from relay.loading import load_settings
from relay.settings import Settings
from relay.tag import STUB, site_tag

Front = Literal["caddy", "nginx", "apache", "fly", "render", "heroku", "other"]
Consent = Literal["pixel", "required", "granted"]

LOCAL_RELAY: Final = "http://127.0.0.1:8300"
PATH: Final = "/relay"
SERVERS: Final[tuple[Front, ...]] = ("caddy", "nginx", "apache")
# Whose word for the visitor's address is believed (docs/addresses.md).
TRUSTED: Final[dict[Front, list[str]]] = {
    "caddy": ["caddy"],
    "nginx": ["nginx"],
    "apache": ["apache"],
    "fly": ["fly"],
    "render": ["10.0.0.0/8", "cloudflare"],
    "heroku": ["heroku"],
    "other": ["caddy"],  # the one in compose.yaml
}
PLATFORM_FILES: Final[dict[Front, dict[str, str]]] = {
    "fly": {"fly.toml": "fly.toml"},
    "render": {"render.yaml": "render.yaml"},
    "heroku": {
        "Procfile": "heroku.procfile",
        "requirements.txt": "heroku.requirements.txt",
        "app.json": "heroku.app.json",
    },
}


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What `init` was told. One of the two places of the token is None."""

    site: str  # origin
    pixel: str
    front: Front
    consent: Consent
    public_url: str
    token_env: str | None = None
    token_file: str | None = None
    test_event_code: str | None = None

    @property
    def path(self) -> str:
        """The relay's path on the shop's own origin; empty for a host of its own."""
        return self.public_url.removeprefix(self.site) if self.public_url.startswith(f"{self.site}/") else ""

    @property
    def host(self) -> str:
        return urlsplit(self.public_url).netloc


def check_variable(word: str) -> str:
    """The name of a variable. Raises RelayError for anything else, such as a token itself."""
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", word) or word.startswith("EAA"):
        raise RelayError(
            "This is no variable's name. A token stands in no file of settings and on no command line: name the "
            "variable that will hold it, such as META_ACCESS_TOKEN, or a file's path, such as /etc/counterfoil/token."
        )
    return word


def default_public_url(site: str, front: str) -> str:
    """Same-origin path before subdomain; on a machine of one's own, the relay as it listens."""
    host = urlsplit(site).hostname or ""
    if host in ("localhost", "127.0.0.1", "::1"):
        return LOCAL_RELAY
    if front in SERVERS:
        return f"{site}{PATH}"
    return f"{urlsplit(site).scheme}://relay.{host.removeprefix('www.')}"


def starter_files(answers: Answers, *, has_dockerfile: bool) -> dict[str, str]:
    """By name, the files for this shop. Raises SettingsError for what `serve` would refuse."""
    _check(answers)
    values = _values(answers)
    names = {"relay.toml": "relay.toml"} | PLATFORM_FILES.get(answers.front, {})
    if answers.front in (*SERVERS, "other"):
        names |= {"compose.yaml": "compose.yaml", "counterfoil.service": "counterfoil.service"}
        names |= _front_file(answers)
    if answers.front != "heroku" and not has_dockerfile:
        names["Dockerfile"] = "Dockerfile"
    templates = _templates()
    files = {name: templates.get_template(template).render(values) for name, template in names.items()}
    return files | {"tag.html": tag(answers)}


def tag(answers: Answers) -> str:
    """What goes into the pages."""
    settings = _read_again(answers)
    return f"<script>{STUB}</script>\n{site_tag(answers.public_url, settings.site[0])}\n"


def _check(answers: Answers) -> None:
    """What `serve` would refuse, and what cannot stand in the other files."""
    _read_again(answers)
    if not re.fullmatch(r"(/[A-Za-z0-9_-]+)*", urlsplit(answers.public_url).path):
        raise RelayError(f"The path of {answers.public_url} may hold letters, digits, - and _ only.")
    if answers.token_file is not None and not re.fullmatch(r"[\w./@+-]+", answers.token_file):
        raise RelayError(f"{answers.token_file}: name a file without spaces and signs for the token.")
    if answers.token_file is not None and answers.front in PLATFORM_FILES:
        raise RelayError(f"On {answers.front} the token stands in a variable: name it by --token-env.")


def _front_file(answers: Answers) -> dict[str, str]:
    kind = "path" if answers.path else "subdomain"
    if answers.front == "other":
        return {"Caddyfile": "caddy.subdomain.conf"}
    return {f"counterfoil.{answers.front}.conf": f"{answers.front}.{kind}.conf"}


def _values(answers: Answers) -> dict[str, object]:
    key = _key(answers.site)
    return {
        **msgspec.structs.asdict(answers),
        "key": key,
        "app": f"counterfoil-{key}"[:30].rstrip("-_").lower(),
        "host": answers.host,
        "name": urlsplit(answers.public_url).hostname,
        "port": urlsplit(answers.public_url).port or 443,
        "path": answers.path,
        "console_url": LOCAL_RELAY if answers.path else None,
        "trusted_proxies": [] if answers.public_url == LOCAL_RELAY else TRUSTED[answers.front],
        "upstream": "relay:8300" if answers.front == "other" else "127.0.0.1:8300",
        "version": __version__,
    }


def _key(site: str) -> str:
    host = urlsplit(site).hostname or ""
    return "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in host)[:64]


def _read_again(answers: Answers) -> Settings:
    """The settings as `serve` will have them."""
    pixel = {"id": answers.pixel, "token_env": answers.token_env, "token_file": answers.token_file}
    site = {
        "key": _key(answers.site),
        "origins": [answers.site],
        "consent": answers.consent,
        "pixels": [pixel],
    }
    return load_settings(None, {}, {"server": {"public_url": answers.public_url}, "site": [site]})


def _templates() -> Environment:
    return Environment(
        loader=FileSystemLoader(find_assets("templates") / "install"),
        autoescape=False,  # noqa: S701 - TOML, YAML and servers' own languages; values are quoted by `tojson`
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
