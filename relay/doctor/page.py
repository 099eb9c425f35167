"""One of the shop's pages: whether the tag and Meta's base code are there, may run, and stand alone."""

from collections import Counter
from collections.abc import Sequence
from typing import Final
from urllib.parse import urljoin, urlsplit

from relay.doctor.finding import Check, Finding, failed, skipped, warned, well
from relay.doctor.markup import Markup, Script, parse_markup, read_markup
from relay.doctor.network import Network, NoAnswer
from relay.doctor.page_policy import judge_policy
from relay.doctor.subject import Subject
from relay.senders import SENDERS, Sender
from relay.tag import PINNED, integrity, site_tag

OF_PAGE: Final = (Check.PAGE, Check.SNIPPET, Check.BASE_CODE, Check.CSP, Check.LOADERS)
# Attributes of the tag: a wrong one of the first loses events, or sends them against the settings.
WEIGHTY: Final = ("data-site", "data-consent", "data-gpc")
ADDRESS_HOSTS: Final = ("data-ipv6", "data-ipv4")


async def check_page(subject: Subject, network: Network) -> list[Finding]:
    if subject.url is None:
        return _not_looked_at(OF_PAGE, "no page", "No page was named.")
    try:
        answer = await network.ask("GET", subject.url, follow=True)
    except NoAnswer as silent:
        return _no_page(subject.url, str(silent))
    if answer.status != 200:
        return _no_page(subject.url, f"HTTP {answer.status}")
    page = read_markup(answer)
    return [
        _page(subject, page),
        await _snippet(subject, page, network),
        _base_code(subject, page),
        judge_policy(subject, page, answer),
        *_loaders(page),
    ]


def _no_page(url: str, seen: str) -> list[Finding]:
    fix = "Give --url the address of a page that a visitor would see."
    return [
        failed(Check.PAGE, url, seen, fix),
        *_not_looked_at(OF_PAGE[1:], url, "There is no page to look at."),
    ]


def _not_looked_at(checks: Sequence[Check], about: str, seen: str) -> list[Finding]:
    return [skipped(check, about, seen, "Name a page of the shop by --url.") for check in checks]


def _page(subject: Subject, page: Markup) -> Finding:
    parts = urlsplit(page.url)
    origin = f"{parts.scheme}://{parts.netloc}"
    if origin in subject.site.origins:
        return well(
            Check.PAGE, page.url, f"{len(page.scripts)} scripts; {origin} is one of the site's origins"
        )
    fix = f"Add {origin} to the origins of the site {subject.site.key}, and restart the relay."
    return failed(
        Check.PAGE, page.url, f"{origin} is not one of the site's origins: its posts get a 403", fix
    )


async def _snippet(subject: Subject, page: Markup, network: Network) -> Finding:
    tags, line = page.tags(), site_tag(subject.relay, subject.site)
    if not tags:
        fix = f"Put {line} into the <head> of every page. A tag that a tag manager adds cannot be seen here."
        return failed(Check.SNIPPET, page.url, "there is no script tag with data-site in the HTML", fix)
    tag, fix = tags[0], f"Let the tag be {line}"
    if tag.src is None or tag.src not in (f"{subject.relay}/c.js", f"{subject.relay}/{PINNED}"):
        return failed(Check.SNIPPET, page.url, f"src is {tag.src}", fix)
    posts_to = urljoin(tag.src, tag.attributes.get("data-endpoint") or "/v1/events")
    if posts_to != f"{subject.relay}/v1/events":
        return failed(Check.SNIPPET, page.url, f"it posts to {posts_to}", fix)
    (right,) = parse_markup(line, subject.relay).scripts
    if wrong := {name for name in WEIGHTY if tag.data().get(name) != right.data().get(name)}:
        return failed(Check.SNIPPET, page.url, _differs(tag, wrong), fix)
    if wrong := {name for name in ADDRESS_HOSTS if tag.data().get(name) != right.data().get(name)}:
        return warned(Check.SNIPPET, page.url, f"{_differs(tag, wrong)}: pages learn no other address", fix)
    if not await _unaltered(tag, network):
        fix = (
            "Print the tag anew by `counterfoil snippet --pinned`, and see that no proxy changes the script."
        )
        return failed(Check.SNIPPET, page.url, "integrity is not the hash of what its address answers", fix)
    if len(tags) > 1:
        return warned(Check.SNIPPET, page.url, f"{len(tags)} tags; the first one works", "Remove the others.")
    return well(Check.SNIPPET, page.url, f"found, {_place(page, tag)}")


def _differs(tag: Script, names: set[str]) -> str:
    """What the tag says where it should say something else."""
    return ", ".join(f"{name} is {tag.data().get(name, 'not there')!r}" for name in sorted(names))


async def _unaltered(tag: Script, network: Network) -> bool:
    """Whether a browser would run the script: its bytes are those of the tag's hash, where it has one."""
    hashes = tag.attributes.get("integrity", "").split()
    if not hashes or tag.src is None:
        return True
    try:
        return integrity((await network.ask("GET", tag.src)).body) in hashes
    except NoAnswer:
        return False


def _place(page: Markup, tag: Script) -> str:
    code = page.base_code()
    if code is None:
        return "and no base code of Meta's beside it"
    return f"{'before' if page.scripts.index(tag) < page.scripts.index(code) else 'after'} Meta's base code"


def _base_code(subject: Subject, page: Markup) -> Finding:
    ids, ours = page.pixel_ids(), subject.site.pixel_ids()
    seen = f"initialises {', '.join(dict.fromkeys(ids)) or 'no pixel'}; the site has {', '.join(ours)}"
    if not ids:
        fix = (
            f"Put Meta's base code with fbq('init', '{ours[0]}') into every page, or let a tag manager do so."
        )
        if _found(page):
            return warned(Check.BASE_CODE, page.url, f"{seen}; a loader named below may add one", fix)
        return failed(Check.BASE_CODE, page.url, seen, fix)
    if missing := [pixel for pixel in ours if pixel not in ids]:
        fix = f"Add fbq('init', '{missing[0]}') to the page, or take {missing[0]} out of relay.toml."
        return warned(
            Check.BASE_CODE, page.url, f"{seen}; {', '.join(missing)} has no browser half here", fix
        )
    if foreign := [pixel for pixel in dict.fromkeys(ids) if pixel not in ours]:
        fix = f"Add {foreign[0]} to the site's pixels in relay.toml, or take it out of the page."
        return warned(Check.BASE_CODE, page.url, f"{seen}; {', '.join(foreign)} has no server half", fix)
    return well(Check.BASE_CODE, page.url, seen)


def _loaders(page: Markup) -> list[Finding]:
    findings = [
        (failed if loader.sends else warned)(
            Check.LOADERS,
            page.url,
            f"{loader.name} {'sends' if loader.sends else 'may send'} server events of this page too",
            loader.fix,
        )
        for loader in _found(page)
    ]
    for pixel, times in Counter(page.pixel_ids()).items():
        if times > 1:
            seen = f"pixel {pixel} is initialised {times} times: whoever fires it twice is counted twice"
            findings.append(warned(Check.LOADERS, page.url, seen, f"Keep one fbq('init', '{pixel}')."))
    return findings or [well(Check.LOADERS, page.url, "no other loader that leaves a mark in the HTML")]


def _found(page: Markup) -> list[Sender]:
    return [sender for sender in SENDERS if sender.is_in(page.text)]
