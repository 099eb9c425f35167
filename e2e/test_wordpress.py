"""The WordPress plugin under php-cli with stub hooks, a real relay and a real browser on the pages that it prints."""

import hashlib
import hmac
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from e2e.conftest import QUICK
from e2e.lab import USER_AGENT, Json, Lab, open_lab
from relay import __version__
from relay.event.signature import canonical
from relay.settings import Delivery

PHP = shutil.which("php")
WHY_NOT = "install php-cli: as root, `make browser` does it where apt is"
pytestmark = pytest.mark.skipif(PHP is None, reason=WHY_NOT)

STUBS = Path(__file__).parent.parent / "tests" / "php" / "wordpress.php"
SIGNING_KEY = "0123456789abcdef0123456789abcdef"
WRITE_KEY = "fedcba9876543210fedcba9876543210"
ORDER: Json = {
    "id": 1001,
    "items": [{"product_id": 3, "variation_id": 31, "quantity": 2, "price": 24.95}],
    "total": "49.90",
    "currency": "EUR",
    "paid": int(time.time()),
    "billing_email": " Ada@Example.com",
    "billing_phone": "0151 12345678",
    "billing_first_name": "Ada",
    "billing_last_name": "Lovelace",
    "billing_city": "Berlin",
    "billing_state": "DE-BE",
    "billing_postcode": "10115",
    "billing_country": "DE",
    "customer_id": 12,
    "customer_user_agent": USER_AGENT,
    "customer_ip_address": "2001:db8::7",
    "checkout_order_received_url": "https://shop.example/checkout/order-received/1001/",
}


