"""What ships: the wheel, built from the sdist, installed where the checkout is out of reach."""

import os
import subprocess
import sys
import sysconfig
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.ports import free_port

ROOT = Path(__file__).parent.parent
CONFIG = """
[server]
port = {port}
public_url = "http://127.0.0.1:{port}"
[[site]]
key = "demo-shop"
origins = ["https://shop.example"]
[[site.pixels]]
id = "1234567890"
"""

pytestmark = [pytest.mark.install, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    dist = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(dist), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True, timeout=240)
    (built,) = dist.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def command(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`counterfoil` in an environment of its own: the wheel is new, its dependencies are borrowed."""
    venv = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    install = [str(venv / "bin" / "pip"), "install", "--quiet", "--no-deps", "--no-index", str(wheel)]
    subprocess.run(install, check=True, timeout=120)
    (site_packages,) = venv.glob("lib/*/site-packages")
    # A path named in a .pth file is searched last, and its own .pth files (the editable one) are not read.
    (site_packages / "borrowed.pth").write_text(sysconfig.get_path("purelib"))
    return venv / "bin" / "counterfoil"


@pytest.fixture
def relay_url(command: Path, tmp_path: Path) -> Iterator[str]:
    port = free_port()
    (tmp_path / "relay.toml").write_text(CONFIG.format(port=port))
    relay = subprocess.Popen([command, "serve"], cwd=tmp_path, env=clean_environ())
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        relay.terminate()
        assert relay.wait(timeout=30) == 0


def clean_environ() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(("RELAY_", "PYTHON"))}


def get(url: str) -> httpx.Response:
    """Ask until the relay listens."""
    end = time.monotonic() + 60
    while True:
        try:
            return httpx.get(url, timeout=10)
        except httpx.ConnectError:
            if time.monotonic() > end:
                raise


def test_the_wheel_carries_every_file_that_is_not_python(wheel: Path) -> None:
    packed = set(zipfile.ZipFile(wheel).namelist())
    expected = {
        f"relay/_{kind}/{file.relative_to(ROOT / kind)}"
        for kind in ("static", "templates")
        for file in (ROOT / kind).rglob("*")
        if file.is_file()
    }
    migrations = {str(file.relative_to(ROOT)) for file in (ROOT / "relay").rglob("*.sql")}
    assert migrations
    assert expected | migrations | {"relay/py.typed", "relay/proxies.toml", "relay/senders.json"} <= packed


def test_the_wheel_carries_nothing_of_the_workshop(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"relay"}


def test_the_installed_relay_serves_its_snippet_and_its_pages(relay_url: str) -> None:
    script = get(f"{relay_url}/c.js")
    assert script.status_code == 200
    assert script.content == (ROOT / "static" / "js" / "c.js").read_bytes()
    page = httpx.get(f"{relay_url}/sign-in")
    assert page.status_code == 200
    assert "counterfoil sign-in" in page.text
    assert httpx.get(f"{relay_url}/static/css/console.css").status_code == 200


def test_the_installed_package_is_found_without_the_checkout(command: Path, tmp_path: Path) -> None:
    code = (
        "import relay.assets as assets; print(assets.find_assets('static'), assets.find_assets('templates'))"
    )
    python = [str(command.with_name("python")), "-c", code]
    found = subprocess.run(
        python, cwd=tmp_path, env=clean_environ(), capture_output=True, text=True, check=True
    )
    venv = command.parent.parent
    assert [Path(path).is_relative_to(venv) for path in found.stdout.split()] == [True, True]


def test_the_installed_command_says_the_wheels_version(wheel: Path, command: Path, tmp_path: Path) -> None:
    said = subprocess.run([command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert wheel.name.split("-")[1] == said.stdout.split()[-1]


def test_the_installed_command_writes_an_installation_and_shopifys_pixel(
    command: Path, tmp_path: Path
) -> None:
    flags = ["--site", "https://shop.example", "--pixel", "1234567890", "--yes"]
    subprocess.run([command, "init", *flags], cwd=tmp_path, env=clean_environ(), check=True, timeout=60)
    assert (tmp_path / "compose.yaml").exists()
    config = tmp_path / "relay.toml"
    config.write_text(config.read_text().replace("[[site]]\n", "[[site]]\nopaque_origins = true\n"))
    printed = subprocess.run(
        [command, "snippet", "--shopify"], cwd=tmp_path, env=clean_environ(), capture_output=True, text=True
    )
    assert '"site":"shop-example"' in printed.stdout


def test_the_package_for_the_shops_server_holds_its_modules_and_no_dependency(tmp_path: Path) -> None:
    project = ROOT / "integrations" / "python"
    build = [
        sys.executable,
        "-m",
        "build",
        "--no-isolation",
        "--wheel",
        "--outdir",
        str(tmp_path),
        str(project),
    ]
    subprocess.run(build, check=True, capture_output=True, timeout=240)
    (built,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(built) as packed:
        modules = {name for name in packed.namelist() if name.endswith(".py")}
        (metadata,) = [name for name in packed.namelist() if name.endswith("METADATA")]
        assert b"Requires-Dist" not in packed.read(metadata)
    assert modules == {
        f"counterfoil_shop/{name}.py"
        for name in (
            "__init__",
            "django",
            "flask",
            "starlette",
            "templatetags/__init__",
            "templatetags/counterfoil",
        )
    }
