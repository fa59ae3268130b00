"""Request bytes with more than one reading: refused, or sent on in exactly one."""

from __future__ import annotations

import asyncio

import pytest

from tests.proxy.conftest import Stand
from tests.proxy.proxying import Standing, Upstream, connected, request

AUTH = "Authorization: Bearer ann-token"
HOST = "Host: app.test"


def raw(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


CHUNKED = b"2\r\nhi\r\n0\r\n\r\n"
REFUSED = {
    "both-framings": (raw("POST / HTTP/1.1", HOST, AUTH, "Content-Length: 2", "Transfer-Encoding: chunked"), 400),
    "both-framings-reversed": (
        raw("POST / HTTP/1.1", HOST, AUTH, "Transfer-Encoding: chunked", "Content-Length: 2", body=CHUNKED),
        400,
    ),
    "two-lengths": (raw("POST / HTTP/1.1", HOST, AUTH, "Content-Length: 2", "Content-Length: 3", body=b"hi"), 400),
    "one-length-twice": (raw("POST / HTTP/1.1", HOST, AUTH, "Content-Length: 2", "Content-Length: 2", body=b"hi"), 400),
    "length-list": (raw("POST / HTTP/1.1", HOST, AUTH, "Content-Length: 2, 2", body=b"hi"), 400),
    "signed-length": (raw("POST / HTTP/1.1", HOST, AUTH, "Content-Length: +2", body=b"hi"), 400),
    "negative-length": (raw("POST / HTTP/1.1", HOST, AUTH, "Content-Length: -1"), 400),
    "hexadecimal-length": (raw("POST / HTTP/1.1", HOST, AUTH, "Content-Length: 0x2", body=b"hi"), 400),
    "empty-length": (raw("POST / HTTP/1.1", HOST, AUTH, "Content-Length:", body=b"hi"), 400),
    "other-coding": (raw("POST / HTTP/1.1", HOST, AUTH, "Transfer-Encoding: gzip", body=b"hi"), 400),
    "two-codings": (raw("POST / HTTP/1.1", HOST, AUTH, "Transfer-Encoding: gzip, chunked", body=CHUNKED), 400),
    "chunked-twice": (raw("POST / HTTP/1.1", HOST, AUTH, "Transfer-Encoding: chunked, chunked", body=CHUNKED), 400),
    "two-coding-fields": (
        raw("POST / HTTP/1.1", HOST, AUTH, "Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=CHUNKED),
        400,
    ),
    "almost-chunked": (raw("POST / HTTP/1.1", HOST, AUTH, "Transfer-Encoding: xchunked", body=CHUNKED), 400),
    "chunked-1.0": (raw("POST / HTTP/1.0", HOST, AUTH, "Transfer-Encoding: chunked", body=CHUNKED), 400),
    "two-hosts": (raw("GET / HTTP/1.1", HOST, AUTH, "Host: other.test"), 400),
    "one-host-twice": (raw("GET / HTTP/1.1", HOST, AUTH, HOST), 400),
    "no-host": (raw("GET / HTTP/1.1", AUTH), 400),
    "folded-line": (raw("GET / HTTP/1.1", HOST, AUTH, "X-A: b", " c"), 400),
    "folded-first-line": (raw("GET / HTTP/1.1", " X-A: b", HOST, AUTH), 400),
    "space-before-colon": (raw("GET / HTTP/1.1", HOST, AUTH, "X-Forwarded-User : root"), 400),
    "no-colon": (raw("GET / HTTP/1.1", HOST, AUTH, "X-Forwarded-User"), 400),
    "no-name": (raw("GET / HTTP/1.1", HOST, AUTH, ": x"), 400),
    "nul-in-value": (raw("GET / HTTP/1.1", HOST, AUTH, "X-A: b\0c"), 400),
    "nul-in-name": (raw("GET / HTTP/1.1", HOST, AUTH, "X-A\0: b"), 400),
    "bare-cr": (raw("GET / HTTP/1.1", HOST, AUTH, "X-A: b\rX-Forwarded-User: root"), 400),
    "bare-lf": (b"GET / HTTP/1.1\nHost: app.test\nAuthorization: Bearer ann-token\n\n", 400),
    "bare-lf-field": (raw("GET / HTTP/1.1", HOST, AUTH, "X-A: b\nX-Forwarded-User: root"), 400),
    "http-0.9": (b"GET /\r\n\r\n", 505),
    "http-0.9-said": (raw("GET / HTTP/0.9", HOST, AUTH), 505),
    "http-1.2": (raw("GET / HTTP/1.2", HOST, AUTH), 400),
    "http-2": (raw("GET / HTTP/2.0", HOST, AUTH), 505),
    "http-2-preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "rtsp": (raw("GET / RTSP/1.0", HOST, AUTH), 400),
    "rtsp-1.1": (raw("OPTIONS / RTSP/1.1", HOST, AUTH), 400),
    "ice": (raw("SOURCE / ICE/1.0", HOST, AUTH), 400),
    "connect": (raw("CONNECT app.test:80 HTTP/1.1", HOST, AUTH), 400),
    "asterisk": (raw("OPTIONS * HTTP/1.1", HOST, AUTH), 400),
    "other-host-in-target": (raw("GET http://other.test/ HTTP/1.1", HOST, AUTH), 400),
    "other-scheme-in-target": (raw("GET ftp://app.test/ HTTP/1.1", HOST, AUTH), 400),
    "user-in-target": (raw("GET http://ann@app.test/ HTTP/1.1", HOST, AUTH), 400),
    "no-slash": (raw("GET x HTTP/1.1", HOST, AUTH), 400),
    "fragment": (raw("GET /x#y HTTP/1.1", HOST, AUTH), 400),
    "raw-bytes": (raw("GET /\xe9 HTTP/1.1", HOST, AUTH), 400),
    "lower-method": (raw("get / HTTP/1.1", HOST, AUTH), 400),
    "odd-method": (raw("G@T / HTTP/1.1", HOST, AUTH), 400),
    "tls": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 60, 400),
    "long-line": (raw("GET /" + "x" * 40_000 + " HTTP/1.1", HOST, AUTH), 431),
    "long-field": (raw("GET / HTTP/1.1", HOST, AUTH, "X-A: " + "x" * 40_000), 431),
    "long-name": (raw("GET / HTTP/1.1", HOST, AUTH, "X" * 40_000 + ": x"), 431),
    "many-fields": (raw("GET / HTTP/1.1", HOST, AUTH, *[f"X-{number}: x" for number in range(500)]), 431),
    "large-fields": (raw("GET / HTTP/1.1", HOST, AUTH, *[f"X-{number}: " + "x" * 900 for number in range(50)]), 431),
    "h2c": (raw("GET / HTTP/1.1", HOST, AUTH, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"), 400),
    "two-upgrades": (raw("GET / HTTP/1.1", HOST, AUTH, "Connection: Upgrade", "Upgrade: h2c, websocket"), 400),
    "posted-upgrade": (raw("POST / HTTP/1.1", HOST, AUTH, "Connection: Upgrade", "Upgrade: websocket"), 400),
    "upgrade-1.0": (raw("GET / HTTP/1.0", HOST, AUTH, "Connection: Upgrade", "Upgrade: websocket"), 400),
}


@pytest.mark.parametrize(("data", "status"), REFUSED.values(), ids=REFUSED)
async def test_a_request_with_no_single_reading_is_refused_and_its_connection_closed_or_safe(
    front: Standing, upstream: Upstream, data: bytes, status: int
) -> None:
    async with connected(front.port) as client:
        client.send(data)
        reply = await client.reply()
        assert reply.status == status
        assert reply.one("content-type") == "application/problem+json"
        assert reply.one("server") == "gateway"
        assert reply.json["request_id"] == reply.one("x-request-id")
        assert upstream.requests == []
    await asyncio.sleep(0)
    assert front.log[0]["status"] == status
    assert front.log[0]["error"] == reply.json["code"]


@pytest.mark.parametrize(
    "body",
    [
        b"zz\r\nhi\r\n0\r\n\r\n",
        b"-2\r\nhi\r\n0\r\n\r\n",
        b"2\nhi\n0\n\n",
        b"2\r\nhix0\r\n\r\n",
        b"2 \r\nhi\r\n0\r\n\r\n",
        b"0x2\r\nhi\r\n0\r\n\r\n",
        b"ffffffffffffffffff\r\nhi\r\n0\r\n\r\n",
    ],
)
async def test_a_body_with_broken_chunks_ends_in_400_and_never_looks_whole_upstream(
    front: Standing, upstream: Upstream, body: bytes
) -> None:
    reply = await front.ask(request("POST /", "Transfer-Encoding: chunked", body=body))
    assert (reply.status, reply.code) == (400, "malformed_request")
    if upstream.connections:
        async with asyncio.timeout(5):
            await upstream.ended.wait()
    assert all(not received.body.endswith(b"0\r\n\r\n") for received in upstream.requests)


async def test_what_follows_a_refused_body_is_not_read_as_a_request(front: Standing, upstream: Upstream) -> None:
    smuggled = request("GET /smuggled")
    async with connected(front.port) as client:
        client.send(request("POST /closed/x", f"Content-Length: {len(smuggled) + 1000}", body=smuggled))
        assert (await client.reply()).one("connection") == "close"
        client.writer.write_eof()
        assert await client.ended() == b""
    assert upstream.requests == []


async def test_a_body_that_was_sent_whole_leaves_the_connection_good(front: Standing) -> None:
    async with connected(front.port) as client:
        client.send(request("POST /closed/x", "Content-Length: 2", body=b"hi"))
        refused = await client.reply()
        assert (refused.status, refused.all("connection")) == (403, [])
        client.send(request("GET /"))
        assert (await client.reply()).status == 200


async def test_a_refusal_of_a_body_that_waits_for_100_closes_the_connection(front: Standing) -> None:
    async with connected(front.port) as client:
        client.send(request("POST /closed/x", "Content-Length: 2", "Expect: 100-continue"))
        refused = await client.reply()
        assert (refused.status, refused.one("connection")) == (403, "close")


async def test_the_bytes_that_were_decided_on_are_the_bytes_that_are_forwarded(
    front: Standing, upstream: Upstream
) -> None:
    for target in ("/a%20b;p=1/c;q?x=%2f..//&y", "/%E2%82%AC", "/~a!$&'()*+,=:@", "/x?", "/?a?b"):
        assert (await front.get(target)).status == 200
        assert upstream.last.line == f"GET {target} HTTP/1.1"
    await front.get("http://app.test/absolute?q")
    assert upstream.last.line == "GET /absolute?q HTTP/1.1"
    assert upstream.last.all("host") == ["app.test"]


async def test_http_1_0_is_served_and_its_connection_closed_unless_kept(front: Standing, upstream: Upstream) -> None:
    async with connected(front.port) as client:
        client.send(raw("GET / HTTP/1.0", HOST, AUTH, "Connection: keep-alive"))
        assert (await client.reply()).one("connection") == "keep-alive"
        client.send(raw("GET / HTTP/1.0", HOST, AUTH))
        assert (await client.reply()).one("connection") == "close"
        assert await client.ended() == b""
    assert upstream.last.line == "GET / HTTP/1.1"


async def test_connection_close_is_honoured(front: Standing) -> None:
    async with connected(front.port) as client:
        client.send(request("GET /", "Connection: close"))
        assert (await client.reply()).one("connection") == "close"
        assert await client.ended() == b""


async def test_a_body_over_the_limit_is_413_at_once_or_when_it_gets_there(stand: Stand, upstream: Upstream) -> None:
    front = await stand(SERVER__LIMITS__BODY_BYTES="1KiB")
    announced = await front.ask(request("POST /", "Content-Length: 1025", body=b"x" * 10))
    assert (announced.status, announced.code, announced.one("connection")) == (413, "body_too_large", "close")
    assert upstream.connections == 0
    allowed = await front.ask(request("POST /", "Content-Length: 1024", body=b"x" * 1024))
    assert allowed.status == 200
    chunks = b"400\r\n" + b"x" * 1024 + b"\r\n1\r\nx\r\n0\r\n\r\n"
    reply = await front.ask(request("POST /", "Transfer-Encoding: chunked", body=chunks))
    assert (reply.status, reply.code) == (413, "body_too_large")


async def test_a_routes_own_body_limit_counts(stand: Stand) -> None:
    route = "{match: {host: app.test}, access: public, limits: {body_bytes: 10}, upstream: 'URL'}"
    front = await stand(f"routes: [{route}]")
    assert (await front.ask(request("POST /", "Content-Length: 10", body=b"x" * 10))).status == 200
    assert (await front.ask(request("POST /", "Content-Length: 11", body=b"x" * 11))).status == 413


async def test_a_body_that_stops_coming_is_408(stand: Stand) -> None:
    front = await stand(SERVER__LIMITS__IDLE_TIMEOUT="300ms")
    reply = await front.ask(request("POST /", "Content-Length: 10", body=b"x"))
    assert (reply.status, reply.code) == (408, "body_too_slow")


async def test_an_idle_connection_is_closed(stand: Stand) -> None:
    front = await stand(SERVER__LIMITS__IDLE_TIMEOUT="200ms")
    async with connected(front.port) as client:
        client.send(request("GET /"))
        assert (await client.reply()).status == 200
        assert await client.ended() == b""


async def test_a_request_line_in_pieces_is_read(front: Standing) -> None:
    async with connected(front.port) as client:
        for byte in request("GET /"):
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        assert (await client.reply()).status == 200
        for piece in (b"GET / RT", b"SP/1.0\r", b"\nHost: app.test\r\n\r\n"):
            client.send(piece)
            await asyncio.sleep(0.01)
        assert (await client.reply()).status == 400


async def test_a_body_may_speak_of_other_protocols(front: Standing, upstream: Upstream) -> None:
    body = b"DESCRIBE / RTSP/1.0\r\n" * 3
    async with connected(front.port) as client:
        for _ in range(2):
            client.send(request("POST /", f"Content-Length: {len(body)}"))
            await asyncio.sleep(0.02)
            client.send(body)
            assert (await client.reply()).status == 200
            assert upstream.last.body == body
