"""Bodies in both directions: streamed at the slower side's pace, cut when either side leaves, ended by revocations."""

from __future__ import annotations

import asyncio

import pytest

from tests.proxy.conftest import ROUTES, Stand
from tests.proxy.proxying import OK, Standing, Upstream, connected, request

PIECE = b"x" * 65536
MANY = 400  # pieces: far more than every buffer on the way holds together


async def test_a_body_is_forwarded_as_it_is_framed(front: Standing, upstream: Upstream) -> None:
    await front.ask(request("POST /", "Content-Length: 5", body=b"hello"))
    assert (upstream.last.all("content-length"), upstream.last.body) == (["5"], b"hello")
    chunks = b"2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
    await front.ask(request("POST /", "Transfer-Encoding: CHUNKED", body=chunks))
    assert upstream.last.all("transfer-encoding") == ["chunked"]
    assert upstream.last.all("content-length") == []
    assert upstream.last.body == b"5\r\nhello\r\n0\r\n\r\n"
    await front.ask(request("POST /", "Content-Length: 0"))
    assert (upstream.last.all("content-length"), upstream.last.body) == (["0"], b"")
    await front.ask(request("DELETE /", "Content-Length: 2", body=b"hi"))
    assert upstream.last.body == b"hi"


async def test_a_compressed_body_passes_as_it_is(front: Standing, upstream: Upstream) -> None:
    await front.ask(request("POST /", "Content-Length: 4", "Content-Encoding: gzip", body=b"\x1f\x8b\x08\x00"))
    assert upstream.last.body == b"\x1f\x8b\x08\x00"


async def test_a_body_reaches_the_upstream_while_it_is_still_sent(front: Standing, upstream: Upstream) -> None:
    got: asyncio.Queue[bytes] = asyncio.Queue()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        for _ in range(3):
            got.put_nowait(await reader.readexactly(2))
        writer.write(OK)

    upstream.serve = serve
    async with connected(front.port) as client, asyncio.timeout(5):
        client.send(request("POST /", "Content-Length: 6"))
        for piece in (b"on", b"tw", b"th"):
            client.send(piece)
            assert await got.get() == piece
        assert (await client.reply()).body == b"ok"


async def test_100_continue_is_sent_once_the_request_was_let_through(front: Standing, upstream: Upstream) -> None:
    async with connected(front.port) as client:
        client.send(request("POST /", "Content-Length: 2", "Expect: 100-continue"))
        assert (await client.head())[0] == 100
        client.send(b"hi")
        assert (await client.reply()).status == 200
        assert upstream.last.body == b"hi"
        assert upstream.last.all("expect") == []
        client.send(request("GET /"))
        assert (await client.reply()).status == 200


async def test_an_early_answer_arrives_while_the_body_is_still_sent(front: Standing, upstream: Upstream) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
        await writer.drain()

    upstream.serve = serve
    async with connected(front.port) as client:
        client.send(request("POST /", "Content-Length: 1000000", body=PIECE))
        reply = await client.reply()
        assert (reply.status, reply.body, reply.one("connection")) == (413, b"big", "close")


async def test_a_connection_whose_request_was_not_sent_whole_is_not_used_again(
    front: Standing, upstream: Upstream
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(OK)
        await reader.read()

    upstream.serve = serve
    early = await front.ask(request("POST /", "Content-Length: 1000", body=b"x"))
    assert (early.status, early.one("connection")) == (200, "close")
    await asyncio.sleep(0.05)
    assert (await front.get()).status == 200
    assert upstream.connections == 2


async def test_an_upstream_that_closes_instead_of_reading_is_502(front: Standing, upstream: Upstream) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)

    upstream.serve = serve
    reply = await front.ask(request("POST /", "Content-Length: 1000000", body=PIECE))
    assert (reply.status, reply.one("connection")) == (502, "close")


async def test_an_answer_may_be_streamed_while_the_request_is(front: Standing, upstream: Upstream) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(3):
            writer.write(b"2\r\n" + await reader.readexactly(2) + b"\r\n")
        writer.write(b"0\r\n\r\n")

    upstream.serve = serve
    async with connected(front.port) as client, asyncio.timeout(5):
        client.send(request("POST /", "Content-Length: 6"))
        client.send(b"on")
        assert (await client.head())[0] == 200
        for piece, following in ((b"on", b"tw"), (b"tw", b"th"), (b"th", b"")):
            assert await client.reader.readexactly(7) == b"2\r\n" + piece + b"\r\n"
            client.send(following)


async def test_events_arrive_one_by_one(front: Standing, upstream: Upstream) -> None:
    step = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        for number in range(3):
            writer.write(b"data: %d\n\n" % number)
            await step.wait()
            step.clear()

    upstream.serve = serve
    async with connected(front.port) as client, asyncio.timeout(5):
        client.send(request("GET /events"))
        assert (await client.head())[0] == 200
        for number in range(3):
            assert await client.reader.readexactly(14) == b"9\r\ndata: %d\n\n\r\n" % number
            step.set()
        assert await client.reader.readexactly(5) == b"0\r\n\r\n"


