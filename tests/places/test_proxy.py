"""A server behind nginx: below a path, with TLS and HTTP/2, and without PUBLIC_URL."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from tests.support.one_store import store_url as store_url
from tests.support.stack import Stack, until
from tussle.lobby.store.embedded import free_port
from tussle.server.http.static import DIST

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        NGINX is None and not os.environ.get("CI"), reason="NGINX NOT TESTED (apt-get install nginx-light)"
    ),
]

CONFIG = """
daemon off; master_process off; pid {folder}/pid; error_log stderr;
events {{ worker_connections 128; }}
http {{
  access_log off; client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
  uwsgi_temp_path {folder}; scgi_temp_path {folder};
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;
    location /game/ {{
      proxy_pass {server}/;
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upgrade;
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""


@dataclass(frozen=True)
class Proxied:
    """A server behind nginx. ``url``: with the prefix; ``cert``: the path of its certificate."""

    stack: Stack
    url: str
    cert: Path


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxied(store_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Proxied]:
    """nginx with its own Host header towards the server, as by default: only the prefix's header helps clients."""
    assert NGINX is not None
    folder = tmp_path_factory.mktemp("nginx")
    await asyncio.to_thread(
        subprocess.run,
        [
            *(
                "openssl",
                "req",
                "-x509",
                "-newkey",
                "ec",
                "-pkeyopt",
                "ec_paramgen_curve:prime256v1",
                "-nodes",
            ),
            *("-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")),
        ],
        check=True,
        capture_output=True,
    )
    async with Stack.up(store_url, "places-proxy", SIM_SPEED="0", TRUSTED_PROXIES="127.0.0.1") as stack:
        await stack.server()
        port = free_port()
        config = folder / "nginx.conf"
        config.write_text(CONFIG.format(folder=folder, port=port, server=stack.url))
        with (folder / "nginx.log").open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                NGINX, "-c", str(config), "-p", str(folder), stdout=output, stderr=output
            )
        try:

            def listening() -> bool:
                with socket.socket() as probe:
                    return probe.connect_ex(("127.0.0.1", port)) == 0

            await until(listening, "nginx")
            yield Proxied(stack, f"https://localhost:{port}/game", folder / "cert.pem")
        finally:
            process.terminate()
            await process.wait()


async def test_bots_play_through_the_proxy(proxied: Proxied) -> None:
    """The Python client uses the address that it was given, with TLS and the prefix, for calls and sockets alike."""
    where = {"SERVER_URL": proxied.url, "SSL_CERT_FILE": str(proxied.cert)}
    bots = await proxied.stack.start(
        "player", "bots", "--count", "2", "--matches", "1", "--skill", "novice", **where
    )
    assert await bots.wait(120) == 0, bots.output[-2000:]


async def test_the_page_and_its_files_are_below_the_prefix(proxied: Proxied) -> None:
    """Every file that a page names is there, relative to the page, also for the page of a recording. The proxy speaks
    HTTP/2."""
    context = ssl.create_default_context(cafile=str(proxied.cert))
    async with httpx.AsyncClient(verify=context, trust_env=False, base_url=proxied.url) as http:
        if (DIST / "index.html").is_file():
            for page in ("/", "/admin", "/r/abcdefgh"):
                answer = await http.get(page)
                files = re.findall(r'(?:src|href)="([^"]+)"', answer.text)
                assert any(name.endswith(".js") for name in files), answer.text
                for name in files:
                    found = await http.get(str(answer.url.join(name)))
                    assert found.status_code == 200, name
                    assert "text/html" not in found.headers["content-type"], name
        answer = await http.post("/api/login", json={})
        assert answer.status_code == 200
    negotiating = ssl.create_default_context(cafile=str(proxied.cert))
    negotiating.set_alpn_protocols(["h2", "http/1.1"])
    port = int(proxied.url.split(":")[2].partition("/")[0])
    _, writer = await asyncio.open_connection("localhost", port, ssl=negotiating, family=socket.AF_INET)
    assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == "h2"
    writer.close()
