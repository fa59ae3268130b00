"""One connection to an upstream server: an asyncio protocol on httptools (llhttp), strict about what comes back.

It carries one exchange at a time. A response that is not strict HTTP/1.1 fails the exchange and ends the connection;
nothing of it can reach another client.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

import httptools

from gateway.errors import UpstreamError, UpstreamInvalid, UpstreamTimeout, UpstreamUnreachable
from gateway.proxy.incoming import NEVER, IncomingResponse
from gateway.proxy.response_head import (
    MAX_HEAD_BYTES,
    SWITCHING,
    is_framed,
    starts_as_http,
)
from gateway.proxy.times import Times
from gateway.proxy.whole_response import read_whole

# Above this, reading from the upstream stops until the client has taken some.
_BUFFER_BYTES: Final = 64 * 1024
# The reason of what we ended ourselves.
CLOSED: Final = "closed"


class Traveller(Protocol):
    """Who waits for an answer without a future."""

    def arrived(self) -> None:
        """Look at what has arrived."""


class UpstreamConnection(IncomingResponse, asyncio.Protocol):
    """Await ``start``, ``check``, then take the body with ``read``."""

    def __init__(self, loop: asyncio.AbstractEventLoop, authority: bytes, address: str = "") -> None:
        """``authority`` is its server's Host field, ``address`` where it leads."""
        self._loop = loop
        self.authority = authority
        self.address = address
        self.transport: asyncio.Transport | None = None
        self.reused = False
        # Set when it leads to where its server is not any more: this exchange is its last.
        self.retiring = False
        self.last_used = 0.0
        self.idle_seconds = 90.0
        self.response_seconds = 60.0
        self._error: UpstreamError | None = None
        self._drain_waiter: asyncio.Future[None] | None = None
        self._writing_paused = False
        # Told in place of a future, when something has arrived or never will.
        self.traveller: Traveller | None = None
        self._reset()

    def _reset(self) -> None:
        self._reset_response()
        self._expecting = False
        self._head_waiter: asyncio.Future[None] | None = None
        self._read_waiter: asyncio.Future[None] | None = None
        self._reading_paused = False
        self._prefix: bytes | None = b""
        self._head_bytes = 0
        self.switched = False
        self.tail = b""

    # What the handler calls.

    def start(self, data: bytes, times: Times, *, head_request: bool, upgrade: bool) -> asyncio.Future[None]:
        """Send a request's head, with as much of its body as ``data`` holds.

        The future is done when the response's head has arrived, or never will: ``check`` tells.
        """
        self._begin(data, times, head_request=head_request, upgrade=upgrade)
        return self.answered()

    def send(self, data: bytes, times: Times, *, head_request: bool, traveller: Traveller) -> None:
        """Send a request without a body, and tell ``traveller`` once when something has arrived, or never will."""
        self.traveller = traveller
        self._begin(data, times, head_request=head_request, upgrade=False)

    def answered(self) -> asyncio.Future[None]:
        """Return a future that is done when the response's head has arrived, or never will."""
        waiter = self._loop.create_future()
        if self.status or self._error is not None or self.transport is None:
            waiter.set_result(None)
        else:
            self._head_waiter = waiter
        return waiter

    def _begin(self, data: bytes, times: Times, *, head_request: bool, upgrade: bool) -> None:
        if self.status:
            self._reset()
        self._expecting = True
        self._is_head_request = head_request
        self._wants_upgrade = upgrade
        self.response_seconds = times.response_seconds
        self.idle_seconds = times.idle_seconds
        self.deadline = self._loop.time() + times.response_seconds
        if self.transport is not None:
            self.transport.write(data)

    def check(self) -> None:
        """Raise UpstreamError unless a response's head has arrived and the exchange is whole so far."""
        if self._error is not None and not self.complete:
            raise self._error
        if self.transport is None and not self.complete:
            raise UpstreamUnreachable(CLOSED)

    async def read(self) -> bytes:
        """Return some of the body, empty at its end. Raises UpstreamError when it ends too early."""
        while not self._chunks:
            if self.complete:
                return b""
            self.check()
            # Not before more is wanted: a client that takes nothing would be bought another buffer of it.
            if self._reading_paused and self.transport is not None:
                self._reading_paused = False
                self.deadline = self._loop.time() + self.idle_seconds
                self.transport.resume_reading()
            self._read_waiter = self._loop.create_future()
            await self._read_waiter
        return self.take()

    async def write(self, data: bytes) -> None:
        """Send more of the request's body, at the pace that the upstream takes it. Raises UpstreamError."""
        self.check()
        if self.transport is not None:
            self.transport.write(data)
        if self._writing_paused:
            self._drain_waiter = self._loop.create_future()
            await self._drain_waiter
            self.check()

    def postpone(self) -> None:
        """Give the upstream its time anew, because the request is still being sent."""
        if self.deadline != NEVER:
            self.deadline = self._loop.time() + (self.idle_seconds if self.status else self.response_seconds)

    def fail(self, error: UpstreamError) -> None:
        """End the connection and the exchange on it."""
        if self._error is None:
            self._error = error
        self.deadline = NEVER
        if self.transport is not None:
            self.transport.abort()
        self._wake()

    def close(self) -> None:
        self.fail(UpstreamUnreachable(CLOSED))

    def rest(self) -> None:
        """Wait for the next exchange: until then the upstream has nothing to say."""
        self._parser = None
        self._expecting = False
        self.reused = True
        self.last_used = self._loop.time()

    @property
    def usable(self) -> bool:
        """Whether another exchange may be started on it."""
        return self._error is None and self.transport is not None and not self.transport.is_closing()

    @property
    def reusable(self) -> bool:
        """Whether the exchange on it has ended cleanly."""
        return self.complete and self.keep_alive and not self.retiring and not self._reading_paused and self.usable

    @property
    def at_fault(self) -> bool:
        """Whether the exchange failed by the server's doing; a kept connection that it had closed is none of it."""
        error = self._error
        if error is None or self.complete or error.reason == CLOSED:
            return False
        return not (self.reused and self.died_unanswered)

    @property
    def died_unanswered(self) -> bool:
        """Whether it broke before the first byte of a response: an idle connection that the upstream had closed."""
        return isinstance(self._error, UpstreamUnreachable) and self.received_bytes == 0

    def hand_over(self) -> tuple[asyncio.Transport, bytes]:
        """Give away the transport of a connection that was switched, and the bytes behind the 101."""
        transport = self.transport
        if transport is None:
            raise UpstreamUnreachable(CLOSED)
        self.deadline = NEVER
        return transport, self.tail

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self._expecting:
            self.fail(UpstreamInvalid("unexpected_bytes"))  # an idle connection has nothing to say
            return
        if self.traveller is not None and not self.received_bytes and not self._is_head_request:
            whole = read_whole(data)
            if whole is not None:
                self.received_bytes = len(data)
                self.take_whole(whole)
                self._wake()
                return
        self.received_bytes += len(data)
        if self._prefix is not None and not (data := self._sniffed(data)):
            return
        if self.status == 0:
            self._head_bytes += len(data)
        else:
            self.bare_bytes += len(data)
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpResponseParser(self)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._switched(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            ours = error.__context__  # what a callback of ours raised inside the parser
            self._invalid(ours.reason if isinstance(ours, UpstreamInvalid) else "malformed_response")
        else:
            self._after_data()

    def _after_data(self) -> None:
        if self.status == 0:
            if self._head_bytes > MAX_HEAD_BYTES:
                self._invalid("response_head_too_large")
            return
        if not self.complete:
            if self.bare_bytes > MAX_HEAD_BYTES:
                self._invalid("framing_too_large")  # a trailer or a chunk's extension that does not end
                return
            if self.buffered > _BUFFER_BYTES and not self._reading_paused and self.transport is not None:
                self._reading_paused = True
                self.transport.pause_reading()
                self.deadline = NEVER  # it is the client that keeps us waiting
            else:
                self.deadline = self._loop.time() + self.idle_seconds
        self._wake()

    def _sniffed(self, data: bytes) -> bytes:
        """Return data once it is sure that it starts as a response does."""
        data = (self._prefix or b"") + data
        starts = starts_as_http(data)
        self._prefix = data if starts is None else None
        if starts is False:
            self._invalid("malformed_response")
        return data if starts else b""

    def eof_received(self) -> bool:
        if self.status and not self.complete and not is_framed(self.headers):
            self._finish()
            self.keep_alive = False
            self._wake()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if self._error is None and not self.complete:
            self._error = UpstreamUnreachable("connection_lost" if self.status == 0 else "response_cut_short")
            self._error.__cause__ = exc
        elif self._error is None:
            self._error = UpstreamUnreachable(CLOSED)
        self._writing_paused = False
        self._wake()

    def pause_writing(self) -> None:
        self._writing_paused = True

    def resume_writing(self) -> None:
        self._writing_paused = False
        self._wake_one("_drain_waiter")

    # The rest.

    def _switched(self, tail: bytes) -> None:
        if self.status != SWITCHING or not self._wants_upgrade:
            self._invalid("unasked_upgrade")
            return
        self.tail = tail
        self.switched = True
        if self.transport is not None:
            self.transport.pause_reading()
        self._wake()

    def _invalid(self, reason: str) -> None:
        if self.complete:
            # The exchange has its answer; what follows it makes the connection useless.
            self.keep_alive = False
            if self.transport is not None:
                self.transport.abort()
            self._wake()
            return
        self.fail(UpstreamInvalid(reason))

    def _wake(self) -> None:
        traveller = self.traveller
        if traveller is not None:
            self.traveller = None
            traveller.arrived()
            return
        waiter = self._head_waiter
        if waiter is not None:
            self._head_waiter = None
            if not waiter.done():
                waiter.set_result(None)
        if self._read_waiter is not None:
            self._wake_one("_read_waiter")
        if self._drain_waiter is not None and not self._writing_paused:
            self._wake_one("_drain_waiter")

    def _wake_one(self, name: str) -> None:
        waiter: asyncio.Future[None] | None = getattr(self, name)
        if waiter is not None:
            setattr(self, name, None)
            if not waiter.done():
                waiter.set_result(None)


def timed_out(connection: UpstreamConnection) -> UpstreamError:
    """Return why a connection that passed its deadline fails."""
    return UpstreamTimeout("response_timeout" if connection.status == 0 else "idle_timeout")
