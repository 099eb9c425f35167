"""Which browser the check drives."""

from pathlib import Path

import pytest

from relay.sandbox.browser import find_chromium


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COUNTERFOIL_CHROMIUM", raising=False)
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "downloads"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr("sys.platform", "linux")


def executable(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o755)
    return str(path)


def test_a_machine_without_one_has_none() -> None:
    assert find_chromium() is None


def test_an_installed_chromium_is_found(tmp_path: Path) -> None:
    installed = executable(tmp_path / "bin" / "chromium")
    assert find_chromium() == installed


def test_playwrights_newest_download_is_found_where_none_is_installed(tmp_path: Path) -> None:
    executable(tmp_path / "downloads" / "chromium-1000" / "chrome-linux" / "chrome")
    newest = executable(tmp_path / "downloads" / "chromium-1100" / "chrome-linux64" / "chrome")
    assert find_chromium() == newest


def test_the_named_browser_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    executable(tmp_path / "bin" / "chromium")
    named = executable(tmp_path / "mine")
    monkeypatch.setenv("COUNTERFOIL_CHROMIUM", named)
    assert find_chromium() == named


def test_a_named_browser_that_is_not_there_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(tmp_path / "bin" / "chromium")
    monkeypatch.setenv("COUNTERFOIL_CHROMIUM", str(tmp_path / "gone"))
    assert find_chromium() is None
