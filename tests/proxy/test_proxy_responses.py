"""What upstreams answer: passed on as it is when it is strict HTTP/1.1, else 502; down, hanging, cut short, garbage."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.proxy.conftest import Stand
from tests.proxy.proxying import OK, Standing, Upstream, connected, request

H = b"HTTP/1.1 200 OK\r\n"
CHUNKS = b"2\r\nok\r\n0\r\n\r\n"
VALID = {
    "length": (H + b"Content-Length: 2\r\n\r\nok", 200, b"ok"),
    "chunked": (H + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNKS, 200, b"ok"),
    "chunk-extension-and-trailer": (
        H + b"Transfer-Encoding: Chunked\r\n\r\n2;a=b\r\nok\r\n0\r\nX-Trailer: x\r\n\r\n",
        200,
        b"ok",
    ),
    "until-closed": (H + b"\r\nok", 200, b"ok"),
    "http-1.0": (b"HTTP/1.0 200 OK\r\n\r\nok", 200, b"ok"),
    "no-reason": (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "empty-reason": (b"HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "odd-status": (b"HTTP/1.1 299 Whatever\r\nContent-Length: 2\r\n\r\nok", 299, b"ok"),
    "no-content": (b"HTTP/1.1 204 No Content\r\n\r\n", 204, b""),
    "no-content-with-length": (b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, b""),
    "not-modified": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5000\r\nETag: x\r\n\r\n", 304, b""),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK, 200, b"ok"),
    "upgrade-offered": (H + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "redirect": (b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", 302, b""),
    "obs-text": (H + b"X-A: \xe9\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
    "head-of-60-kilobytes": (H + b"X-A: " + b"x" * 60_000 + b"\r\nContent-Length: 2\r\n\r\nok", 200, b"ok"),
}


@pytest.mark.parametrize("whole", [True, False], ids=["at-once", "in-pieces"])
@pytest.mark.parametrize(("answer", "status", "body"), VALID.values(), ids=VALID)
async def test_a_strict_answer_is_passed_on_however_it_arrives(
    front: Standing, upstream: Upstream, answer: bytes, status: int, body: bytes, whole: bool
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        step = len(answer) if whole else max(1, len(answer) // 40)
        for start in range(0, len(answer), step):
            writer.write(answer[start : start + step])
            await asyncio.sleep(0)

    upstream.serve = serve
    async with connected(front.port) as client:
        client.send(request("GET /"))
        reply = await client.reply()
        assert (reply.status, reply.body) == (status, body)
        framings = reply.all("content-length") + reply.all("transfer-encoding")
        assert len(framings) == (0 if status == 204 else 1)
        assert reply.all("x-trailer") == reply.all("link") == reply.all("upgrade") == []
        client.send(request("GET /"))
        assert (await client.reply()).status == status


async def test_bytes_on_a_resting_connection_end_it(front: Standing, upstream: Upstream) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            await upstream.receive(reader)
            writer.write(OK)
            await asyncio.sleep(0.05)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison")

    upstream.serve = serve
    for _ in range(3):
        assert (await front.get()).body == b"ok"
        await asyncio.sleep(0.1)
    assert upstream.connections == 3


@pytest.mark.parametrize("answer", [OK, H + b"\r\n", H + b"Transfer-Encoding: chunked\r\n\r\n", H + b"X: y\r\n\r\n"])
async def test_an_answer_to_head_has_no_body_and_keeps_the_connection_right(
    front: Standing, upstream: Upstream, answer: bytes
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            received = await upstream.receive(reader)
            writer.write(answer.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" if received.line.startswith("HEAD") else OK)

    upstream.serve = serve
    async with connected(front.port) as client:
        for _ in range(2):
            client.send(request("HEAD /"))
            reply = await client.reply(method="HEAD")
            assert (reply.status, reply.all("transfer-encoding")) == (200, [])
            assert reply.all("content-length") == (["2"] if answer == OK else [])
            client.send(request("GET /"))
            assert (await client.reply()).body == b"ok"


async def test_a_body_that_comes_with_an_answer_to_head_reaches_nobody(front: Standing, upstream: Upstream) -> None:
    async with connected(front.port) as client:
        client.send(request("HEAD /") + request("GET /"))
        assert (await client.reply(method="HEAD")).one("content-length") == "2"
        assert (await client.reply()).body == b"ok"
    assert upstream.connections == 2


async def test_an_upstream_that_is_down_is_502(stand: Stand, upstream: Upstream) -> None:
    front = await stand()
    await upstream.stop()
    reply = await front.get()
    assert (reply.status, reply.code) == (502, "bad_gateway")
    assert front.log[0]["error"] == "connect_failed"


async def test_an_upstream_that_hangs_is_504(stand: Stand, upstream: Upstream) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        await reader.read()

    upstream.serve = serve
    front = await stand(response="300ms")
    started = time.monotonic()
    reply = await front.get()
    assert (reply.status, reply.code) == (504, "gateway_timeout")
    assert 0.2 < time.monotonic() - started < 2
    assert front.log[0]["error"] == "response_timeout"


async def test_a_garbage_answer_of_any_kind_is_never_a_500(front: Standing, upstream: Upstream) -> None:
    pieces = [b"\r\n", b"HTTP/1.1 ", b"200", b" ", b"\0", b"Content-Length: 1", b":", b"\xff", b"0\r\n\r\n", b"X" * 99]
    upstream.close = True
    for number in range(200):
        upstream.answer = b"".join(pieces[(number * step) % len(pieces)] for step in range(1, 9))
        async with connected(front.port) as client:
            client.send(request("GET /"))
            assert (await client.reply()).status in {200, 502}


async def test_a_resting_connection_that_died_is_replaced_for_what_may_be_repeated(
    front: Standing, upstream: Upstream
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(OK)
        await upstream.receive(reader)  # and closes without an answer

    upstream.serve = serve
    assert (await front.get()).status == 200
    assert (await front.get("/second")).status == 200
    assert [received.line.split()[1] for received in upstream.requests] == ["/", "/second", "/second"]


@pytest.mark.parametrize(("line", "fields", "body"), [("POST /", (), b""), ("PUT /", ("Content-Length: 2",), b"hi")])
async def test_what_may_not_be_repeated_is_sent_once(
    front: Standing, upstream: Upstream, line: str, fields: tuple[str, ...], body: bytes
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(OK)
        await upstream.receive(reader)

    upstream.serve = serve
    assert (await front.get()).status == 200
    assert (await front.ask(request(line, *fields, body=body))).status == 502
    assert len(upstream.requests) == 2


async def test_a_request_that_timed_out_on_a_kept_connection_is_not_sent_again(
    stand: Stand, upstream: Upstream
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(OK)
        await upstream.receive(reader)
        await reader.read()

    upstream.serve = serve
    front = await stand(response="300ms")
    assert [(await front.get()).status for _ in range(2)] == [200, 504]
    assert len(upstream.requests) == 2


async def test_a_fresh_connection_that_dies_is_not_tried_again(front: Standing, upstream: Upstream) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)

    upstream.serve = serve
    assert (await front.get()).status == 502
    assert len(upstream.requests) == 1


async def test_connections_that_rest_too_long_are_closed(stand: Stand, upstream: Upstream) -> None:
    front = await stand()
    await front.get()
    pool = front.upstreams["app"]
    (server,) = pool.servers
    assert len(server.idle) == 1
    pool.watch(asyncio.get_running_loop().time() + 60)
    assert len(server.idle) == 0
    async with asyncio.timeout(5):
        await upstream.ended.wait()
