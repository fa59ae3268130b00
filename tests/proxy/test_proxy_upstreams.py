"""Requests through a front whose upstream has several servers, limits, sockets or certificates; and health checks."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from ipaddress import ip_address
from pathlib import Path
from typing import Any, cast

import pytest
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import DNSName, GeneralName, IPAddress

from gateway.config.settings import Settings
from gateway.config.upstream import HealthCheck
from gateway.errors import StartupError
from gateway.observability.health import Health
from gateway.proxy.upstream.checks import check
from gateway.proxy.upstream.report import UpstreamReport
from gateway.proxy.upstream.upstreams import Upstreams
from tests.listening.authority import CLIENT, Authority, pem_key
from tests.proxy.conftest import Stand
from tests.proxy.proxying import OK, Reply, Standing, Upstream, connected, request

Start = Callable[..., Awaitable[Upstream]]
WEBSOCKET = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
SWITCHED = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
)


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Give what starts further upstreams."""
    async with AsyncExitStack() as stack:

        async def run(upstream: Upstream) -> Upstream:
            await upstream.start()
            stack.push_async_callback(upstream.stop)
            return upstream

        yield run


def one(servers: str, more: str = "") -> str:
    """Return the YAML of one upstream and a route for everything to it."""
    return f"""
upstreams:
  app: {{servers: [{servers}]{more and f", {more}"}}}
routes:
  - {{name: app, match: {{host: app.test}}, access: public, upstream: app}}
"""


async def get(front: Standing, path: str = "/") -> Reply:
    return await front.get(path, token="")


async def test_requests_go_round_and_past_a_server_that_is_gone(stand: Stand, upstream: Upstream, start: Start) -> None:
    other = await start(Upstream())
    front = await stand(one(f"URL, {other.url}"))
    assert [(await get(front)).status for _ in range(4)] == [200] * 4
    assert [len(upstream.requests), len(other.requests)] == [2, 2]
    await other.stop()
    assert [(await get(front)).status for _ in range(4)] == [200] * 4
    assert len(upstream.requests) == 6


async def test_the_fast_lane_and_the_plain_path_share_the_turns(stand: Stand, upstream: Upstream, start: Start) -> None:
    other = await start(Upstream())
    front = await stand(one(f"URL, {other.url}"))
    async with connected(front.port) as client:
        for _ in range(10):
            client.send(request("GET /", token=""))
            assert (await client.reply()).status == 200
    assert [len(upstream.requests), len(other.requests)] == [5, 5]


async def test_a_client_behind_a_trusted_proxy_keeps_its_server(stand: Stand, upstream: Upstream, start: Start) -> None:
    servers = [upstream, await start(Upstream()), await start(Upstream())]
    front = await stand(
        one(", ".join(each.url for each in servers), "balance: hash_ip"), SERVER__TRUSTED_PROXIES="127.0.0.1"
    )
    homes = set()
    for number in range(12):
        for each in servers:
            each.requests.clear()
        for _ in range(3):
            await front.get("/", f"X-Forwarded-For: 198.51.100.{number}", token="")
        asked = [at for at, each in enumerate(servers) if each.requests]
        assert len(asked) == 1
        homes.add(asked[0])
    assert len(homes) > 1


async def test_beyond_limit_and_queue_a_request_is_told_when_to_come_back(stand: Stand, upstream: Upstream) -> None:
    arrived, answer = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await upstream.receive(reader)
            arrived.set()
            await answer.wait()
            writer.write(OK)

    upstream.serve = serve
    front = await stand(one("URL", "limits: {connections: 1, queue: 1}"))
    first = asyncio.create_task(get(front, "/first"))
    await arrived.wait()
    second = asyncio.create_task(get(front, "/second"))
    async with asyncio.timeout(5):
        while not front.upstreams["app"].waiting:
            await asyncio.sleep(0.01)
    refused = await get(front, "/third")
    assert (refused.status, refused.code, refused.one("retry-after")) == (503, "upstream_busy", "1")
    answer.set()
    assert [(await each).status for each in (first, second)] == [200, 200]
    assert [each.line.split()[1] for each in upstream.requests] == ["/first", "/second"]
    assert upstream.connections == 1


async def test_who_waits_too_long_is_told_when_to_come_back(stand: Stand, upstream: Upstream) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(SWITCHED)
        await reader.read()

    upstream.serve = serve
    front = await stand(one("URL", "limits: {connections: 1, queue_timeout: 50ms}"))
    async with connected(front.port) as client:
        client.send(request("GET /socket", *WEBSOCKET, token=""))
        assert (await client.head())[0] == 101
        refused = await get(front)
        assert (refused.status, refused.code) == (503, "upstream_busy")
    upstream.serve = None
    async with asyncio.timeout(5):
        while front.upstreams["app"].servers[0].in_flight:
            await asyncio.sleep(0.01)
    assert (await get(front)).status == 200


