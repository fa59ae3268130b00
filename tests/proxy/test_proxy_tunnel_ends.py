"""When a WebSocket ends: silence, the end of its credential, and an end that takes nothing."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from tests.proxy.conftest import Stand
from tests.proxy.proxying import Standing, Upstream, connected, request
from tests.proxy.test_proxy_tunnels import SWITCH, echoing, opened

ROUTE = """
upstreams: {app: {servers: ["URL"], timeouts: {websocket: 30s}}}
routes:
  - {match: {host: app.test, path: /socket}, upstream: app, timeouts: {websocket: 300ms}}
  - {match: {host: app.test}, upstream: app}
"""


async def test_a_silent_socket_is_closed(stand: Stand, upstream: Upstream) -> None:
    upstream.serve = echoing(upstream)
    front = await stand(ROUTE)
    async with connected(front.port) as client:
        await opened(client)
        assert await client.ended() == b""
    async with asyncio.timeout(5):
        await upstream.ended.wait()


@pytest.mark.parametrize("speaker", ["client", "upstream"])
async def test_a_socket_on_which_one_side_speaks_stays(stand: Stand, upstream: Upstream, speaker: str) -> None:
    heard = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(SWITCH.encode() + b"\r\n\r\n")
        if speaker == "client":
            await reader.readexactly(8)
            heard.set()
        for _ in range(8 if speaker == "upstream" else 0):
            await asyncio.sleep(0.1)
            writer.write(b"x")
        await reader.read()

    upstream.serve = serve
    front = await stand(ROUTE)
    async with connected(front.port) as client, asyncio.timeout(10):
        await opened(client)
        if speaker == "upstream":
            assert await client.reader.readexactly(8) == b"x" * 8
            return
        for _ in range(8):
            client.send(b"x")
            await asyncio.sleep(0.1)
        await heard.wait()


async def test_a_socket_ends_with_its_credential(front: Standing, upstream: Upstream) -> None:
    upstream.serve = echoing(upstream)
    front.people.ends_in = 0.3
    async with connected(front.port) as client:
        await opened(client)
        assert await client.ended() == b""
    async with asyncio.timeout(5):
        await upstream.ended.wait()
    assert len(front.live) == 0


async def test_a_stream_ends_with_its_credential_and_looks_cut(front: Standing, upstream: Upstream) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while not reader.at_eof():
            writer.write(b"data: x\n\n")
            await writer.drain()
            await asyncio.sleep(0.05)

    upstream.serve = serve
    front.people.ends_in = 0.3
    async with connected(front.port) as client:
        client.send(request("GET /events"))
        status, _ = await client.head()
        rest = await client.ended()
    assert status == 200
    assert b"data: x" in rest
    assert not rest.endswith(b"0\r\n\r\n")
    async with asyncio.timeout(5):
        await upstream.ended.wait()


async def test_a_socket_ends_though_its_upstream_takes_nothing(
    stand: Stand, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.proxy.tunnel._LINGERING_SECONDS", 0.2)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(SWITCH.encode() + b"\r\n\r\n")
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.Event().wait()

    upstream.serve = serve
    front = await stand()
    process = psutil.Process()
    before = process.num_fds()
    async with connected(front.port) as client:
        await opened(client)
        for _ in range(300):
            client.send(b"x" * 65536)
        await asyncio.sleep(0.3)
        front.revoke("ann")
        assert await client.ended() == b""
    async with asyncio.timeout(5):
        while process.num_fds() > before + 1:  # the one is the upstream's own
            await asyncio.sleep(0.05)
