"""Debian's Caddy, nginx and Apache in front of a relay, by the files that `counterfoil init` has written.

Each server runs as a process of its own on loopback, with a configuration made here around the written file: where a
shop's own server block would be, and with a test's certificates. Nothing is left running.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import trustme

from e2e.lab import RELAY_HOST, SHOP_HOST, wait_until

# What the tests run, and the Debian package that has it.
COMMANDS: Final = {"caddy": "caddy", "nginx": "nginx-light", "apache2": "apache2"}
PROGRAM: Final = {"caddy": "caddy", "nginx": "nginx", "apache": "apache2"}
MODULES: Final = Path("/usr/lib/apache2/modules")


class Place(NamedTuple):
    """Where a server stands and what it serves."""

    folder: Path  # with the files of `init`
    port: int
    is_path: bool  # the relay is under a path of the shop
    pages: Path  # the shop's, which the servers' own users may read

    @property
    def shop(self) -> str:
        return f"https://{SHOP_HOST}:{self.port}"


def why_not(front: str) -> str | None:
    program = PROGRAM[front]
    if shutil.which(program):
        return None
    return f"install {COMMANDS[program]}: as root, `make browser` does it where apt is"


CADDY: Final = """{{
	admin off
	auto_https disable_redirects
	storage file_system {folder}/caddy
	skip_install_trust
}}
{shop_host}:{port} {{
	tls {folder}/chain.pem {folder}/key.pem
	{inside}
	root * {pages}
	file_server
}}
{beside}
"""

NGINX: Final = """daemon off;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{}}
http {{
  types {{ text/html html; }}
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {{
    listen {port} ssl http2;
    listen [::]:{port} ssl http2;
    server_name {shop_host};
    ssl_certificate {folder}/chain.pem;
    ssl_certificate_key {folder}/key.pem;
    root {pages};
    {inside}
  }}
  {beside}
}}
"""

APACHE: Final = """ServerRoot {folder}
PidFile {folder}/apache.pid
ErrorLog {folder}/error.log
DefaultRuntimeDir {folder}
Mutex file:{folder} default
Listen {port}
{modules}
TypesConfig /etc/mime.types
DirectoryIndex index.html
ServerName localhost
<VirtualHost *:{port}>
  ServerName {shop_host}
  Protocols h2 http/1.1
  SSLEngine on
  SSLCertificateFile {folder}/chain.pem
  SSLCertificateKeyFile {folder}/key.pem
  DocumentRoot {pages}
  {inside}
</VirtualHost>
{beside}
"""
APACHE_MODULES: Final = (
    *("mpm_event", "authz_core", "dir", "mime", "socache_shmcb", "ssl"),
    *("http2", "proxy", "proxy_http", "headers"),
)


def _configuration(front: str, place: Place) -> str:
    name = "Caddyfile" if front == "caddy" and not _own_file(front, place).exists() else None
    written = (place.folder / name if name else _own_file(front, place)).read_text()
    for kind, file in (("fullchain", "chain"), ("privkey", "key")):
        written = written.replace(
            f"/etc/letsencrypt/live/{RELAY_HOST}/{kind}.pem", f"{place.folder}/{file}.pem"
        )
    if front == "caddy":  # which would ask an authority on the internet for a certificate
        written = written.replace(
            f"{RELAY_HOST}:{place.port} {{",
            f"{RELAY_HOST}:{place.port} {{\n\ttls {place.folder}/chain.pem {place.folder}/key.pem",
        )
    template = {"caddy": CADDY, "nginx": NGINX, "apache": APACHE}[front]
    return template.format(
        folder=place.folder,
        pages=place.pages,
        port=place.port,
        shop_host=SHOP_HOST,
        inside=written if place.is_path else "",
        beside="" if place.is_path else written,
        modules="\n".join(f"LoadModule {name}_module {MODULES}/mod_{name}.so" for name in APACHE_MODULES),
    )


def _own_file(front: str, place: Place) -> Path:
    return place.folder / f"counterfoil.{front}.conf"


def _command(front: str, config: Path) -> list[str]:
    match front:
        case "caddy":
            return ["caddy", "run", "--adapter", "caddyfile", "--config", str(config)]
        case "nginx":
            return ["nginx", "-p", str(config.parent), "-e", "stderr", "-c", str(config)]
        case _:
            return ["apache2", "-f", str(config), "-DFOREGROUND"]


def _certificate(folder: Path) -> None:
    certificate = trustme.CA().issue_cert(SHOP_HOST, RELAY_HOST)
    certificate.private_key_pem.write_to_path(folder / "key.pem")
    for number, blob in enumerate(certificate.cert_chain_pems):
        blob.write_to_path(folder / "chain.pem", append=number > 0)


@contextmanager
def web_server(front: str, place: Place) -> Iterator[None]:
    """The server in front, until the block ends."""
    _certificate(place.folder)
    config = place.folder / "server.conf"
    config.write_text(_configuration(front, place))
    with (place.folder / "server.log").open("w") as log:
        own = os.environ | {"HOME": str(place.folder), "XDG_CONFIG_HOME": str(place.folder)}
        process = subprocess.Popen(_command(front, config), stdout=log, stderr=log, env=own)
    try:
        wait_until(lambda: _listens(process, place), f"{front} listens")
        yield
    finally:
        process.terminate()
        process.wait(20)


def _listens(process: subprocess.Popen[bytes], place: Place) -> bool:
    assert process.poll() is None, (place.folder / "server.log").read_text()
    try:
        with httpx.Client(verify=False, headers={"host": SHOP_HOST}) as client:
            client.get(f"https://127.0.0.1:{place.port}/", extensions={"sni_hostname": SHOP_HOST})
    except httpx.TransportError:
        return False
    return True
