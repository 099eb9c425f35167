from pathlib import Path

import pytest

for file in (Path(__file__).parent / "promises").glob("*.py"):
    pytest.register_assert_rewrite(f"tests.store.promises.{file.stem}")
