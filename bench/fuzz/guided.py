"""One target under atheris, which learns from the branches that an input takes: `python -m bench.fuzz.guided NAME …`.

What follows the name is libFuzzer's: folders of inputs and flags such as `-runs=100000`. A process of its own, since
libFuzzer ends it.
"""

import json
import random
import sys
from typing import Any, Final

import atheris

with atheris.instrument_imports(include=["relay"]):
    from tests.fuzz.targets import TARGETS

AS_BYTES: Final = 0.4  # of the changes: those that libFuzzer makes itself
STRANGE: Final[tuple[Any, ...]] = (
    None,
    True,
    0,
    -1,
    0.5,
    1e308,
    2**53,
    "",
    " ",
    "\x00",
    "é" * 300,
    [],
    {},
    [[]],
    ["LDU"],
    {"": ""},
)


def mutate(data: bytes, size_max: int, seed: int) -> bytes:
    """Change a value inside of the JSON, where it is any: bytes changed at random hardly ever stay JSON."""
    rng = random.Random(seed)
    try:
        value = json.loads(data)
        if rng.random() < AS_BYTES or not isinstance(value, dict | list) or not value:
            raise ValueError
        changed = json.dumps(_changed(value, rng)).encode()
    except (ValueError, RecursionError):
        return bytes(atheris.Mutate(data, size_max))
    return changed if len(changed) <= size_max else bytes(atheris.Mutate(data, size_max))


def _changed(value: Any, rng: random.Random) -> Any:
    """Go down at random, and change where the way ends."""
    inner = (
        list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    )
    if not inner or rng.random() < 0.1:
        if isinstance(value, str) and rng.random() < 0.7:
            text = value.encode("utf-8", "surrogatepass")
            return bytes(atheris.Mutate(text, max(len(text) + 8, 16))).decode("utf-8", "replace")
        return rng.choice(STRANGE)
    at = rng.choice(inner)
    if isinstance(value, dict) and rng.random() < 0.1:
        return {name: each for name, each in value.items() if name != at}
    value[at] = _changed(value[at], rng)
    return value


if __name__ == "__main__":
    name, *arguments = sys.argv[1:]
    atheris.Setup([name, *arguments], TARGETS[name], custom_mutator=mutate)
    atheris.Fuzz()