async def test_a_slow_client_holds_the_upstream_back(front: Standing, upstream: Upstream) -> None:
    written = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await upstream.receive(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MANY * len(PIECE)))
        for _ in range(MANY):
            writer.write(PIECE)
            await writer.drain()
            written += 1

    upstream.serve = serve
    async with connected(front.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(request("GET /"))
        await _settles(lambda: written)
        assert 0 < written < MANY
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        _, _ = await client.head()
        async with asyncio.timeout(10):
            assert len(await client.reader.readexactly(MANY * len(PIECE))) == MANY * len(PIECE)
    assert written == MANY


async def test_a_client_that_takes_nothing_is_cut_off(stand: Stand, upstream: Upstream) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MANY * len(PIECE)))
        for _ in range(MANY):
            writer.write(PIECE)
            await writer.drain()

    upstream.serve = serve
    front = await stand(SERVER__LIMITS__IDLE_TIMEOUT="400ms")
    async with connected(front.port) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(request("GET /"))
        async with asyncio.timeout(5):
            await upstream.ended.wait()


async def test_a_slow_upstream_holds_the_client_back(front: Standing, upstream: Upstream) -> None:
    sent = 0
    go_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        await go_on.wait()
        await reader.readexactly(MANY * len(PIECE))
        writer.write(OK)

    upstream.serve = serve
    async with connected(front.port) as client:
        client.send(request("POST /", f"Content-Length: {MANY * len(PIECE)}"))

        async def send() -> None:
            nonlocal sent
            for _ in range(MANY):
                client.send(PIECE)
                await client.writer.drain()
                sent += 1

        sending = asyncio.create_task(send())
        await _settles(lambda: sent)
        assert 0 < sent < MANY
        go_on.set()
        assert (await client.reply()).status == 200
        await sending


async def _settles(count: object) -> None:
    """Wait until a counter has moved and stands still."""
    last = -1
    async with asyncio.timeout(5):
        while (now := count()) != last or now == 0:  # type: ignore[operator]
            last = now
            await asyncio.sleep(0.1)


@pytest.mark.parametrize("when", ["before-the-head", "in-the-body", "in-the-request"])
async def test_a_client_that_leaves_ends_the_upstreams_work(front: Standing, upstream: Upstream, when: str) -> None:
    arrived = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        if when == "in-the-body":
            writer.write(b"HTTP/1.1 200 OK\r\n\r\nsome")
        arrived.set()
        await reader.read()

    upstream.serve = serve
    async with connected(front.port) as client, asyncio.timeout(5):
        client.send(
            request("GET /") if when != "in-the-request" else request("POST /", "Content-Length: 10", body=b"x")
        )
        await arrived.wait()
    async with asyncio.timeout(0.8):
        await upstream.ended.wait()
    await asyncio.sleep(0.05)
    assert not front.upstreams["app"].active
    assert front.metrics.in_flight == 0
    assert front.log[0]["status"] in {200, 499}


@pytest.mark.parametrize("token", ["ann-token", "bob-token"])
async def test_a_revocation_ends_a_stream_of_that_person_only(front: Standing, upstream: Upstream, token: str) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nsome")
        await reader.read()

    upstream.serve = serve
    async with connected(front.port) as client:
        client.send(request("GET /", token=token))
        assert (await client.head())[0] == 200
        assert len(front.live) == 1
        front.revoke("ann")
        if token == "ann-token":
            assert not (await client.ended()).endswith(b"0\r\n\r\n")
            assert len(front.live) == 0
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await client.reader.readuntil(b"0\r\n\r\n")


async def test_a_revocation_while_the_upstream_is_awaited_ends_what_follows(stand: Stand, upstream: Upstream) -> None:
    arrived, answer = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        arrived.set()
        await answer.wait()
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nsome")
        await reader.read()

    upstream.serve = serve
    front = await stand(ROUTES, response="5s", idle="5s")
    async with connected(front.port) as client, asyncio.timeout(5):
        client.send(request("GET /"))
        await arrived.wait()
        front.revoke("ann")
        answer.set()
        assert not (await client.ended()).endswith(b"0\r\n\r\n")
        await upstream.ended.wait()


async def test_an_upload_may_take_longer_than_the_answer_may(stand: Stand, upstream: Upstream) -> None:
    front = await stand(response="600ms")
    async with connected(front.port) as client:
        client.send(request("POST /", "Content-Length: 6"))
        for _ in range(6):
            await asyncio.sleep(0.25)
            client.send(b"x")
        assert (await client.reply()).status == 200


async def test_a_chunked_answer_to_http_1_0_ends_with_its_connection(front: Standing, upstream: Upstream) -> None:
    upstream.answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(upstream.answer)
        await asyncio.sleep(0.05)
        writer.write(b"0\r\n\r\n")

    upstream.serve = serve
    async with connected(front.port) as client:
        client.send(request("GET / HTTP/1.0"))
        reply = await client.reply()
        assert (reply.body, reply.one("connection"), reply.all("transfer-encoding")) == (b"ok", "close", [])
