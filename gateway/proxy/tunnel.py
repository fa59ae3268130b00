"""WebSockets: after a validated 101 the two connections are joined as raw bytes (RFC 6455 section 4)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from typing import Final

from aiohttp import web

from gateway.errors import UpstreamInvalid
from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.reply import SentReply
from gateway.proxy.route_reply import RouteReply
from gateway.proxy.upstream.pool import UpstreamPool

_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_SWITCHING: Final = 101
_LINGERING_SECONDS: Final = 5.0


class _ToUpstream:
    """What aiohttp feeds with the client's bytes once the connection is upgraded."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self._tunnel.from_client(data)
        return False, b""

    def feed_eof(self) -> None:
        self._tunnel.close()


class _FromUpstream(asyncio.Protocol):
    """What the upstream's transport speaks to after the switch."""

    def __init__(self, tunnel: Tunnel) -> None:
        self._tunnel = tunnel

    def data_received(self, data: bytes) -> None:
        self._tunnel.from_upstream(data)

    def pause_writing(self) -> None:
        self._tunnel.hold_client()

    def resume_writing(self) -> None:
        self._tunnel.release_client()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - either end closes both
        self._tunnel.close()


class Tunnel:
    """Two transports, each read only as fast as the other takes it.

    ``idle_seconds`` is how long both may be silent.
    """

    def __init__(self, request: web.BaseRequest, upstream: asyncio.Transport, idle_seconds: float) -> None:
        self._loop = asyncio.get_running_loop()
        self._request = request
        self._client = request.transport
        self._upstream = upstream
        self._idle_seconds = idle_seconds
        self._moved = self._loop.time()
        self._timer: asyncio.TimerHandle | None = None
        self._closed = self._loop.create_future()
        self._pacer: asyncio.Task[None] | None = None
        self.received_bytes = 0
        self.sent_bytes = 0

    async def run(self, tail: bytes) -> None:
        """Carry bytes both ways until either side ends, or both have been silent for too long."""
        self._upstream.set_protocol(_FromUpstream(self))
        self._look()
        if tail:
            self.from_upstream(tail)
        self._request.protocol.set_parser(_ToUpstream(self))  # type: ignore[arg-type]
        self._upstream.resume_reading()
        try:
            await self._closed
        finally:
            if self._timer is not None:
                self._timer.cancel()
            if self._pacer is not None:
                self._pacer.cancel()
            self._end(self._upstream)
            if self._client is not None:
                self._end(self._client)

    def _end(self, transport: asyncio.Transport) -> None:
        """Close a transport. What its end does not take within a few seconds is not waited for."""
        transport.close()
        if transport.get_write_buffer_size():
            self._loop.call_later(_LINGERING_SECONDS, transport.abort)

    def _look(self) -> None:
        # One timer, set anew when it rings: cheaper than one for each packet.
        left = self._moved + self._idle_seconds - self._loop.time()
        if left <= 0:
            self.close()
        else:
            self._timer = self._loop.call_later(left, self._look)

    def from_client(self, data: bytes) -> None:
        self._moved = self._loop.time()
        self.received_bytes += len(data)
        if not self._upstream.is_closing():
            self._upstream.write(data)

    def from_upstream(self, data: bytes) -> None:
        self._moved = self._loop.time()
        self.sent_bytes += len(data)
        if self._client is None or self._client.is_closing():
            self.close()
            return
        self._client.write(data)
        if self._request.protocol.writing_paused and self._pacer is None:
            self._upstream.pause_reading()
            self._pacer = asyncio.create_task(self._resume_upstream())

    async def _resume_upstream(self) -> None:
        """Read from the upstream again once the client has taken what was written."""
        try:
            await self._request.writer.drain()
        except ConnectionError:
            self.close()
            return
        self._pacer = None
        if not self._upstream.is_closing():
            self._upstream.resume_reading()

    def hold_client(self) -> None:
        if self._client is not None and not self._client.is_closing():
            self._client.pause_reading()

    def release_client(self) -> None:
        if self._client is not None and not self._client.is_closing():
            self._client.resume_reading()

    def close(self) -> None:
        if not self._closed.done():
            self._closed.set_result(None)


async def switch(
    request: web.BaseRequest,
    connection: UpstreamConnection,
    pool: UpstreamPool,
    reply: RouteReply,
    watch: Callable[[], Callable[[], None]],
    idle_seconds: float,
) -> SentReply:
    """Answer 101 and join the connections until either ends, or both are silent for ``idle_seconds``.

    ``watch`` registers the tunnel with what must end it, and returns what undoes that. Raises UpstreamInvalid
    when the 101 is not the answer to this handshake.
    """
    _check_handshake(request, connection)
    lines, _ = reply.filtered(connection.headers)
    head = b"".join(
        [b"HTTP/1.1 101 Switching Protocols\r\n", *lines, b"Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"]
    )
    transport, tail = connection.hand_over()
    pool.forget(connection)
    if request.transport is None:
        transport.abort()
        raise ConnectionResetError("the client has gone")
    request.transport.write(head)
    tunnel = Tunnel(request, transport, idle_seconds)
    unregister = watch()
    try:
        await tunnel.run(tail)
    finally:
        unregister()
    return SentReply(_SWITCHING, keep_alive=False, body_bytes=tunnel.sent_bytes)


def _check_handshake(request: web.BaseRequest, connection: UpstreamConnection) -> None:
    """RFC 6455 section 4.2.2: a 101 that does not answer our key may be any protocol."""
    key = request.headers.get("Sec-WebSocket-Key", "").strip().encode()
    expected = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
    accepts = [value for name, value in connection.headers if name.lower() == b"sec-websocket-accept"]
    upgrades = [value.strip(b" \t").lower() for name, value in connection.headers if name.lower() == b"upgrade"]
    if not connection.switched or accepts != [expected] or upgrades != [b"websocket"]:
        raise UpstreamInvalid("bad_handshake")
