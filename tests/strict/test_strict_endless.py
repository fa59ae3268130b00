"""Upstreams that never stop: cut off after a bounded number of bytes, and of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.proxy.proxying import Standing, Upstream, connected, request

H = b"HTTP/1.1 200 OK\r\n"
CHUNKED = H + b"Transfer-Encoding: chunked\r\n\r\n"
# What the sockets' buffers take, and a little.
BOUND = 16 << 20
HUNDRED_MEGABYTES = 100 << 20
ENDLESS = {
    "fields": (H, b"X-A: b\r\n" * 8192, True),
    "value": (H + b"X-A: ", b"x" * 65536, True),
    "name": (H, b"x" * 65536, True),
    "reason": (b"HTTP/1.1 200 ", b"x" * 65536, True),
    "interim": (b"", b"HTTP/1.1 103 Hints\r\n\r\n" * 4096, True),
    "interim-value": (b"HTTP/1.1 103 Hints\r\nLink: ", b"x" * 65536, True),
    "chunk-extension": (CHUNKED + b"2;", b"x" * 65536, False),
    "chunk-size": (CHUNKED, b"0" * 65536, False),
    "trailer-value": (CHUNKED + b"2\r\nok\r\n0\r\nX-A: ", b"x" * 65536, False),
    "trailers": (CHUNKED + b"2\r\nok\r\n0\r\n", b"X-A: b\r\n" * 8192, False),
    "after-the-answer": (H + b"Content-Length: 2\r\n\r\nok", b"poison" * 8192, None),
}


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    running = Upstream()
    await running.start()
    yield running
    await running.stop()


@pytest.mark.parametrize(("start", "piece", "refused"), ENDLESS.values(), ids=ENDLESS)
async def test_what_has_no_end_is_cut_off_soon(
    stand_before: Callable[..., Awaitable[Standing]],
    upstream: Upstream,
    start: bytes,
    piece: bytes,
    refused: bool | None,
) -> None:
    written = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await upstream.receive(reader)
        writer.write(start)
        while written < HUNDRED_MEGABYTES:
            writer.write(piece)
            await writer.drain()
            written += len(piece)

    upstream.serve = serve
    front = await stand_before(upstream.url)
    before = time.process_time()
    async with connected(front.port) as client:
        client.send(request("GET /"))
        if refused is False:
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await client.reply()
        else:
            reply = await client.reply()
            assert reply.status == (502 if refused else 200)
            assert b"poison" not in reply.body
    async with asyncio.timeout(5):
        await upstream.ended.wait()
    assert written < BOUND
    assert time.process_time() - before < 2  # a hundred megabytes through a quadratic reader take minutes


async def test_a_million_tiny_chunks_cost_what_their_bytes_cost(
    stand_before: Callable[..., Awaitable[Standing]], upstream: Upstream
) -> None:
    number = 200_000
    upstream.answer = CHUNKED + b"1\r\nx\r\n" * number + b"0\r\n\r\n"
    front = await stand_before(upstream.url)
    before = time.process_time()
    async with connected(front.port) as client:
        client.send(request("GET /"))
        assert (await client.reply()).body == b"x" * number
        assert time.process_time() - before < 10
        client.send(request("POST /", "Transfer-Encoding: chunked", body=b"1\r\nx\r\n" * number + b"0\r\n\r\n"))
        upstream.answer = H + b"Content-Length: 2\r\n\r\nok"
        assert (await client.reply()).status == 200
        assert time.process_time() - before < 20
