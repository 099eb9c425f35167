"""A small internet on one machine: Linux network namespaces around a router, so that every party has its own address.

Visitor, shop, relay, proxy and Meta's twin each get a namespace; nothing in it reaches the machine's own network. A
thread that is `inside` one opens its sockets there, and so do the threads that it starts: the servers are those of
e2e/lab.py. Making namespaces takes root.
"""

import ctypes
import functools
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Final, NamedTuple, Self

CLONE_NEWNET: Final = 0x4000_0000
ROUTER: Final = "router"
ROUTER_IPV4: Final = "192.0.2.1"  # on every link, and never the source of anything
ROUTER_IPV6: Final = "fe80::1"
NAT64_IPV4: Final = "192.0.2.64"

# What the network tests run, and the Debian package that has it.
COMMANDS: Final = {"ip": "iproute2", "nft": "nftables", "nginx": "nginx-light", "tayga": "tayga"}

_LIBC: Final = ctypes.CDLL(None, use_errno=True)  # os.setns comes with Python 3.12


class Host(NamedTuple):
    """One machine on a line of its own to the router."""

    name: str
    ipv4: str | None = None
    ipv6: str | None = None
    has_ipv6_route: bool = True


@functools.cache
def why_not() -> str | None:
    """Why the network tests cannot run here; None where they can."""
    if os.geteuid() != 0:
        return "network namespaces are made by root only; run these tests as root"
    if missing := [package for command, package in COMMANDS.items() if shutil.which(command) is None]:
        return f"install {', '.join(missing)}: as root, `make browser` does it where apt is"
    probe = f"cf{os.getpid()}-probe"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True, check=False)
    if made.returncode != 0:
        return f"nobody may make network namespaces here: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return None


class Internet:
    """`with Internet(host, …) as internet:`; everything that it made is gone afterwards."""

    def __init__(self, *hosts: Host) -> None:
        self.hosts = {host.name: host for host in hosts}
        self._prefix = f"cf{os.getpid()}-"  # several test processes may be at it

    def __enter__(self) -> Self:
        try:
            for name in (ROUTER, *self.hosts):
                _run("ip", "netns", "add", self.namespace(name))
                # Nobody else is here to have the same address; and Chromium ends what it loads when one settles.
                self.set(name, "ipv6/conf/default/accept_dad", "0")
            self.set(ROUTER, "ipv4/ip_forward", "1")
            self.set(ROUTER, "ipv6/conf/all/forwarding", "1")
            self.ip(ROUTER, "link set lo up")
            for host in self.hosts.values():
                self._connect(host)
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    def namespace(self, name: str) -> str:
        return self._prefix + name

    def command(self, name: str, *arguments: str) -> list[str]:
        """A command line that runs there, with the names that `resolve` gave."""
        return ["ip", "netns", "exec", self.namespace(name), *arguments]

    def ip(self, name: str, *lines: str) -> None:
        """Lines as after `ip`, one after the other."""
        _run("ip", "-netns", self.namespace(name), "-batch", "-", text="\n".join(lines))

    def set(self, name: str, key: str, value: str) -> None:
        """One of /proc/sys/net, which shows each thread the settings of its own namespace."""
        with self.inside(name):
            Path("/proc/sys/net", key).write_text(value)

    @contextmanager
    def inside(self, name: str) -> Iterator[None]:
        """This thread opens its sockets there, and the threads that it starts belong there."""
        with Path("/proc/thread-self/ns/net").open() as home:
            _enter(f"/run/netns/{self.namespace(name)}")
            try:
                yield
            finally:
                _check(_LIBC.setns(home.fileno(), CLONE_NEWNET))

    def listen(self, port: int) -> socket.socket:
        """At both families' addresses of the namespace this thread is inside."""
        return socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True)

    def resolve(self, name: str, names: Mapping[str, Sequence[str]]) -> None:
        """What host names mean there: a hosts file of its own, and no name server."""
        lines = [f"{address} {host}" for host, addresses in names.items() for address in addresses]
        folder = self._names_of(name)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "hosts").write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        (folder / "resolv.conf").write_text("")

    def _connect(self, host: Host) -> None:
        """A line to the router: addresses without neighbours, and a default route for each family it has."""
        own, line = self.namespace(host.name), f"to-{host.name}"
        self.ip(ROUTER, f"link add {line} type veth peer name eth0 netns {own}", f"link set {line} up")
        self.ip(
            ROUTER,
            f"address add {ROUTER_IPV4}/32 dev {line}",
            f"address add {ROUTER_IPV6}/64 dev {line} nodad",
        )
        self.ip(host.name, "link set lo up", "link set eth0 up")
        if host.ipv4:
            self.ip(ROUTER, f"route add {host.ipv4}/32 dev {line}")
            self.ip(
                host.name,
                f"address add {host.ipv4}/32 dev eth0",
                f"route add default via {ROUTER_IPV4} dev eth0 onlink",
            )
        if host.ipv6:
            self.ip(ROUTER, f"route add {host.ipv6}/128 dev {line}")
            self.ip(host.name, f"address add {host.ipv6}/128 dev eth0 nodad")
        if host.ipv6 and host.has_ipv6_route:
            self.ip(host.name, f"route add ::/0 via {ROUTER_IPV6} dev eth0")

    def drop_ipv6_of(self, name: str) -> None:
        """Its IPv6 packets vanish on the way, without a word to it."""
        address = self.hosts[name].ipv6
        assert address
        _run("ip", "-6", "-netns", self.namespace(ROUTER), "rule", "add", "from", address, "blackhole")

    def translate(self, private: str, public: str) -> None:
        """NAT: what comes from the IPv4 network `private` leaves the router with the address `public`."""
        rules = (
            "table ip nat { chain leaving { type nat hook postrouting priority 100;\n"
            f"ip saddr {private} snat to {public}\n}}\n}}\n"
        )
        _run(*self.command(ROUTER, "nft", "-f", "-"), text=rules)
        self.ip(ROUTER, f"address add {public}/32 dev lo")

    @contextmanager
    def nat64(self, prefix: str, pool: str, folder: Path) -> Iterator[None]:
        """NAT64 on the router: under `prefix` IPv6-only hosts reach every IPv4 address, from one of `pool`."""
        config = folder / "tayga.conf"
        config.write_text(
            f"tun-device nat64\nipv4-addr {NAT64_IPV4}\nprefix {prefix}\ndynamic-pool {pool}\ndata-dir {folder}\n"
        )
        _run(*self.command(ROUTER, "tayga", "--mktun", "-c", str(config)))
        self.ip(ROUTER, "link set nat64 up", f"route add {pool} dev nat64", f"route add {prefix} dev nat64")
        process = subprocess.Popen(self.command(ROUTER, "tayga", "--nodetach", "-c", str(config)))
        try:
            yield
        finally:
            process.terminate()
            process.wait(10)

    def _names_of(self, name: str) -> Path:
        return Path("/etc/netns", self.namespace(name))

    def _remove(self) -> None:
        for name in (ROUTER, *self.hosts):
            subprocess.run(["ip", "netns", "delete", self.namespace(name)], capture_output=True, check=False)
            shutil.rmtree(self._names_of(name), ignore_errors=True)


def _enter(path: str) -> None:
    with Path(path).open() as namespace:
        _check(_LIBC.setns(namespace.fileno(), CLONE_NEWNET))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), "setns")


def _run(*command: str, text: str = "") -> None:
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(command)}\n{text}\n{done.stderr}"
