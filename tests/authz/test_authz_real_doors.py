"""deploy/caddy, deploy/envoy and deploy/traefik as they stand, with the real programs.

Only addresses, ports and paths are this run's own. What is asked here is what nginx is asked in its own tests.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.authz.fronts import (
    DEPLOY,
    PORTAL,
    SPOOFED,
    WIKI,
    Front,
    bearer,
    certificate,
    gateway_yaml,
    log_in,
    running,
    unverified,
    visit,
    written,
)
from tests.gateways import BROWSER, GatewayFactory, free_port
from tests.proxy.proxying import OK, Upstream

HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
SWITCHED += b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"


@dataclass(frozen=True)
class Place:
    """Where a proxy of this run stands, and what it stands before."""

    directory: Path
    port: int
    gateway: int
    application: int
    key: str = ""

    @property
    def addresses(self) -> Mapping[str, str]:
        return {"127.0.0.1:8080": f"127.0.0.1:{self.gateway}", "127.0.0.1:9000": f"127.0.0.1:{self.application}"}


def caddy(place: Place) -> list[str]:
    tls = f"\ttls {place.directory}/fullchain.pem {place.directory}/privkey.pem\n"
    replaced = {host + " {\n": f"https://{host}:{place.port} {{\n\tbind 127.0.0.1\n{tls}" for host in (PORTAL, WIKI)}
    own = f"\tadmin off\n\tauto_https disable_redirects\n\tstorage file_system {place.directory}/caddy\n"
    replaced |= {"\tadmin off\n": own, **place.addresses}
    if place.key:
        asks = "\t\t\turi /.gateway/authz/forward\n"
        replaced[asks] = f"{asks}\t\t\theader_up X-Gateway-Authz-Key {place.key}\n"
    path = written(DEPLOY / "caddy" / "Caddyfile", place.directory, replaced)
    return ["caddy", "run", "--adapter", "caddyfile", "--config", str(path)]


def envoy(place: Place) -> list[str]:
    replaced = {
        "address: 0.0.0.0, port_value: 443": f"address: 127.0.0.1, port_value: {place.port}",
        "port_value: 8080": f"port_value: {place.gateway}",
        "port_value: 9000": f"port_value: {place.application}",
        "/etc/envoy/tls/": f"{place.directory}/",
    }
    if place.key:
        added = f"authorization_request: {{headers_to_add: [{{key: x-gateway-authz-key, value: {place.key}}}]}}"
        replaced["http_service:\n"] = f"http_service:\n{' ' * 24}{added}\n"
    path = written(DEPLOY / "envoy" / "envoy.yaml", place.directory, replaced)
    quiet = ("--log-level", "warning", "--concurrency", "1", "--use-dynamic-base-id")
    return [str(Path(sys.executable).parent / "envoy"), "-c", str(path), *quiet]


def traefik(place: Place) -> list[str]:
    directory = place.directory
    replaced = {"/etc/traefik/tls/": f"{directory}/", **place.addresses}
    if place.key:
        shows = f"    shows-key: {{headers: {{customRequestHeaders: {{X-Gateway-Authz-Key: {place.key}}}}}}}\n"
        replaced |= {"  middlewares:\n": f"  middlewares:\n{shows}", "[gateway-decides": "[shows-key, gateway-decides"}
    written(DEPLOY / "traefik" / "routes.yaml", directory, replaced)
    replaced = {"0.0.0.0:443": f"127.0.0.1:{place.port}", "/etc/traefik/routes.yaml": f"{directory}/routes.yaml"}
    path = written(DEPLOY / "traefik" / "traefik.yaml", directory, replaced)
    return ["traefik", f"--configFile={path}"]


def installed(name: str) -> bool:
    return (Path(sys.executable).parent / name).exists() or shutil.which(name) is not None


def _param(start: Callable[[Place], list[str]]) -> object:
    name = start.__name__
    missing = pytest.mark.skipif(not installed(name), reason=f"{name} is not installed")
    return pytest.param(start, id=name, marks=missing)


class Application(Upstream):
    """Answers 200 and keeps what it is sent; on ``/socket`` it switches and echoes."""

    async def start(self) -> None:
        self.serve = self._switch_or_answer
        await super().start()

    async def _switch_or_answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            received = await self.receive(reader)
            if "/socket" in received.line:
                writer.write(SWITCHED)
                while data := await reader.read(1000):
                    writer.write(data)
                return
            if length := received.all("content-length"):
                received.body = await reader.readexactly(int(*length))
            elif received.all("transfer-encoding"):
                while not received.body.endswith(b"0\r\n\r\n"):
                    received.body += await reader.readuntil(b"\r\n")
            writer.write(OK)

    def field(self, name: str) -> list[str]:
        return self.last.all(name)

    @property
    def lines(self) -> list[str]:
        return [request.line for request in self.requests]


@pytest.fixture(params=[_param(caddy), _param(envoy), _param(traefik)])
def start(request: pytest.FixtureRequest) -> Callable[[Place], list[str]]:
    chosen: Callable[[Place], list[str]] = request.param
    return chosen


@asynccontextmanager
async def standing(
    gateway_factory: GatewayFactory,
    directory: Path,
    start: Callable[[Place], list[str]],
    key: str = "",
    shown: str = "",
) -> AsyncIterator[Front]:
    certificate(directory)
    port, application = free_port(), Application()
    await application.start()
    yaml = gateway_yaml(start.__name__, directory) + (f"authz: {{key: {key}}}\n" if key else "")
    gateway = await gateway_factory(yaml, SERVER__PUBLIC_URL=f"https://{PORTAL}:{port}")
    command = start(Place(directory, port, gateway.port, application.port, shown))
    async with running(command, port, {**os.environ, "HOME": str(directory)}) as client:
        yield Front(gateway, application, port, client)
    await application.stop()


@pytest.fixture
async def front(
    gateway_factory: GatewayFactory, tmp_path: Path, start: Callable[[Place], list[str]]
) -> AsyncIterator[Front]:
    async with standing(gateway_factory, tmp_path, start) as stands:
        yield stands


@pytest.mark.parametrize("shown", ["the-key-of-this-run", ""])
async def test_a_key_is_shown_as_the_documentation_says(
    gateway_factory: GatewayFactory, tmp_path: Path, start: Callable[[Place], list[str]], shown: str
) -> None:
    async with standing(gateway_factory, tmp_path, start, "the-key-of-this-run", shown) as front:
        token = await front.gateway.token(await front.gateway.user("ann"))
        for claimed in ({}, {"X-Gateway-Authz-Key": "not-the-key-of-this-run"}):
            answer = await front.get("/x", {**bearer(token), **claimed})
            assert answer.status == (200 if shown else 403)
        assert len(front.application.requests) == (2 if shown else 0)
        assert not any(b"the-key-of-this-run" in request.head for request in front.application.requests)


async def test_the_application_is_told_who_it_is_and_nothing_else(front: Front) -> None:
    token = await front.gateway.token(await front.gateway.user("ann", "staff", "user"))
    for method, body in (("GET", b""), ("HEAD", b""), ("POST", b"a=1"), ("DELETE", b""), ("OPTIONS", b"")):
        answer = await front.send(method, "/x%20y;z=1/?q=%2F", bearer(token), data=body or None)
        assert (answer.status, answer.text) == (200, "" if method == "HEAD" else "ok")
        seen = front.application
        assert (seen.last.line, seen.last.body) == (f"{method} /x%20y;z=1/?q=%2F HTTP/1.1", body)
        assert seen.field("X-Forwarded-User") == seen.field("X-Forwarded-Preferred-Username") == ["ann"]
        assert seen.field("X-Forwarded-Email") == ["ann@example.com"]
        assert seen.field("X-Forwarded-Groups") == ["staff,user"]
        assert len(seen.field("X-Gateway-Assertion")) == 1
        assert seen.field("Host") == [f"{WIKI}:{front.port}"]
        assert seen.field("X-Forwarded-Proto") == ["https"]
        # For a client on the same machine Envoy writes that machine's address.
        assert len(seen.field("X-Forwarded-For")) == 1
        assert token not in seen.last.head.decode()
    assert len(front.application.requests) == 5


async def test_a_body_in_pieces_reaches_the_application(front: Front) -> None:
    token = await front.gateway.token(await front.gateway.user("ann"))

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"piece"
            await asyncio.sleep(0)

    answer = await front.send("PUT", "/notes/1", bearer(token), data=pieces())
    assert answer.status == 200
    assert front.application.last.body.count(b"piece") == 3
    refused = await front.send("PUT", "/notes/1", data=pieces())
    assert (refused.status, len(front.application.requests)) == (401, 1)


async def test_what_clients_claim_to_be_is_gone(front: Front) -> None:
    ann = await front.gateway.token(await front.gateway.user("ann"))
    for path, token in (("/public/x", ""), ("/x", ann)):
        for method in ("GET", "OPTIONS", "POST"):
            claimed = [*SPOOFED, ("X-Original-URL", front.url(WIKI, "/public/root")), *bearer(token).items()]
            answer = await front.send(method, path, claimed if token else claimed[:-1])
            assert answer.status == 200
            seen = front.application.last
            assert "root" not in seen.head.decode().lower(), seen.head
            assert seen.environ.get("HTTP_X_FORWARDED_USER") == ("ann" if token else None)
    claimed = [("X-Original-URL", front.url(WIKI, "/public/x")), ("X-Original-Method", "GET")]
    claimed += [("X-Forwarded-Host", "other.example"), ("X-Forwarded-Uri", "/public/x"), ("X-Forwarded-Method", "HEAD")]
    assert (await front.get("/x", claimed)).status == 401


async def test_a_person_logs_in_and_comes_back(front: Front, start: Callable[[Place], list[str]]) -> None:
    await front.gateway.user("ann")
    wanted = front.url(WIKI, "/notes?page=2")
    to_login = await front.get(wanted, BROWSER)
    assert (to_login.status, to_login.headers["Cache-Control"]) == (302, "no-store")
    assert to_login.location.startswith(front.url(PORTAL, "/login?rd="))
    jar: dict[str, dict[str, str]] = {}
    way, answer = await log_in(front, jar, to_login.location)
    assert way[-1] == wanted
    assert (answer.status, answer.text) == (200, "ok")
    assert front.application.field("X-Forwarded-User") == ["ann"]
    if start is not traefik:  # which cannot take one cookie out of several: docs/traefik.md says so
        session = jar[WIKI]
        assert len(session) > 0
        for before, after, kept in (({"mygateway": "1"}, {"b": "2"}, "mygateway=1; b=2"), ({}, {"b": "2"}, "b=2")):
            jar[WIKI] = {**before, **session, "gateway-form": "3", **after}
            assert (await visit(front, jar, "GET", wanted)).status == 200
            assert front.application.field("Cookie") == [kept]
        jar[WIKI] = {"a": "1", **session}
        assert (await visit(front, jar, "GET", wanted)).status == 200
        assert front.application.field("Cookie") == ["a=1"]
    post = await front.send("POST", "/notes", BROWSER, data=b"a=1")
    assert (post.status, post.location.startswith(front.url(PORTAL, "/login?rd="))) == (303, True)
    assert (await visit(front, jar, "GET", front.url(WIKI, "/.gateway/sign_out"))).status == 200
    assert (await visit(front, jar, "GET", wanted)).status == 302


async def test_programs_and_people_who_may_not_are_told_so(front: Front) -> None:
    ann = await front.gateway.token(await front.gateway.user("ann"))
    root = await front.gateway.token(await front.gateway.user("root", "admin"))
    for headers in ({}, bearer("broken"), {"Accept": "text/html", "X-Requested-With": "fetch"}):
        answer = await front.get("/x", headers)
        assert (answer.status, "Location" in answer.headers) == (401, False)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
        assert answer.json["code"] in {"unauthenticated", "invalid_credential"}
    refused = await front.get("/admin/", {**bearer(ann), **BROWSER})
    assert (refused.status, refused.headers["Content-Type"].partition(";")[0]) == (403, "text/html")
    for path in ("/public/../admin/", "/public/%2e%2e/admin/", "/public/..%2fadmin/", "//admin/", "/public;/../admin"):
        for token in ("", ann):
            answer = await front.get(path, bearer(token) if token else {})
            assert answer.status in {400, 401, 403}, (path, answer.status)
    assert front.application.requests == []
    assert (await front.get("/admin/", bearer(root))).status == 200


async def test_what_is_decided_on_is_what_the_application_gets(front: Front) -> None:
    """Whatever a proxy makes of an odd path, nothing under /admin reaches the application for somebody else."""
    ann = await front.gateway.token(await front.gateway.user("ann"))
    for path in (
        "/public/..;/admin/",
        "/public/%252e%252e/admin/",
        "/%61dmin/",
        "/ADMIN/../admin/",
        "/public/%5c..%5cadmin/",
        "/./admin/",
        "/admin%2f",
        "/admin;x=1/",
        "/public%2f..%2fadmin/",
        "/public/x#/../../admin/",
    ):
        answer = await raw(front, f"GET {path} HTTP/1.1", f"Host: {WIKI}:{front.port}", token=ann)
        assert answer.split(b" ")[1] in {b"400", b"403", b"404"}, (path, answer)
    assert front.application.lines == []


async def test_another_host_in_the_header_field_is_not_decided_on(front: Front) -> None:
    ann = await front.gateway.token(await front.gateway.user("ann"))
    line = f"GET https://{WIKI}:{front.port}/admin/ HTTP/1.1"
    answer = await raw(front, line, f"Host: {PORTAL}:{front.port}", token=ann)
    assert answer.split(b" ")[1] == b"403"
    assert front.application.requests == []


async def raw(front: Front, line: str, *fields: str, token: str = "") -> bytes:
    """Send one request as it stands, and return all that comes back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port, ssl=unverified(), server_hostname=WIKI)
    given = [f"Authorization: Bearer {token}"] if token else []
    writer.write("\r\n".join([line, *fields, *given, "Connection: close", "", ""]).encode())
    try:
        async with asyncio.timeout(10):
            return await reader.read()
    finally:
        writer.close()


