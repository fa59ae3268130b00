"""Request bytes with more than one reading: refused, or sent on in exactly one."""

from __future__ import annotations

import asyncio

from tests.proxy.conftest import Stand
from tests.proxy.proxying import Standing, Upstream, connected, request

AUTH = "Authorization: Bearer ann-token"
HOST = "Host: app.test"


def raw(*lines: str, body: bytes = b"") -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


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
