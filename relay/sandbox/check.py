"""One Purchase through the whole line, and the proof that it counts once."""

import asyncio
from pathlib import Path
from typing import Final

import httpx
import msgspec

from relay.errors import RelayError
from relay.event.verdict import Profile
from relay.sandbox.browser import browser_to_use, buying_in_browser, buying_over_http
from relay.sandbox.run import Sandbox, open_sandbox
from relay.web.receipt_view import ReceiptsOfEvent

LIMIT_SECONDS: Final = 60
LOOK_AGAIN_SECONDS: Final = 0.1
WIDTH: Final = 38  # of a half in the printed receipt: a UUID fits, a user agent is cut


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """What the check did and found. `troubles` is empty where everything is as promised."""

    visitor: str
    view: ReceiptsOfEvent
    troubles: tuple[str, ...]


async def check(folder: Path, port_base: int | None) -> Checked:
    """Open a sandbox, buy, and read the receipt by the console's API. Raises RelayError after a minute."""
    step = "the sandbox to start"
    try:
        async with asyncio.timeout(LIMIT_SECONDS), open_sandbox(folder, port_base) as sandbox:
            step = "the visitor to buy"
            chromium = browser_to_use()
            visit = (
                buying_in_browser(chromium, sandbox.shop)
                if chromium
                else buying_over_http(sandbox.links, sandbox.shop)
            )
            async with visit as event_id:
                step = "the event to reach its fate"
                view = await receipt_with_fate(sandbox, event_id)
    except TimeoutError:
        raise RelayError(
            f"The check waited {LIMIT_SECONDS} s in vain for {step}. Try by hand: `counterfoil sandbox`."
        ) from None
    visitor = (
        f"a real browser ({chromium})"
        if chromium
        else "plain HTTP requests, since no browser that can be driven was found"
    )
    return Checked(visitor=visitor, view=view, troubles=troubles(view))


async def receipt_with_fate(sandbox: Sandbox, event_id: str) -> ReceiptsOfEvent:
    """The receipt by the console's API, once the event has ended."""
    async with httpx.AsyncClient(base_url=sandbox.links.relay) as console:
        (await console.get(sandbox.sign_in_link())).raise_for_status()
        while True:
            answer = await console.get(f"/api/receipts/{event_id}")
            if answer.status_code == httpx.codes.OK:
                view = msgspec.json.decode(answer.content, type=ReceiptsOfEvent)
                if all(receipt.fate for receipt in view.receipts):
                    return view
            await asyncio.sleep(LOOK_AGAIN_SECONDS)


def troubles(view: ReceiptsOfEvent) -> tuple[str, ...]:
    """What keeps the check from passing, in sentences."""
    counted = view.twin_counted or {}
    found = [
        f"Under {profile} the twin counts {counted.get(profile, {})}, and one Purchase was made."
        for profile in Profile
        if counted.get(profile) != {"Purchase": 1}
    ]
    for receipt in view.receipts:
        if receipt.order.first != "browser":
            found.append(f"The browser half was not first: {receipt.order.sentence}")
        for half in ("browser", "server"):
            if receipt.twin is None or len(getattr(receipt.twin, half)) != 1:
                found.append(f"The twin did not get exactly one {half} half.")
    return tuple(found)


def receipt_text(view: ReceiptsOfEvent) -> list[str]:
    """The receipts of one event for a terminal: both halves, the order, the verdicts."""
    lines: list[str] = []
    for receipt in view.receipts:
        lines += [
            f"Receipt of {receipt.event_name} {receipt.event_id}, pixel {receipt.pixel}",
            receipt.headline,
            "",
            _row("", "browser half", "server half", ""),
            *(_row(row.field, row.browser or "-", row.server or "-", row.mark) for row in receipt.compared),
            "",
            *(f"  {moment.after_ms:>7} ms  {moment.label}" for moment in receipt.timeline),
            "",
            *(f"  {verdict.profile:<17} {verdict.sentence}" for verdict in receipt.verdicts),
            "",
        ]
    for profile, counted in (view.twin_counted or {}).items():
        names = ", ".join(f"{number} {name}" for name, number in counted.items())
        lines.append(f"  {profile:<17} counted by the twin: {names}")
    return lines


def _row(field: str, browser: str, server: str, mark: str) -> str:
    def fit(text: str) -> str:
        return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"

    return f"  {field:<15} {fit(browser):<{WIDTH}}  {fit(server):<{WIDTH}}  {mark}".rstrip()