async def test_the_portal_is_reached_and_decisions_are_not(front: Front) -> None:
    token = await front.gateway.token(await front.gateway.user("ann"))
    me = await front.get(front.url(PORTAL, "/api/me"), bearer(token))
    assert (me.status, me.json["username"]) == (200, "ann")
    asked = [("X-Original-URL", front.url(WIKI, "/x")), ("X-Original-Method", "GET"), *bearer(token).items()]
    asked += [("X-Forwarded-Uri", "/x"), ("X-Forwarded-Method", "GET")]
    for host in (PORTAL, WIKI):
        for path in (
            "/.gateway/authz/nginx",
            "/.gateway/authz/forward",
            "/.gateway/authz/envoy/x",
            "/.gateway/authz/%66orward",
            "/.gateway/x/../authz/forward",
            "/.gateway/./authz/forward",
            "/.gateway//authz/forward",
            "//.gateway/authz/forward",
            "/oauth2/auth",
        ):
            answer = await front.get(front.url(host, path), asked)
            assert not {"X-Gateway-Assertion", "X-Forwarded-User"} & set(answer.headers), (host, path)
    assert (await front.get("/.gateway/healthz")).status == 200


async def test_a_socket_opens_for_the_hosts_own_pages_only(front: Front) -> None:
    cookie = f"__Host-gateway={await front.gateway.session(await front.gateway.user('ann'), WIKI)}"
    for path in ("/socket", "/socket"):  # the second on whatever the first left behind
        reader, writer = await opened(front, path, cookie, front.url(WIKI, ""))
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 "), head
        assert front.application.field("X-Forwarded-User") == ["ann"]
        writer.write(b"\x81\x85\0\0\0\0hello")
        assert await reader.readexactly(11) == b"\x81\x85\0\0\0\0hello"
        writer.close()
    for origin in ("https://evil.example", ""):
        reader, writer = await opened(front, "/socket", cookie, origin)
        assert (await reader.readline()).split(b" ")[1] == b"403", origin
        writer.close()
    assert len(front.application.requests) == 2


async def opened(
    front: Front, path: str, cookie: str, origin: str
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port, ssl=unverified(), server_hostname=WIKI)
    fields = {"Host": f"{WIKI}:{front.port}", "Cookie": cookie, **HANDSHAKE, **({"Origin": origin} if origin else {})}
    lines = [f"{name}: {value}" for name, value in fields.items()]
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", *lines, "", ""]).encode())
    return reader, writer


async def test_a_gateway_that_does_not_answer_lets_nobody_in(front: Front, gateway_factory: GatewayFactory) -> None:
    token = await front.gateway.token(await front.gateway.user("ann"))
    assert (await front.get("/x", bearer(token))).status == 200
    await front.send("POST", front.url(PORTAL, "/api/v1/auth/logout"), bearer(token))
    assert (await front.get("/x", bearer(token))).status == 401
    await gateway_factory.close()
    for path in ("/x", "/public/x", "/admin/"):
        for headers in ({}, bearer(token), BROWSER):
            answer = await front.get(path, headers)
            assert answer.status in {500, 502, 503, 504}, (path, answer.status)
    assert len(front.application.requests) == 1
