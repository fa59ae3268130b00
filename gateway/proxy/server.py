"""The listening side: aiohttp's HTTP server with our limits, and our words for what it cannot parse."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any, Final

from aiohttp import HttpVersion11, http_parser, web
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.web_protocol import RequestHandler

from gateway.config.settings import Limits
from gateway.errors import StartupError
from gateway.problem import Problem, problem_response
from gateway.proxy.boundary import Boundary
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.trip import Trip
from gateway.refusal import HEADER_TOO_LARGE, INTERNAL, MALFORMED

_MAX_FIELDS: Final = 128
_LINGERING_SECONDS: Final = 5.0
_NO_HTTP: Final = re.compile(rb" (?:RTSP|ICE)/")
_log = logging.getLogger(__name__)

# Records a request that could not be read, and returns its id.
Malformed = Callable[[web.BaseRequest, Problem], str]


class ClientConnection(RequestHandler):
    """One client's connection. What never became a request is answered here."""

    __slots__ = ("_begun", "_block", "_boundary", "_lane", "_line", "_trip")

    def __init__(self, *args: Any, lane: FastLane | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._lane = lane
        self._line = b""  # a request line of which the end has not arrived
        self._trip: Trip | None = None  # a request on the fast lane
        # One that left it, until the plain path has taken it over.
        self._begun: tuple[RawRequestMessage, Trip] | None = None
        self._boundary = Boundary()
        self._block: tuple[RawRequestMessage, bytes] | None = None

    @property
    def peer_address(self) -> str | None:
        """The address at the connection's other end, None for a unix socket."""
        peer = self.peername
        return peer[0] if isinstance(peer, tuple) else None

    def data_received(self, data: bytes) -> None:
        if not data:
            super().data_received(data)  # aiohttp's own call, to go on with what its parser holds
            return
        if self._trip is not None:
            self._trip.hand_over()  # there is more before the answer: the plain path keeps the order
        elif self._lane is not None and self._boundary.here and self._is_idle() and not self._paused:
            self._trip = self._lane.enter(self, data)
            if self._trip is not None:
                return
        self._read(data)

    def _is_idle(self) -> bool:
        """Whether aiohttp has nothing to do but to wait for a request."""
        waiter = self._waiter
        waits = not waiter.done() if waiter is not None else self._request_count == 0
        return waits and not self._messages

    def _read(self, data: bytes) -> RawRequestMessage | None:
        """Have aiohttp read what has arrived; return what it reads when that is one request and nothing else."""
        messages, boundary = self._messages, self._boundary
        if not self._request_in_progress and not messages:
            data = self._checked_line(data)
        if not boundary.here:
            boundary.more(data)
            super().data_received(data)
            return None
        queued = len(messages)
        super().data_received(data)
        message = messages[-1][0] if len(messages) == queued + 1 else None
        if not isinstance(message, RawRequestMessage):
            boundary.lose()
            return None
        block = boundary.begin(data, message)
        if block:
            self._block = (message, block)
        return message

    def take_block(self, message: RawRequestMessage) -> bytes:
        """Return, once, the block of fields that ``message`` was read from; empty when that is not known."""
        known, self._block = self._block, None
        return known[1] if known is not None and known[0] is message else b""

    def take_begun(self, message: RawRequestMessage) -> Trip | None:
        """Return, once, the trip that ``message`` began with."""
        begun = self._begun
        if begun is None or begun[0] is not message:
            return None
        self._begun = None
        return begun[1]

    def answered(self, data: bytes, client_seconds: float) -> None:
        self._trip = None
        if self.transport is None:
            return
        self.transport.write(data)
        loop = self._loop
        self._next_keepalive_close_time = loop.time() + self._keepalive_timeout
        if self._paused:
            loop.call_later(client_seconds, self._cut_unless_taken)

    def _cut_unless_taken(self) -> None:
        # Who is idle and still has not taken an answer will not take it.
        if self._paused and self._is_idle() and self.transport is not None:
            self.transport.abort()

    def go_plain(self, trip: Trip, data: bytes) -> None:
        self._trip = None
        message = self._read(data)
        if message is None:
            trip.abandon()  # the connection is being closed
        else:
            self._begun = (message, trip)

    def close(self) -> None:
        if self._trip is not None:
            self._trip.hand_over()  # aiohttp lets what it knows of end
        super().close()

    def connection_lost(self, exc: BaseException | None) -> None:
        if self._trip is not None:
            self._trip.abandon()
        if self._begun is not None:
            self._begun[1].abandon()
        self._trip = self._begun = None
        super().connection_lost(exc)

    def _process_keepalive(self) -> None:
        if self._trip is None:
            super()._process_keepalive()
        else:
            self._keepalive_handle = self._loop.call_later(self._keepalive_timeout, self._process_keepalive)

    def _checked_line(self, data: bytes) -> bytes:
        """Spoil a request line of another protocol: llhttp takes RTSP and ICE, and does not tell."""
        end = data.find(b"\n")
        if end < 0:
            self._line = (self._line + data)[: self.max_line_size]
            line = self._line
        elif self._line:
            line, self._line = self._line + data[:end], b""
        else:
            line = data[:end]
        return b"\0" if _NO_HTTP.search(line) else data

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes what the client sent
    ) -> web.StreamResponse:
        manager = self._manager
        if exc is not None and status >= 500 and not isinstance(exc, ConnectionError):  # noqa: PLR2004
            _log.error("a request failed", exc_info=exc)
        problem = INTERNAL if status >= 500 else _problem(exc)  # noqa: PLR2004
        request_id = ""
        if problem is not INTERNAL and isinstance(manager, GatewayServer):  # what reached the front was recorded there
            request_id = manager.malformed(request, problem)
        request._version = HttpVersion11  # noqa: SLF001 - what could not be read is taken for 1.0, or answered in kind
        response = problem_response(problem, request_id)
        response.headers["Server"] = "gateway"
        response.force_close()
        return response


class GatewayServer(web.Server):
    """Makes a connection object for each client."""

    def __init__(
        self,
        handler: Any,
        *,
        request_factory: Any,
        limits: Limits,
        malformed: Malformed,
        lane: FastLane | None = None,
    ) -> None:
        """Without ``lane`` every request takes the plain path."""
        super().__init__(handler, request_factory=request_factory, handler_cancellation=True)
        self._lane = lane
        self.malformed = malformed
        self._limits = limits

    def __call__(self) -> ClientConnection:
        return ClientConnection(
            self,
            lane=self._lane,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._limits.idle_timeout.total_seconds(),
            access_log=None,
            max_line_size=self._limits.header_bytes,
            max_field_size=self._limits.header_bytes,
            max_headers=_MAX_FIELDS,
            lingering_time=_LINGERING_SECONDS,
            # Bodies pass as they are: unpacking them would cost us what a bomb costs.
            auto_decompress=False,
        )


def _problem(error: BaseException | None) -> Problem:
    if isinstance(error, LineTooLong) or "Too many" in str(error):
        return HEADER_TOO_LARGE
    if isinstance(error, BadHttpMethod):
        return Problem(400, "bad_method", "The request's method cannot be read.")
    return MALFORMED


def require_c_extensions() -> None:
    """Raise StartupError when aiohttp would parse in Python: slower by far, and less strict."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise StartupError(
            "aiohttp is installed without its C extensions: reinstall it from a wheel "
            "(pip install --force-reinstall aiohttp), and unset AIOHTTP_NO_EXTENSIONS",
        )
