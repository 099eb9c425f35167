"""One of the shop's pages: whether the tag and Meta's base code are there, may run, and stand alone."""

from collections import Counter
from typing import Final
from urllib.parse import urlsplit

from relay.doctor.finding import Check, Finding, failed, skipped, warned, well
from relay.doctor.loaders import LOADERS, Loader
from relay.doctor.markup import Markup, Script, read_markup
from relay.doctor.network import Network, NoAnswer
from relay.doctor.page_policy import judge_policy
from relay.doctor.subject import Subject
from relay.tag import script_tag

OF_PAGE: Final = (Check.PAGE, Check.SNIPPET, Check.BASE_CODE, Check.CSP, Check.LOADERS)
LONG_EVENTS_ONLY: Final = (
    "form-action",
    "frame-src",
)  # an event of 2,048 characters or more leaves by a form


async def check_page(subject: Subject, network: Network) -> list[Finding]:
    if subject.url is None:
        return [skipped(check, "no page", "No page was named.", "Name one by --url.") for check in OF_PAGE]
    try:
        answer = await network.ask("GET", subject.url, follow=True)
    except NoAnswer as silent:
        return [
            failed(Check.PAGE, subject.url, str(silent), "Give --url the address of a page that answers.")
        ]
    if answer.status != 200:
        fix = "Give --url the address of a page that a visitor would see."
        return [failed(Check.PAGE, subject.url, f"HTTP {answer.status}", fix)]
    page = read_markup(answer)
    return [
        _page(subject, page),
        _snippet(subject, page),
        _base_code(subject, page),
        judge_policy(subject, page, answer),
        *_loaders(page),
    ]


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


def _snippet(subject: Subject, page: Markup) -> Finding:
    tags, hosts = page.tags(), subject.site.address_hosts
    right = script_tag(subject.relay, subject.site.key, hosts)
    if not tags:
        fix = f"Put {right} into the <head> of every page. A tag that a tag manager adds cannot be seen here."
        return failed(Check.SNIPPET, page.url, "there is no script tag with data-site in the HTML", fix)
    tag = tags[0]
    fix = f"Let the tag be {right}"
    if tag.attributes["data-site"] != subject.site.key:
        return failed(Check.SNIPPET, page.url, f"data-site is {tag.attributes['data-site']!r}", fix)
    if tag.src != f"{subject.relay}/c.js":
        return failed(Check.SNIPPET, page.url, f"src is {tag.src}", fix)
    if any(tag.attributes.get(f"data-{family}") != url for family, url in hosts.urls().items()):
        seen = "the tag does not name the address hosts, so pages learn no other address"
        return warned(Check.SNIPPET, page.url, seen, fix)
    if len(tags) > 1:
        return warned(Check.SNIPPET, page.url, f"{len(tags)} tags; the first one works", "Remove the others.")
    return well(Check.SNIPPET, page.url, f"found, {_place(page, tag)}")


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


def _found(page: Markup) -> list[Loader]:
    return [loader for loader in LOADERS if loader.mark.search(page.text)]
