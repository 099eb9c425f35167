"""What a page's HTML says to a browser: its scripts in order, and the policies in its <meta> tags."""

import re
from html.parser import HTMLParser
from typing import Final
from urllib.parse import urljoin

import msgspec

from relay.doctor.network import Answer

# A script that a consent tool or an optimiser starts later keeps its text, under another type.
_INIT: Final = re.compile(r"""fbq\(\s*['"]init['"]\s*,\s*['"]?([0-9]{1,20})""")
_META_SCRIPT: Final = re.compile(r"""https?://[^\s'"<>\\]+/fbevents\.js""")
_CHARSET: Final = re.compile(r"charset=[\"']?([\w-]+)", re.IGNORECASE)

Attributes = dict[str, str]


class Script(msgspec.Struct, frozen=True, kw_only=True):
    """`src` is absolute; None for one whose `text` stands in the page."""

    src: str | None
    attributes: Attributes
    text: str

    def data(self) -> Attributes:
        """The `data-*` attributes."""
        return {name: value for name, value in self.attributes.items() if name.startswith("data-")}


class Markup(msgspec.Struct, frozen=True, kw_only=True):
    url: str
    text: str
    scripts: tuple[Script, ...]
    policies: tuple[str, ...]  # of <meta> tags

    def tags(self) -> list[Script]:
        """Those of Counterfoil."""
        return [script for script in self.scripts if "data-site" in script.attributes]

    def pixel_ids(self) -> tuple[str, ...]:
        """The ids that the page's own scripts initialise, one for each call."""
        return tuple(pixel for script in self.scripts for pixel in _INIT.findall(script.text))

    def base_code(self) -> Script | None:
        """The script that loads Meta's, or else the first that initialises a pixel."""
        loads = [script for script in self.scripts if _META_SCRIPT.search(script.src or script.text)]
        inits = [script for script in self.scripts if _INIT.search(script.text)]
        return next(iter(loads or inits), None)

    def meta_script(self) -> str | None:
        """The address of Meta's script; a twin's in a laboratory."""
        code = self.base_code()
        found = _META_SCRIPT.search((code.src or code.text) if code else "")
        return found[0] if found else None


def read_markup(answer: Answer) -> Markup:
    """Takes any bytes; what is no HTML has no scripts."""
    return parse_markup(_decode(answer), answer.url)


def parse_markup(text: str, url: str) -> Markup:
    """The page of this text at this address."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    base = _join(url, reader.base)
    scripts = tuple(
        Script(
            src=_join(base, attributes["src"].strip()) if "src" in attributes else None,
            attributes=attributes,
            text="".join(parts),
        )
        for attributes, parts in reader.scripts
    )
    return Markup(url=url, text=text, scripts=scripts, policies=tuple(reader.policies))


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.base = ""
        self.scripts: list[tuple[Attributes, list[str]]] = []
        self.policies: list[str] = []
        self._in_script = False

    def parse_marked_section(self, i: int, report: int = 1) -> int:  # noqa: ARG002 - the library's signature
        """`<![…` is a comment up to the next `>` in HTML; the library reads SGML, and gives up on what is none."""
        end = self.rawdata.find(">", i)
        return end + 1 if end >= 0 else len(self.rawdata)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in reversed(attrs)}  # the first of a name counts
        self._in_script = tag == "script"
        if tag == "script":
            self.scripts.append((attributes, []))
        elif tag == "base" and not self.base:
            self.base = attributes.get("href", "")
        elif tag == "meta" and attributes.get("http-equiv", "").lower() == "content-security-policy":
            self.policies.append(attributes.get("content", ""))

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts[-1][1].append(data)

    def handle_endtag(self, tag: str) -> None:  # noqa: ARG002 - whichever tag ends, a script has ended
        self._in_script = False


def _join(base: str, address: str) -> str:
    try:
        return urljoin(base, address)
    except ValueError:  # no address: a browser loads nothing from it
        return address


def _decode(answer: Answer) -> str:
    named = _CHARSET.search(answer.headers.get("content-type", ""))
    try:
        return answer.body.decode(named[1] if named else "utf-8", "replace")
    except LookupError:
        return answer.body.decode("utf-8", "replace")
