"""One request to an upstream and its answer back: sent, awaited, and passed on without being gathered in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, web

from gateway.errors import UpstreamError
from gateway.identity.live import LiveConnections
from gateway.proxy.body import RequestBody
from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.journey import Grant
from gateway.proxy.reply import SentReply
from gateway.proxy.reply_head import add_length, head_bytes
from gateway.proxy.tunnel import switch

# RFC 9110 section 9.2.2
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})


class Exchange:
    """Carries one request. An answer that turns out to be long-lived ends when its credential is revoked."""

    __slots__ = (
        "_body",
        "_client",
        "_connection",
        "_grant",
        "_live",
        "_pool",
        "_pumping",
        "_request",
        "_request_id",
        "sent_status",
        "switched",
    )

    def __init__(
        self,
        request: web.BaseRequest,
        grant: Grant,
        request_id: bytes,
        body: RequestBody | None,
        live: LiveConnections,
        client: str,
        begun: UpstreamConnection | None = None,
    ) -> None:
        """``client`` is an address; ``begun`` is a connection on which the request was sent already."""
        self._request = request
        self._grant = grant
        self._pool = grant.pool
        self._request_id = request_id
        self._body = body
        self._live = live
        self._client = client
        self._connection = begun
        self._pumping: asyncio.Task[None] | None = None
        self.sent_status = 0
        self.switched = False

    async def run(self) -> SentReply:
        """Carry the request out.

        Raises UpstreamError or what is wrong with the request's body while nothing has gone to the client; after
        that the client's connection is cut, so that it can tell a truncated answer from a whole one.
        """
        try:
            connection = await self._send()
            if connection.status == HTTPStatus.SWITCHING_PROTOCOLS:
                self.switched = True
                self.sent_status = connection.status
                grant = self._grant
                return await switch(
                    self._request, connection, self._pool, grant.reply, self._watch, grant.times.tunnel_seconds
                )
            lines, chunked, keep_alive = self._head_lines(connection)
            if connection.complete:
                return await self._send_whole(connection.status, lines, connection.take(), keep_alive=keep_alive)
            return await self._stream(connection, lines, chunked=chunked, keep_alive=keep_alive)
        finally:
            # Released before anything is awaited: a second cancellation must not leave the connection behind.
            if self._pumping is not None:
                self._end_pump(self._pumping)
            self._release()
            if self._pumping is not None:
                await asyncio.gather(self._pumping, return_exceptions=True)

    async def _send(self) -> UpstreamConnection:
        """Return a connection on which the request was sent and the response's head has arrived."""
        method, pool, grant, body = self._request.method, self._pool, self._grant, self._body
        begun, fresh = self._connection, grant.upgrade
        while True:
            if begun is not None:
                connection, answered = begun, begun.answered()
            else:
                taken = None if fresh else pool.take(self._client)
                connection = self._connection = taken or await pool.acquire(self._client, fresh=fresh)
                head = grant.head.of(connection.authority, self._request_id)
                answered = connection.start(head, grant.times, head_request=method == "HEAD", upgrade=grant.upgrade)
            try:
                if body is not None:
                    self._pumping = asyncio.create_task(body.pump(connection))
                    await self._answered_or_pumped(answered, self._pumping)
                else:
                    await answered
                connection.check()
            except UpstreamError:
                # Only what may be repeated, and only where the upstream cannot have seen it (RFC 9110 section 9.2.2).
                repeatable = method in _IDEMPOTENT and body is None
                if not (repeatable and connection.reused and connection.died_unanswered):
                    raise
                self._release()
                begun, fresh = None, True
            else:
                return connection

    @staticmethod
    async def _answered_or_pumped(answered: asyncio.Future[None], pump: asyncio.Task[None]) -> None:
        """Wait for the response's head while the body is sent; the answer may come before the body's end."""
        await asyncio.wait({answered, pump}, return_when=asyncio.FIRST_COMPLETED)
        if pump.done() and not answered.done() and (error := pump.exception()) is not None:
            if not isinstance(error, UpstreamError):
                raise error
            # The upstream stopped reading; it may have answered why before that.
            await asyncio.wait({answered}, timeout=1)
        await answered

    def _head_lines(self, connection: UpstreamConnection) -> tuple[list[bytes], bool, bool]:
        """Return the response's fields, framed anew; whether its body is chunked; whether the client is kept."""
        request = self._request
        lines, length = self._grant.reply.filtered(connection.headers)
        keep_alive = bool(request.keep_alive) and (self._pumping is None or self._pumping.done())
        whole_bytes = connection.buffered if connection.complete else None
        endless = add_length(
            lines, connection.status, length, head_request=request.method == "HEAD", whole_bytes=whole_bytes
        )
        chunked = endless and request.version >= HttpVersion11
        if chunked:
            lines.append(b"Transfer-Encoding: chunked\r\n")
        keep_alive = keep_alive and chunked == endless
        if not keep_alive:
            lines.append(b"Connection: close\r\n")
        elif request.version < HttpVersion11:
            lines.append(b"Connection: keep-alive\r\n")
        return lines, chunked, keep_alive

    async def _send_whole(self, status: int, lines: list[bytes], body: bytes, *, keep_alive: bool) -> SentReply:
        """Write head and body in one piece.

        Waits where the client takes nothing: it may have sent a thousand more requests, whose answers would pile up.
        """
        transport = self._request.transport
        if transport is not None:
            transport.write(head_bytes(status, lines, self._request_id) + body)
            if self._request.protocol.writing_paused:
                self.sent_status = status
                try:
                    await self._taken()
                except TimeoutError:
                    self._cut()
                    keep_alive = False
        return SentReply(status, keep_alive=keep_alive, body_bytes=len(body))

    async def _stream(
        self, connection: UpstreamConnection, lines: list[bytes], *, chunked: bool, keep_alive: bool
    ) -> SentReply:
        """Write the head, then the body as it comes, no faster than the client takes it."""
        unregister = self._watch()
        pending = head_bytes(connection.status, lines, self._request_id)
        self.sent_status = connection.status
        sent = 0
        try:
            while True:
                if pending:
                    self._write(pending)
                    await self._taken()
                chunk = await connection.read()
                if not chunk:
                    break
                sent += len(chunk)
                pending = b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunked else chunk
        except (UpstreamError, TimeoutError):
            # The status is out already: only a cut connection can tell the client that this is not all.
            self._cut()
            return SentReply(connection.status, keep_alive=False, body_bytes=sent)
        finally:
            unregister()
        if chunked:
            self._write(b"0\r\n\r\n")
        return SentReply(connection.status, keep_alive=keep_alive, body_bytes=sent)

    async def _taken(self) -> None:
        """Wait until the client has taken most of what was written. Raises TimeoutError when it takes nothing."""
        if self._request.protocol.writing_paused:
            async with asyncio.timeout(self._grant.times.client_seconds):
                await self._request.writer.drain()

    def _watch(self) -> Callable[[], None]:
        """Register the answer with the revocations that must end it; returns what undoes that."""
        verified = self._grant.verified
        if verified is None:
            return _nothing
        return self._live.register(verified, self._cut)

    def _write(self, data: bytes) -> None:
        transport = self._request.transport
        if transport is None:
            raise ConnectionResetError("the client has gone")
        transport.write(data)

    def _cut(self) -> None:
        if self._request.transport is not None:
            self._request.transport.abort()

    def _end_pump(self, pump: asyncio.Task[None]) -> None:
        """End the pump. A connection whose request was not sent whole cannot carry another."""
        whole = pump.done() and not pump.cancelled() and pump.exception() is None
        if not whole and self._connection is not None:
            self._connection.keep_alive = False
        pump.cancel()

    def _release(self) -> None:
        if self._connection is not None:
            self._pool.release(self._connection)
            self._connection = None


def _nothing() -> None:
    """Undo nothing: an answer without a credential cannot lose it."""
