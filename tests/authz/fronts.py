"""Real proxies in front of a gateway and an application: what their tests share."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from multidict import CIMultiDictProxy
from yarl import URL

from tests.gateways import BROWSER, PASSWORD, Answer, Running

DEPLOY = Path(__file__).parents[2] / "deploy"
PORTAL, WIKI = "auth.example.com", "wiki.example.com"


class Here(AbstractResolver):
    """Every name is this machine."""

    async def resolve(self, host: str, port: int = 0, family: int = socket.AF_INET) -> list[ResolveResult]:
        return [{"hostname": host, "host": "127.0.0.1", "port": port, "family": family, "proto": 0, "flags": 0}]

    async def close(self) -> None:
        return


@dataclass
class Front:
    """A proxy, the gateway beside it and the application behind it."""

    gateway: Running
    application: Any
    port: int
    client: aiohttp.ClientSession

    def url(self, host: str, path: str) -> str:
        return f"https://{host}:{self.port}{path}"

    async def send(self, method: str, url: str, headers: Any = (), **more: Any) -> Answer:
        """Send one request through the proxy; ``url`` is a path of the wiki, or a whole URL."""
        if url.startswith("/"):
            url = self.url(WIKI, url)
        target = URL(url, encoded=True)
        async with self.client.request(method, target, headers=headers, allow_redirects=False, **more) as reply:
            return Answer(reply.status, CIMultiDictProxy(reply.headers.copy()), await reply.read())

    async def get(self, url: str, headers: Any = (), **more: Any) -> Answer:
        return await self.send("GET", url, headers, **more)


def certificate(directory: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example.com")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(PORTAL), x509.DNSName(WIKI)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (directory / "fullchain.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    (directory / "privkey.pem").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def gateway_yaml(proxy: str, directory: Path) -> str:
    """Return what deploy has for the gateway behind a proxy, for this run."""
    yaml = (DEPLOY / proxy / "gateway.yaml").read_text().partition("version: 1\n")[2]
    yaml = yaml.replace("/var/lib/gateway", str(directory / "var"))
    return yaml.replace("server:\n", "server:\n  internal_listen: null\n  drain_timeout: 1s\n")


def written(source: Path, directory: Path, replaced: Mapping[str, str]) -> Path:
    """Write a file of deploy for this run; whatever is replaced must be in it."""
    text = source.read_text()
    for old, new in replaced.items():
        assert old in text, old
        text = text.replace(old, new)
    path = directory / source.name
    path.write_text(text)
    return path


@asynccontextmanager
async def running(
    command: Sequence[str], port: int, environ: Mapping[str, str] | None = None
) -> AsyncIterator[aiohttp.ClientSession]:
    """Run a proxy, and give a client for which every name is this machine."""
    program = await asyncio.create_subprocess_exec(*command, env=environ)
    connector = aiohttp.TCPConnector(ssl=False, resolver=Here())
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as client:
        try:
            await answering(client, port)
            yield client
        finally:
            program.terminate()
            await program.wait()


async def answering(client: aiohttp.ClientSession, port: int) -> None:
    """Wait until the gateway answers through the proxy: some listen before they know what for."""
    for _ in range(600):  # a busy machine starts them slowly
        try:
            async with client.get(f"https://{PORTAL}:{port}/.gateway/healthz") as reply:
                if reply.status == HTTPStatus.OK:
                    return
        except aiohttp.ClientError:
            pass
        await asyncio.sleep(0.05)
    pytest.fail("the proxy does not answer")


def unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


SPOOFED = (
    ("X-Forwarded-User", "root"),
    ("x-forwarded-user", "root"),
    ("X_Forwarded_User", "root"),
    ("X-Forwarded_User", "root"),
    ("X.Forwarded.User", "root"),
    ("X-Forwarded-Groups", "root"),
    ("X-Forwarded-Email", "root"),
    ("X-Forwarded-Preferred-Username", "root"),
    ("X-Gateway-Assertion", "root"),
    ("X_Gateway_Assertion", "root"),
    ("X-Auth-Request-User", "root"),
    ("X-Auth-Request-Groups", "root"),
    ("X-Auth-Request-Email", "root"),
    ("Remote-User", "root"),
    ("Remote_User", "root"),
    ("REMOTE-GROUPS", "root"),
    ("Remote-Name", "root"),
    ("Remote-Email", "root"),
    ("X-Forwarded-For", "10.0.0.1, root"),
    ("X-Real-IP", "root"),
    ("X-Forwarded-Prefix", "root"),
    ("X-Forwarded-Uri", "/public/root"),
    ("X-Forwarded-Port", "root"),
    ("Forwarded", "for=root"),
    ("X-Original-Method", "root"),
    ("X-Rewrite-URL", "/root"),
    ("X-HTTP-Method-Override", "root"),
    ("Connection", "X-Forwarded-User, root"),
)


async def visit(front: Front, jar: dict[str, dict[str, str]], method: str, url: str, **more: Any) -> Answer:
    """Do as a browser does: keep each host's cookies and send them back there."""
    host = URL(url).host or ""
    cookies = "; ".join(f"{name}={value}" for name, value in jar.get(host, {}).items())
    headers = {**BROWSER, "Sec-Fetch-Site": "same-origin"} | ({"Cookie": cookies} if cookies else {})
    headers |= {"Origin": front.url(host, "")} if method == "POST" else {}
    answer = await front.send(method, url, headers, **more)
    for line in answer.headers.getall("Set-Cookie", ()):
        name, _, value = line.partition(";")[0].partition("=")
        held = jar.setdefault(host, {})
        held[name] = value
        if not value or "max-age=0" in line.lower():
            del held[name]
    return answer


async def log_in(front: Front, jar: dict[str, dict[str, str]], location: str) -> tuple[list[str], Answer]:
    """Sign ann in at the login page, and go where that leads: every address on the way, and the last answer."""
    page = await visit(front, jar, "GET", location)
    assert page.status == 200
    token = page.text.partition('name="csrf_token" value="')[2].partition('"')[0]
    form = {"csrf_token": token, "username": "ann", "password": PASSWORD}
    answer = await visit(front, jar, "POST", location, data=form)
    way = [location]
    while answer.status in {302, 303}:
        way.append(str(URL(way[-1]).join(URL(answer.location, encoded=True))))
        assert len(way) < 8, "\n".join(way)
        answer = await visit(front, jar, "GET", way[-1])
    return way, answer
