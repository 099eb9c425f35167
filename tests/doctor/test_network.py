"""Names become connections: the given resolver decides, in its order, by family, whatever the machine knows."""

import socket
from ipaddress import ip_address

import pytest

from relay.doctor import network as module
from relay.doctor.network import BODY_MAX_BYTES, Name, NoAnswer, has_route, resolve_by_system
from tests.doctor.lab import Shop, certified, names, network_of, no_resolver, served

pytestmark = pytest.mark.anyio


async def test_a_request_goes_to_the_resolvers_address_and_speaks_to_the_name() -> None:
    async with served(Shop("hello").app, tls=certified("shop.example")) as port, network_of() as network:
        answer = await network.ask("GET", f"https://shop.example:{port}/")
        with pytest.raises(NoAnswer, match=r"Hostname mismatch|not valid for 'other.example'"):
            await network.ask("GET", f"https://other.example:{port}/")
    assert (answer.status, answer.body, answer.starts()) == (200, b"hello", "HTTP 200 hello")


async def test_the_next_address_is_tried_and_a_family_can_be_asked_for() -> None:
    resolve = names(shop_example="127.0.0.2 127.0.0.1 ::1")
    async with served(Shop("hello").app) as port, network_of(resolve) as network:
        assert (await network.ask("GET", f"http://shop.example:{port}/", version=4)).status == 200
        with pytest.raises(NoAnswer, match="does not answer"):
            await network.ask("GET", f"http://shop.example:{port}/", version=6)


async def test_names_without_an_address_and_silent_name_servers_are_no_answer() -> None:
    async with network_of(names()) as network:
        with pytest.raises(NoAnswer, match=r"shop\.example has no address"):
            await network.ask("GET", "http://shop.example/")
    async with network_of(no_resolver) as network:
        with pytest.raises(NoAnswer, match="could not be looked up"):
            await network.ask("GET", "http://shop.example/")


async def test_a_long_body_is_cut() -> None:
    async with served(Shop("x" * (BODY_MAX_BYTES + 10)).app) as port, network_of() as network:
        assert len((await network.ask("GET", f"http://shop.example:{port}/")).body) == BODY_MAX_BYTES


async def test_redirects_without_end_are_no_answer() -> None:
    async with served(Shop("", {"location": "/again"}, 302).app) as port, network_of() as network:
        with pytest.raises(NoAnswer, match="redirects"):
            await network.ask("GET", f"http://shop.example:{port}/", follow=True)
        assert (await network.ask("GET", f"http://shop.example:{port}/")).status == 302


async def test_an_answer_that_does_not_end_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0)
    async with served(Shop("x").app) as port, network_of() as network:
        with pytest.raises(NoAnswer, match="no whole answer within 0 s"):
            await network.ask("GET", f"http://shop.example:{port}/")


async def test_the_system_resolves_this_machine_and_nothing_that_cannot_exist(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ip_address("127.0.0.1") in (await resolve_by_system("localhost")).addresses

    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    assert await resolve_by_system("shop.invalid") == Name()


def test_a_route_is_known_without_sending() -> None:
    assert has_route(ip_address("127.0.0.1"))