def run(*steps: str, relay: str = "https://relay.shop.example", **scenario: object) -> Json:
    """What the plugin prints, schedules, posts and remembers in these steps of an order's life."""
    given: Json = {
        "options": {"counterfoil_relay": relay, "counterfoil_site": "demo-shop"},
        "constants": {"COUNTERFOIL_SIGNING_KEY": SIGNING_KEY, "COUNTERFOIL_WRITE_KEY": WRITE_KEY},
        "order": ORDER,
        "do": steps,
        **scenario,
    }
    done = subprocess.run(
        [str(PHP), STUBS], input=json.dumps(given), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said: Json = json.loads(done.stdout)
    return said


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    (tmp_path / "signing").write_text(SIGNING_KEY)
    (tmp_path / "write").write_text(WRITE_KEY)
    with open_lab(
        tmp_path,
        delivery=QUICK,
        require_signature=("Purchase",),
        conversion_key_file=str(tmp_path / "signing"),
        write_key_file=str(tmp_path / "write"),
        default_country="DE",
    ) as opened:
        yield opened


def test_a_paid_order_and_its_thank_you_page_are_one_event_with_what_both_know(lab: Lab, page: Page) -> None:
    order = {**ORDER, "checkout_order_received_url": f"{lab.shop_url}/thanks"}
    told = run("checkout", "paid", "run", "head", "thankyou", relay=lab.relay_url, order=order)
    assert told["notes"] == []
    assert lab.meta()["server"] == []  # the browser's half comes first
    page.goto(
        lab.page(
            "/thanks",
            told["printed"]["thankyou"],
            head=lab.base_code(page_view=False) + told["printed"]["head"],
        )
    )
    (server,) = lab.wait_for_server("Purchase")
    (browser,) = lab.half("browser", "Purchase")
    assert browser["event_id"] == server["event_id"] == "order-1001"
    assert set(lab.counted("Purchase").values()) == {1}
    sent = server["params"]["user_data"]
    assert {"em", "ph", "fn", "ln", "ct", "zp", "country", "external_id", "fbp"} <= sent.keys()
    assert sent["fbp"] == browser["params"]["fbp"]
    assert "ada" not in json.dumps(lab.meta()).lower()
    (receipt,) = lab.receipt("order-1001")["receipts"]
    assert receipt["fate"]["fate"] == "delivered"


def test_without_the_thank_you_page_the_server_half_goes_alone(tmp_path: Path) -> None:
    (tmp_path / "write").write_text(WRITE_KEY)
    delivery = Delivery(hold_awaited_seconds=0.5)
    with open_lab(tmp_path, delivery=delivery, write_key_file=str(tmp_path / "write")) as lab:
        cookies = {"_fbp": "fb.1.1763859600000.1234567890", "_fbc": "not one"}
        order = {**ORDER, "checkout_order_received_url": f"{lab.shop_url}/thanks"}
        told = run("checkout", "paid", "run", relay=lab.relay_url, order=order, cookies=cookies)
        assert told["notes"] == []
        (server,) = lab.wait_for_server("Purchase")
        assert lab.half("browser", "Purchase") == []
        assert server["params"]["user_data"]["fbp"] == cookies["_fbp"]
        assert "fbc" not in server["params"]["user_data"]


def test_a_wrong_key_is_a_note_on_the_order_that_says_what_to_do(lab: Lab) -> None:
    constants = {"COUNTERFOIL_WRITE_KEY": "another-key-of-32-characters-and-more"}
    told = run("paid", "run", relay=lab.relay_url, constants=constants)
    (note,) = told["notes"]
    assert note.startswith("Counterfoil: the relay did not take the Purchase. ")
    assert told["scheduled"] == []
    assert "another-key" not in json.dumps(told["notes"])


def test_a_payment_is_never_held_up_by_the_relay() -> None:
    told = run("paid")
    assert (told["posts"], told["scheduled"]) == ([], [[0, "counterfoil_send", [1001, 0], "counterfoil"]])


def test_a_relay_that_does_not_answer_is_asked_again_later_and_then_noted() -> None:
    nowhere = "https://localhost:9"
    told = run("paid", "run", relay=nowhere)
    assert told["scheduled"] == [[60, "counterfoil_send", [1001, 1], "counterfoil"]]
    told = run("paid", *["run"] * 6, relay=nowhere)
    assert [post["body"]["events"][0]["event_id"] for post in told["posts"]] == ["order-1001"] * 6
    assert told["scheduled"] == []
    assert "did not answer" in told["notes"][0]


def test_without_woocommerces_scheduler_wordpress_own_is_asked() -> None:
    assert run("paid", action_scheduler=False)["scheduled"][0][3] == "wp-cron"


def test_a_thank_you_page_that_is_opened_again_fires_nothing() -> None:
    again = run("thankyou", "head", "thankyou")
    assert again["printed"]["thankyou"] == ""
    assert "_counterfoil_rendered" in again["meta"]


def test_a_failed_order_fires_nothing() -> None:
    assert run("thankyou", order={**ORDER, "status": "failed"})["printed"]["thankyou"] == ""


def test_the_page_carries_hashes_and_a_signature_and_no_customer_and_no_key() -> None:
    printed = run("head", "thankyou")["printed"]
    page = printed["head"] + printed["thankyou"]
    assert "b5fc85e55755f9e0d030a10ab4429b6b2944855f9a0d60077fe832becbc41d72" in page  # ada@example.com
    for secret in ("ada", "Lovelace", "0151", SIGNING_KEY, WRITE_KEY):
        assert secret.lower() not in page.lower()


def test_texts_of_an_order_cannot_leave_the_script() -> None:
    printed = run("thankyou", order={**ORDER, "number": "</script><script>alert(1)//"})["printed"]["thankyou"]
    assert printed.count("</script>") == 1
    assert "<script>alert" not in printed


@pytest.mark.parametrize(("allowed", "posts"), [(True, 1), (False, 0)])
def test_consent_of_the_checkout_decides_over_the_server_half(allowed: bool, posts: int) -> None:
    told = run("checkout", "paid", "run", consent=allowed, relay="https://localhost:9")
    assert len(told["posts"]) == posts
    assert told["meta"]["_counterfoil_consent"] == ("granted" if allowed else "denied")
    for post in told["posts"]:
        assert post["body"]["events"][0]["consent"] == "granted"


def test_the_block_checkout_is_remembered_too() -> None:
    told = run("block checkout", cookies={"_fbp": "fb.1.1763859600000.1"})
    assert told["meta"] == {"_counterfoil_fbp": "fb.1.1763859600000.1"}


def test_a_shop_without_settings_prints_and_sends_nothing() -> None:
    told = run("checkout", "head", "thankyou", "paid", options={}, constants={})
    assert (set(told["printed"].values()), told["scheduled"]) == ({""}, [])


def test_the_settings_page_names_the_keys_and_shows_none() -> None:
    printed = run("settings")["printed"]["settings"]
    assert 'name="counterfoil_relay" value="https://relay.shop.example"' in printed
    assert "COUNTERFOIL_SIGNING_KEY</code> in wp-config.php: set." in printed
    assert SIGNING_KEY not in printed


@pytest.mark.parametrize(("total", "amount"), [("49.9", "49.90"), ("50", "50.00"), ("1.234", "1.234")])
def test_amounts_are_signed_as_the_relay_reads_them(total: str, amount: str) -> None:
    said = run("thankyou", order={**ORDER, "total": total, "currency": "KWD"})["printed"]["thankyou"]
    event = {"event_name": "Purchase", "order_id": "1001", "value": float(total), "currency": "KWD"}
    text = canonical(event)
    assert amount in text.splitlines()
    assert hmac.new(SIGNING_KEY.encode(), text.encode(), hashlib.sha256).hexdigest() in said


def test_the_php_recipe_of_the_documentation_signs_what_the_relay_reads() -> None:
    page = (Path(__file__).parent.parent / "docs" / "signing.md").read_text("utf-8")
    (recipe,) = re.findall(r"```php\n(.*?)```", page, re.DOTALL)
    order = "$order = (object) ['number' => '1001', 'total' => 49.9, 'currency' => 'EUR'];"
    code = f"putenv('COUNTERFOIL_KEY={SIGNING_KEY}'); {order} {recipe} echo $signature;"
    said = subprocess.run([str(PHP), "-r", code], capture_output=True, text=True, check=True).stdout
    text = canonical({"event_name": "Purchase", "order_id": "1001", "value": 49.9, "currency": "EUR"})
    assert said == hmac.new(SIGNING_KEY.encode(), text.encode(), hashlib.sha256).hexdigest()


def test_the_plugin_has_the_version_of_the_relay() -> None:
    plugin = STUBS.parent.parent.parent / "integrations" / "wordpress" / "counterfoil" / "counterfoil.php"
    assert f" * Version: {__version__}\n" in plugin.read_text()