async def test_a_client_that_goes_away_leaves_the_queue(stand: Stand, upstream: Upstream) -> None:
    arrived = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        arrived.set()
        await reader.read()

    upstream.serve = serve
    front = await stand(one("URL", "limits: {connections: 1, queue: 5}"), response="60s")
    pool = front.upstreams["app"]
    async with connected(front.port) as holder, asyncio.timeout(5):
        holder.send(request("GET /", token=""))
        await arrived.wait()
        async with connected(front.port) as client:
            client.send(request("GET /", token=""))
            while not pool.waiting:
                await asyncio.sleep(0.01)
        while pool.waiting:
            await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        while pool.servers[0].in_flight:
            await asyncio.sleep(0.01)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("named", [True, False], ids=["named", "in-the-route"])
async def test_a_server_may_be_a_unix_socket(stand: Stand, start: Start, tmp_path: Path, named: bool) -> None:
    path = str(tmp_path / "app.sock")
    served = await start(Upstream(socket_path=path))
    route = "{match: {host: app.test}, access: public, preserve_host: false, upstream: %s}"
    upstreams = f"upstreams: {{app: {{servers: unix:{path}}}}}\n" if named else ""
    front = await stand(f"{upstreams}routes:\n  - {route % ('app' if named else f'unix:{path}')}")
    assert (await get(front)).status == 200
    assert served.last.all("host") == ["localhost"]
    await served.stop()
    Path(path).unlink()
    assert (await get(front)).status == 502


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca")


