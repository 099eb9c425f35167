"""`make fuzz`: what strangers can write, some million times over: nothing may crash, and no answer may be a 5xx.

`python -m bench.fuzz [--scale 1.0] [--seed N]`. Hypothesis and atheris feed every target of `tests/fuzz/targets.py`,
schemathesis asks every route of a running relay. Prints a table; what failed stands below it, and atheris' inputs are
kept in `test-output/fuzz/`: put one into `tests/fuzz/corpus/` together with the mend. Exit code 1 if anything failed.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Final

from hypothesis import given, seed

from bench.fuzz.report import Line, head, row, total
from bench.fuzz.routes import bounded, fuzz_routes
from tests.fuzz.targets import TARGETS
from tests.fuzz.texts import TEXTS

CORPUS: Final = Path(__file__).parent.parent.parent / "tests" / "fuzz" / "corpus"
KEPT: Final = Path("test-output/fuzz")
PROPERTIES: Final = 2_000  # inputs per target by Hypothesis
GUIDED: Final = {"wire": 400_000, "address": 400_000}  # by atheris; every other target gets:
GUIDED_OTHERS: Final = 20_000
ROUTES: Final = 150  # per operation, and per kind of input
GUIDED_SECONDS: Final = 600  # per target


def properties(each: int, number: int) -> Iterator[Line]:
    for name, target in TARGETS.items():
        line = Line(name, "hypothesis")

        @seed(number)
        @bounded(each)
        @given(TEXTS[name])
        def feed(data: bytes) -> None:
            line.inputs += 1  # noqa: B023 - called within the loop
            target(data)  # noqa: B023

        line.hold(feed)
        yield line


def guided(scale: float, number: int) -> Iterator[Line]:
    KEPT.mkdir(parents=True, exist_ok=True)
    for name in TARGETS:
        with tempfile.TemporaryDirectory() as learned:
            yield guide(name, round(GUIDED.get(name, GUIDED_OTHERS) * scale), number, learned)


def guide(name: str, runs: int, number: int, learned: str) -> Line:
    """One target in a process of its own: libFuzzer ends it, with the number of inputs among its last words."""
    line = Line(name, "atheris")

    def trial() -> None:
        flags = [
            f"-runs={runs}",
            f"-seed={number}",
            f"-max_total_time={GUIDED_SECONDS}",
            "-print_final_stats=1",
        ]
        command = [
            sys.executable,
            "-m",
            "bench.fuzz.guided",
            name,
            *flags,
            f"-artifact_prefix={KEPT}/{name}-",
        ]
        ended = subprocess.run(
            [*command, learned, str(CORPUS / name)],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        counted = re.search(r"number_of_executed_units: (\d+)", ended.stderr)
        line.inputs += int(counted[1]) if counted else 0
        if ended.returncode:
            raise AssertionError(
                "\n".join([*ended.stdout.splitlines()[-30:], *ended.stderr.splitlines()[-15:]])
            )

    line.hold(trial)
    return line


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of inputs")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    lines: list[Line] = []
    print(head())
    with tempfile.TemporaryDirectory() as folder:
        for line in chain(
            guided(asked.scale, asked.seed),
            properties(max(2, round(PROPERTIES * asked.scale)), asked.seed),
            fuzz_routes(Path(folder), each=max(2, round(ROUTES * asked.scale)), number=asked.seed),
        ):
            lines.append(line)
            print(row(line), flush=True)
    print(total(lines))
    for line in lines:
        for trouble in line.troubles:
            print(f"\n{line.name}, {line.by}:\n{trouble}")
    return 1 if any(line.troubles for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
