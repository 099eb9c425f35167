"""The laboratory spread over an internet of namespaces, on the usual ports, with a real Chromium in each visitor's."""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import trustme
from playwright.sync_api import Browser, Playwright

from e2e.lab import (
    CHROMIUM_ARGUMENTS,
    ENVIRON,
    META_HOST,
    PIXEL,
    RELAY_HOST,
    SHOP_HOST,
    SITE,
    Gate,
    Lab,
    Served,
    Shop,
    wait_until,
)
from e2e.network import Host, Internet
from relay.sandbox.browser import find_chromium
from relay.settings import AddressHosts, Pixel, Server, Settings, Site, StoreSettings
from relay.twin.app import create_twin
from relay.web.app import create_app

IPV6_HOST: Final = f"v6.{RELAY_HOST}"
PLAIN_PORT: Final = 8300  # where the relay listens for its proxy

SHOP: Final = Host("shop", "198.51.100.10", "2001:db8:a::10")
RELAY: Final = Host("relay", "198.51.100.20", "2001:db8:a::20")
PROXY: Final = Host("proxy", "198.51.100.30")  # no IPv6: what stands behind it sees every visitor over IPv4
META: Final = Host("meta", "198.51.100.40", "2001:db8:b::40")
SERVERS: Final = (SHOP, RELAY, PROXY, META)


def addresses_of(host: Host) -> tuple[str, ...]:
    return tuple(address for address in (host.ipv4, host.ipv6) if address)


class _From(httpx.HTTPTransport):
    """Requests of a plain client, sent from inside a namespace."""

    def __init__(self, internet: Internet, name: str) -> None:
        super().__init__(verify=False)
        self._internet, self._name = internet, name

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with self._internet.inside(self._name):
            return super().handle_request(request)


class NetworkLab(Lab):
    """Shop, relay and twin at addresses of their own; `has_ipv6_host`: the relay has an IPv6-only name as well."""

    def __init__(
        self,
        folder: Path,
        internet: Internet,
        *,
        trusted_proxies: Sequence[str] = (),
        has_ipv6_host: bool = True,
    ) -> None:
        self.internet = internet
        self.shop_url, self.relay_url = f"https://{SHOP_HOST}", f"https://{RELAY_HOST}"
        self.meta_url, self.graph_url = f"https://{META_HOST}", f"http://{META.ipv4}"
        hosts = AddressHosts(ipv6=f"https://{IPV6_HOST}") if has_ipv6_host else AddressHosts()
        self.settings = Settings(
            server=Server(
                public_url=self.relay_url, graph_url=self.graph_url, trusted_proxies=tuple(trusted_proxies)
            ),
            store=StoreSettings(path=str(folder / "counterfoil.db")),
            site=(
                Site(
                    key=SITE,
                    origins=(self.shop_url,),
                    pixels=(Pixel(id=PIXEL, token_env=next(iter(ENVIRON))),),
                    address_hosts=hosts,
                ),
            ),
        )
        self.shop = Shop()
        self.gate = Gate(create_app(self.settings, environ=ENVIRON))
        self._served = []
        with internet.inside(META.name):
            self._served.append(Served(create_twin(), plain=internet.listen(80), tls=internet.listen(443)))
        with internet.inside(RELAY.name):
            listeners = {"plain": internet.listen(PLAIN_PORT), "tls": internet.listen(443)}
            self._served.append(Served(self.gate, **listeners))
        with internet.inside(SHOP.name):
            self._served.append(Served(self.shop.app, tls=internet.listen(443)))
        self.http = self.client(META.name, self.graph_url)
        self._console = None

    def snippet(self, attributes: str = "") -> str:
        hosts = self.settings.site[0].address_hosts.urls()
        return super().snippet(
            attributes + "".join(f' data-{family}="{url}"' for family, url in hosts.items())
        )

    def client(self, name: str, url: str) -> httpx.Client:
        """A plain client at somebody's place; close it."""
        return httpx.Client(base_url=url, transport=_From(self.internet, name))

    def _console_client(self) -> httpx.Client:
        return self.client(RELAY.name, f"https://{RELAY.ipv4}")


@contextmanager
def open_network_lab(
    folder: Path, internet: Internet, *, trusted_proxies: Sequence[str] = (), has_ipv6_host: bool = True
) -> Iterator[NetworkLab]:
    lab = NetworkLab(folder, internet, trusted_proxies=trusted_proxies, has_ipv6_host=has_ipv6_host)
    try:
        yield lab
    finally:
        lab.close()


@contextmanager
def visiting(
    playwright: Playwright, internet: Internet, visitor: str, folder: Path, names: Mapping[str, Sequence[str]]
) -> Iterator[Browser]:
    """A Chromium at the visitor's place, to which host names mean these addresses. It is driven over a pipe."""
    internet.resolve(visitor, names)
    chromium = folder / f"chromium-{visitor}"
    chromium.write_text(f'#!/bin/sh\nexec {" ".join(internet.command(visitor))} "{find_chromium()}" "$@"\n')
    chromium.chmod(0o700)
    browser = playwright.chromium.launch(executable_path=chromium, args=list(CHROMIUM_ARGUMENTS))
    try:
        yield browser
    finally:
        browser.close()


NGINX: Final = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
  log_format protocol '$request_method $uri $server_protocol $status';
  access_log {folder}/access.log protocol;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen 443 ssl http2;
    ssl_certificate {folder}/chain.pem;
    ssl_certificate_key {folder}/key.pem;
    location / {{
      proxy_pass http://{relay}:{port};
      proxy_http_version 1.1;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header Forwarded "";
    }}
  }}
}}
"""


@contextmanager
def nginx(internet: Internet, folder: Path) -> Iterator[Path]:
    """Debian's nginx at the proxy's place, over TLS and HTTP/2, in front of the relay; gives its access log."""
    certificate = trustme.CA().issue_cert(RELAY_HOST)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(folder / "chain.pem", append=number > 0)
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, relay=RELAY.ipv4, port=PLAIN_PORT))
    command = internet.command(PROXY.name, "nginx", "-p", str(folder), "-e", "stderr", "-c", str(config))
    process = subprocess.Popen(command)
    try:
        wait_until((folder / "nginx.pid").exists, "nginx has started")
        yield folder / "access.log"
    finally:
        process.terminate()
        process.wait(10)