def served_with(authority: Authority, *names: GeneralName, client_ca: bool = False) -> Upstream:
    """Return an upstream that shows a certificate for these names, and asks for one if ``client_ca``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    pair = authority.issue(*names)
    context.load_cert_chain(pair.cert, pair.key)
    if client_ca:
        context.load_verify_locations(authority.ca_file)
        context.verify_mode = ssl.CERT_REQUIRED
    return Upstream(tls=context)


def secure(upstream: Upstream, tls: str) -> str:
    return one(f"https://127.0.0.1:{upstream.port}", tls and f"tls: {{{tls}}}")


LOCAL = IPAddress(ip_address("127.0.0.1"))


@pytest.mark.parametrize(
    ("names", "tls", "status"),
    [
        pytest.param([LOCAL], "ca_file: CA", 200, id="own-ca"),
        pytest.param([LOCAL], "", 502, id="unknown-ca"),
        pytest.param([DNSName("app.internal")], "ca_file: CA", 502, id="another-name"),
        pytest.param([DNSName("app.internal")], "ca_file: CA, server_name: app.internal", 200, id="the-name-given"),
        pytest.param([LOCAL], "ca_file: CA, server_name: app.internal", 502, id="not-the-name-given"),
        pytest.param([DNSName("app.internal")], "insecure_skip_verify: true", 200, id="not-verified"),
    ],
)
async def test_a_server_is_verified(
    stand: Stand, start: Start, authority: Authority, names: list[GeneralName], tls: str, status: int
) -> None:
    served = await start(served_with(authority, *names))
    front = await stand(secure(served, tls.replace("CA", str(authority.ca_file))))
    assert (await get(front)).status == status
    assert len(served.requests) == (1 if status == 200 else 0)


async def test_the_name_is_asked_for(stand: Stand, start: Start, authority: Authority) -> None:
    served, asked = served_with(authority, DNSName("app.internal")), []
    assert served.tls is not None
    served.tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    await start(served)
    front = await stand(secure(served, f"ca_file: {authority.ca_file}, server_name: app.internal"))
    assert (await get(front)).status == 200
    assert asked == ["app.internal"]


@pytest.mark.parametrize("shown", [True, False], ids=["with", "without"])
async def test_a_server_may_ask_for_the_gateways_certificate(
    stand: Stand, start: Start, authority: Authority, shown: bool
) -> None:
    served = await start(served_with(authority, LOCAL, client_ca=True))
    pair = authority.issue(usage=CLIENT)
    own = f", cert_file: {pair.cert}, key_file: {pair.key}" if shown else ""
    front = await stand(secure(served, f"ca_file: {authority.ca_file}{own}"))
    assert (await get(front)).status == (200 if shown else 502)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        ("ca_file", "tls.ca_file: cannot be used: No such file or directory"),
        ("cert_file", "tls.cert_file: cannot be used: No such file or directory"),
        ("password", "tls.cert_file: cannot be used: certificate and key must be PEM"),
        ("not-pem", "tls.ca_file: cannot be used: it holds no certificates in PEM"),
    ],
)
def test_files_that_cannot_be_used_are_named_at_the_start(
    settings_for: Callable[..., Settings], authority: Authority, tmp_path: Path, broken: str, told: str
) -> None:
    pair = authority.issue(usage=CLIENT)
    files = {"ca_file": authority.ca_file, "cert_file": pair.cert, "key_file": pair.key}
    if broken == "password":
        key = load_pem_private_key(pair.key.read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        pair.key.write_bytes(pem_key(key, b"hunter2"))
    elif broken == "not-pem":
        authority.ca_file.write_text("nothing")
    else:
        files[broken] = tmp_path / "absent.pem"
    tls = ", ".join(f"{key}: {path}" for key, path in files.items())
    with pytest.raises(StartupError, match=re.escape(f"upstreams.app.{told}")):
        Upstreams(settings_for(one("https://127.0.0.1:9", f"tls: {{{tls}}}")))


# Health checks


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(OK, "", id="200"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\n", "", id="204"),
        pytest.param(b"HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", "", id="302"),
        pytest.param(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "status_404", id="404"),
        pytest.param(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "status_503", id="503"),
        pytest.param(b"HTTP/1.1 200 OK\r\n\r\nendless", "", id="a-body-without-end"),
        pytest.param(b"\x16\x03\x01\x00\x00\r\n", "malformed_response", id="not-http"),
        pytest.param(b"", "connection_lost", id="no-answer"),
    ],
)
async def test_a_check_is_good_below_400(
    settings_for: Callable[..., Settings], upstream: Upstream, answer: bytes, why: str
) -> None:
    upstream.answer, upstream.close = answer, not answer
    upstreams = Upstreams(settings_for(one(upstream.url)))
    (server,) = upstreams["app"].servers
    assert await check(server, HealthCheck(path="/up?deep=1")) == why
    assert upstream.last.line == "GET /up?deep=1 HTTP/1.1"
    assert upstream.last.all("host") == [f"127.0.0.1:{upstream.port}"]
    assert not server.idle
    await upstreams.stop()


async def test_a_check_says_what_host_it_is_told_and_nobodys_identity(
    settings_for: Callable[..., Settings], upstream: Upstream
) -> None:
    upstreams = Upstreams(settings_for(one(upstream.url)))
    assert await check(upstreams["app"].servers[0], HealthCheck(path="/up", host="wiki.example.com")) == ""
    assert {name for name, _ in upstream.last.fields} == {"Host", "User-Agent", "Connection"}
    assert upstream.last.all("host") == ["wiki.example.com"]
    await upstreams.stop()


@pytest.mark.parametrize(("listens", "why"), [(True, "timeout"), (False, "connect_failed")])
async def test_a_server_that_does_not_answer_is_not_well(
    settings_for: Callable[..., Settings], upstream: Upstream, listens: bool, why: str
) -> None:
    async def serve(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.read()

    upstream.serve = serve
    if not listens:
        await upstream.stop()
    upstreams = Upstreams(settings_for(one(upstream.url)))
    quick = HealthCheck.model_validate({"path": "/up", "timeout": "50ms"})
    assert await check(upstreams["app"].servers[0], quick) == why
    await upstreams.stop()


async def test_checks_find_a_server_that_went_and_came_back(stand: Stand, upstream: Upstream, start: Start) -> None:
    other = await start(Upstream())
    checks = "health_check: {path: /up, interval: 10ms, unhealthy_after: 2, healthy_after: 2}"
    front = await stand(one(f"URL, {other.url}", checks))
    server = front.upstreams["app"].servers[1]

    async def until(healthy: bool) -> None:
        async with asyncio.timeout(5):
            while server.condition.healthy is not healthy:
                await asyncio.sleep(0.01)

    await other.stop()
    await until(healthy=False)
    await upstream.stop()
    async with asyncio.timeout(5):
        while (reply := await get(front)).status != 503:
            await asyncio.sleep(0.01)
    assert (reply.code, reply.one("retry-after")) == ("upstream_down", "1")
    await other.start()
    await until(healthy=True)
    assert (await get(front)).status == 200


async def test_the_path_of_a_health_check_opens_nothing(stand: Stand, upstream: Upstream) -> None:
    front = await stand(
        one("URL", "health_check: {path: /up, interval: 10ms}").replace("access: public", "access: required")
    )
    async with asyncio.timeout(5):
        while not upstream.requests:
            await asyncio.sleep(0.01)
    for path in ("/up", "/up?deep=1", "/up/../admin"):
        reply = await front.get(path, "User-Agent: gateway-health-check", token="")
        assert reply.status in {400, 401}
    assert {each.line for each in upstream.requests} == {"GET /up HTTP/1.1"}
    assert not any(each.all("x-forwarded-for") for each in upstream.requests)


async def test_readiness_tells_of_upstreams_to_the_internal_listener_alone(stand: Stand, upstream: Upstream) -> None:
    front = await stand(one("URL"))
    pool = front.upstreams["app"]
    for _ in range(3):
        pool.checked(pool.servers[0], good=False, why="status_500")
    health = Health(lambda: True, front.metrics, UpstreamReport(front.upstreams).lines)

    told = await health.readyz_in_detail(make_mocked_request("GET", "/readyz?verbose"))
    assert (told.status, told.text) == (
        200,
        f"ready\nupstream app {upstream.url}: out (status_500), 0 in flight\n",
    )
    public = {route.path: route.handler for route in health.public_routes()}
    for answer, path in (
        (health.readyz_in_detail, "/readyz"),
        (public["/.gateway/readyz"], "/.gateway/readyz?verbose"),
    ):
        reply: Any = await cast("Any", answer)(make_mocked_request("GET", path))
        assert reply.text == "ready\n"
