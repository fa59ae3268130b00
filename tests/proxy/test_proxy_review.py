"""What a hostile reading of the proxy found."""

from __future__ import annotations

import asyncio

import pytest
from aiohttp import web

from gateway.policy.target import parse_target
from gateway.proxy.portal import Portal
from gateway.proxy.route_reply import RouteReply
from gateway.proxy.server import ClientConnection
from tests.proxy.conftest import Stand
from tests.proxy.proxying import Standing, Upstream, connected, request

_BODY = bytes(50_000)
_HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: a2V5")


async def _login(_request: web.Request) -> web.Response:
    return web.Response()


async def test_answers_to_a_client_that_takes_none_do_not_pile_up(front: Standing, upstream: Upstream) -> None:
    """A thousand requests in one packet are 56 KB; their answers would be 50 MB."""
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
    async with connected(front.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(request("GET /public/x", token="") * 1000)
        before = -1
        while before != len(upstream.requests):
            before = len(upstream.requests)
            await asyncio.sleep(0.5)
        # What the sockets' buffers hold, and no more.
        assert 0 < len(upstream.requests) < 400
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        for _ in range(1000):
            assert (await client.reply()).body == _BODY


async def test_a_client_that_takes_no_answer_is_cut_off(stand: Stand, upstream: Upstream) -> None:
    front = await stand(SERVER__LIMITS__IDLE_TIMEOUT="1s")
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)
    async with connected(front.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(request("GET /public/x", token="") * 1000)
        await asyncio.sleep(2.5)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert len(await client.ended()) < 1000 * len(_BODY)


async def test_a_grant_to_upgrade_is_not_lent_to_http_1_0(stand: Stand, upstream: Upstream) -> None:
    """Both versions have the same fields, target and peer, and so share what is remembered."""
    front = await stand(
        'routes: [{name: ws, match: {host: app.test}, access: public, websocket: true, upstream: "URL"}]'
    )
    first = await front.ask(request("GET /", *_HANDSHAKE, token=""))
    assert (first.status, len(upstream.requests)) == (200, 1)
    second = await front.ask(request("GET / HTTP/1.0", *_HANDSHAKE, token=""))
    assert (second.status, second.code, len(upstream.requests)) == (400, "bad_upgrade", 1)


@pytest.mark.parametrize("field", ["X-Forwarded-For: x@", "X-Forwarded-Proto: gopher", "X-Forwarded-Host: a/b"])
async def test_decision_endpoints_answer_403_to_what_a_proxy_garbles(stand: Stand, field: str) -> None:
    front = await stand(SERVER__TRUSTED_PROXIES="127.0.0.1/32")
    for path in ("/oauth2/auth", "/oauth2/auth?x=1", "/.gateway/authz/nginx"):
        assert (await front.get(path, field, token="")).status == 403, path
    assert (await front.get("/public/x", field, token="")).status == 400


@pytest.mark.parametrize("host", ["2001:db8::1", "2001:db8:0::1", "[2001:db8::1]"])
def test_the_portal_may_live_at_an_ipv6_address(host: str) -> None:
    application = web.Application()
    application.router.add_get("/login", _login)
    portal = Portal(application, host)
    assert portal.owns(parse_target("GET", "/login", "[2001:DB8::1]:8080", "http"))
    assert not portal.owns(parse_target("GET", "/login", "[2001:db8::2]:8080", "http"))


async def test_a_refusal_claims_nothing_about_who_asks(front: Standing) -> None:
    for path, token in (("/closed/x", ""), ("/staff/x", "bob-token")):
        answer = await front.get(path, token=token)
        assert (answer.status, answer.code) == (403, "forbidden")
        assert "signed in" not in answer.json["detail"]


@pytest.mark.parametrize("data", [b"\0\r\n\r\n", b"GET / RTSP/1.0\r\n\r\n", b"GET / HTTP/1.0\r\nA : b\r\n\r\n"])
async def test_what_cannot_be_read_is_answered_without_a_word_about_the_inside(front: Standing, data: bytes) -> None:
    answer = await front.ask(data)
    assert answer.head.startswith(b"HTTP/1.1 400 ")
    assert answer.one("Server") == "gateway"


NAMES = ["xn--a", "xn--", "xn--" + "a" * 70, "xn--99999999999", "\xff", "[::1%25x]", "a..b", "1.2.3.999", "a:b@c:99999"]


@pytest.mark.parametrize("host", ["app.test", "portal.test", None], ids=["routed", "portal", "the same"])
async def test_a_target_that_names_an_odd_host_is_answered(front: Standing, host: str | None) -> None:
    """aiohttp decodes such names; where it failed to, nobody answered, and the connection stayed for ever."""
    for name in NAMES:
        reply = await front.ask(request(f"GET http://{name}/public/x", host=host or name, token=""))
        assert reply.status in {400, 404}, name


async def test_a_connection_that_nobody_answers_is_ended(front: Standing, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("whatever it may be")

    monkeypatch.setattr("gateway.proxy.front.web.BaseRequest", broken)
    monkeypatch.setattr("gateway.listening.pace._CLOSING_SECONDS", 0.3)
    async with connected(front.port) as client:
        client.send(request("GET /public/x", token=""))
        assert await client.ended() == b""
    assert front.patrol.ended == {"lingering": 1}


@pytest.mark.parametrize("path", ["/", "/public/x"], ids=["refused by us", "declined by the upstream"])
async def test_what_stands_behind_a_declined_upgrade_is_not_read(
    front: Standing, upstream: Upstream, path: str
) -> None:
    """aiohttp reads it on by itself: a trailer in it became a field of the next request, and signed that one in."""
    trailer = b"0\r\nAuthorization: Bearer ann-token\r\n\r\n"
    async with connected(front.port) as client:
        body = request("POST /public/x", "Transfer-Encoding: chunked", token="", body=trailer)
        client.send(request(f"GET {path}", *_HANDSHAKE, token="") + body)
        assert (await client.reply()).status in {200, 401}
        client.send(request("GET /", token=""))
        assert await client.ended() == b""
    assert not any(received.all("authorization") or received.all("x-forwarded-user") for received in upstream.requests)


async def test_a_client_that_leaves_while_its_request_changes_lanes_is_counted_once(
    front: Standing, upstream: Upstream
) -> None:
    async with connected(front.port) as client:
        client.send(request("GET /public/x", token=""))
        assert (await client.reply()).status == 200
        upstream.answer = b""
        client.send(request("GET /public/x", token=""))
        while len(upstream.requests) < 2:
            await asyncio.sleep(0.01)
        (connection,) = front.patrol._connections()
        assert isinstance(connection, ClientConnection)
        assert connection._trip is not None
        assert connection.transport is not None
        assert front.metrics.in_flight == 1
        connection.transport.abort()
        connection._trip.hand_over()
        assert await client.ended() == b""
    assert front.metrics.in_flight == 0
    assert [line["status"] for line in front.log] == [200, 499]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_an_answer_that_cannot_be_passed_on_leaves_nobody_waiting(
    front: Standing, upstream: Upstream, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    """Raised in the upstream connection's callback, it would reach nobody, and no timeout ends what is answered."""

    def broken(*_: object) -> None:
        raise ValueError("whatever it may be")

    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    async with connected(front.port) as client:
        client.send(request(f"{method} /public/x", token=""))
        assert (await client.reply(method=method)).status == 200
        monkeypatch.setattr(RouteReply, "filtered", broken)
        upstream.answer = b"HTTP/1.1 200 Other\r\nContent-Length: 0\r\n\r\n"
        client.send(request(f"{method} /public/x", token=""))
        assert (await client.reply(method=method)).status == 500
    assert front.metrics.in_flight == 0
    assert [server.in_flight for pool in front.upstreams for server in pool.servers] == [0]
