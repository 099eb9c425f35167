"""The recipes of docs/signing.md are run, and the relay takes what they sign."""

import os
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from relay.event.outcome import FateReason
from relay.store.protocol import Filters
from tests.event.malformed import good_event
from tests.web.lab import lab_settings, open_relay

KEY = "0123456789abcdef0123456789abcdef"
PAGE = (Path(__file__).parent.parent / "docs" / "signing.md").read_text("utf-8")
RECIPES = dict(re.findall(r"^### (\w+)\n\n```\w+\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
# The one that the lock brings stands beside Python.
NODE = shutil.which("node", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}") or "node"
ORDER = {"order_id": "1001", "value": 49.9, "currency": "EUR"}


def run_python(recipe: str) -> str:
    """With stand-ins for what the frameworks hand to a view."""
    names: dict[str, Any] = {
        "order": SimpleNamespace(number="1001", total=Decimal("49.90"), currency="EUR"),
        "settings": SimpleNamespace(COUNTERFOIL_KEY=KEY),
        "app": SimpleNamespace(config={"COUNTERFOIL_KEY": KEY}),
        "request": SimpleNamespace(app=SimpleNamespace(state=SimpleNamespace(counterfoil_key=KEY))),
    }
    exec(recipe, names)
    return str(names["signature"])


def run_node(recipe: str) -> str:
    order = "const order = { number: '1001', total: 49.9, currency: 'EUR' };"
    script = f"{order}\n{recipe}\nconsole.log(signature);"
    done = subprocess.run(
        [NODE, "-e", script], env={"COUNTERFOIL_KEY": KEY}, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_every_recipe_is_known_here() -> None:
    assert set(RECIPES) == {"Django", "Flask", "Starlette", "Node", "PHP"}
    assert all(len(recipe.splitlines()) <= 3 for recipe in RECIPES.values())


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["Django", "Flask", "Starlette", "Node"])
async def test_the_relay_takes_what_a_recipe_signs_and_nothing_else(tmp_path: Path, name: str) -> None:
    signature = run_node(RECIPES[name]) if name == "Node" else run_python(RECIPES[name])
    settings = lab_settings(tmp_path)
    site = msgspec.structs.replace(
        settings.site[0], require_signature=("Purchase",), conversion_key_env="SHOP_KEYS"
    )
    settings = msgspec.structs.replace(settings, site=(site,))
    async with open_relay(settings, environ={"SHOP_KEYS": f"{'x' * 32} {KEY}"}) as relay:
        await relay.post(
            good_event(event_id="signed", custom_data=ORDER, signature=signature),
            good_event(event_id="altered", custom_data=ORDER | {"value": 4.99}, signature=signature),
            good_event(event_id="unsigned", custom_data=ORDER),
            good_event(event_id="replayed", custom_data=ORDER, signature=signature),
        )
        reasons = {row.event_id: row.fate_reason for row in await relay.store.recent(Filters())}
    assert reasons == {
        "signed": None,
        "altered": FateReason.ALTERED,
        "unsigned": FateReason.UNSIGNED,
        "replayed": FateReason.REPEATED_ORDER,
    }
