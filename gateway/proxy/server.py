"""The listening side: aiohttp's HTTP server with our limits, and our words for what it cannot parse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from aiohttp.http_writer import StreamWriter
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import ERROR, RequestHandler, RequestPayloadError

from gateway.config.server import Limits
from gateway.identity.certificate import ClientCertificate
from gateway.listening.hall import Arrival
from gateway.listening.pace import Phase, Seen, Verdict, Watch
from gateway.problem import Problem, problem_bytes, problem_response
from gateway.proxy.boundary import Boundary
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.parsed import Parsed
from gateway.proxy.trip import Trip
from gateway.refusal import BODY_TOO_SLOW, HEADER_TOO_LARGE, HEADER_TOO_SLOW, INTERNAL, MALFORMED, Refused

_MAX_FIELDS: Final = 128
_LINGERING_SECONDS: Final = 5.0
_CRUMB_BYTES: Final = 256
# The patrol ends what is idle; aiohttp's own timer, one for each connection, shall never have to.
_NEVER_SECONDS: Final = 10.0 * 365 * 86_400
_log = logging.getLogger(__name__)

# Records a request that could not be read, and returns its id.
Malformed = Callable[[web.BaseRequest, Problem], str]


class ClientConnection(RequestHandler):
    """One client's connection. What never became a request is answered here."""

    __slots__ = (
        "_arrival",
        "_begun",
        "_block",
        "_boundary",
        "_certificate",
        "_head_bytes",
        "_lane",
        "_parsed",
        "_put_off_reading",
        "_received",
        "_taken",
        "_trip",
        "_wire",
        "watch",
    )

    def __init__(self, *args: Any, arrival: Arrival, lane: FastLane | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._arrival = arrival
        self._cache["peername"] = (arrival.peer, 0) if arrival.peer is not None else None  # whom `peername` names
        self._wire: asyncio.Transport | None = None  # aiohttp forgets its own before it is closed
        self._certificate: ClientCertificate | None = None
        self._put_off_reading = False
        self._received = 0
        self._head_bytes = 0  # of a head that has not arrived whole
        self._taken = 0
        self.watch = Watch(self._loop.time())
        self._lane = lane
        self._parsed = Parsed(self.max_line_size)
        self._trip: Trip | None = None  # a request on the fast lane
        # One that left it, until the plain path has taken it over.
        self._begun: tuple[RawRequestMessage, Trip] | None = None
        self._boundary = Boundary()
        self._block: tuple[RawRequestMessage, bytes] | None = None

    @property
    def peer_address(self) -> str | None:
        """The address at the connection's other end, None for a unix socket."""
        return self._arrival.peer

    @property
    def certificate(self) -> ClientCertificate | None:
        """What the client presented and TLS verified; read when a route first asks for it."""
        if self._certificate is None and self._wire is not None:
            tls = self._wire.get_extra_info("ssl_object")
            der = tls.getpeercert(binary_form=True) if tls is not None else None
            self._certificate = ClientCertificate.of(der) if der else None
        return self._certificate

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._wire = self.transport
        if isinstance(self._manager, GatewayServer):
            self._manager.open.add(self)

    def seen(self) -> Seen:
        unsent = self._wire is not None and self._wire.get_write_buffer_size() > 0
        return Seen(self._phase(), self._received, self._request_count, self._reading_paused, unsent, self._taken)

    def _phase(self) -> Phase:
        if self.transport is None or self.transport.is_closing():
            return Phase.CLOSING
        if self._task_handler is None or self._task_handler.done():
            return Phase.CLOSING  # nobody answers any more: what has broken aiohttp's own task must not hold the place
        if self._trip is not None or self._payload_parser is not None:
            return Phase.BUSY
        if self._is_idle():
            return Phase.HEAD if self._head_bytes else Phase.IDLE
        request = self._current_request
        return Phase.BODY if request is not None and not request.content.is_eof() else Phase.BUSY

    def end(self, verdict: Verdict) -> None:
        request = self._current_request
        if verdict is Verdict.IDLE:
            self.force_close()
        elif verdict is Verdict.SLOW_HEAD:
            self._dismiss(HEADER_TOO_SLOW)
        elif verdict is Verdict.SLOW_BODY and request is not None and request.content.exception() is None:
            request.content.set_exception(Refused(BODY_TOO_SLOW, close=True))
        elif self._wire is not None:
            self._wire.abort()

    def _dismiss(self, problem: Problem) -> None:
        """Answer a request of which the head has not arrived whole, and close."""
        if isinstance(self._manager, GatewayServer) and self.transport is not None and self._task_handler is not None:
            writer = StreamWriter(self, self._loop)
            request = web.BaseRequest(ERROR, EMPTY_PAYLOAD, self, writer, self._task_handler, self._loop)
            self.transport.write(problem_bytes(problem, self._manager.malformed(request, problem)))
        self.force_close()

    def _put_off(self) -> None:
        """Where many bodies arrive in crumbs, take no more of this one before the patrol's next round."""
        manager, request = self._manager, self._current_request
        crowded = isinstance(manager, GatewayServer) and manager.crowded()
        if crowded and self.transport is not None and request is not None and not request.content.is_eof():
            self._put_off_reading = True
            self.transport.pause_reading()

    def read_on(self) -> bool:
        if not self._put_off_reading:
            return False
        self._put_off_reading = False
        if not self._reading_paused and not self._buffer_paused:
            self._resume_transport_reading()
        return True

    def _resume_transport_reading(self) -> None:
        if not self._put_off_reading:  # aiohttp resumes whenever a body's buffer has run low
            super()._resume_transport_reading()

    def resume_writing(self) -> None:
        self._taken += 1
        super().resume_writing()

    def log_exception(self, *args: Any, **kwargs: Any) -> None:
        # What refused the body is met again by aiohttp as it looks for the body's rest.
        if not isinstance(kwargs.get("exc_info"), Refused):
            super().log_exception(*args, **kwargs)

    def data_received(self, data: bytes) -> None:
        if not data:
            super().data_received(data)  # aiohttp's own call, to go on with what its parser holds
            return
        self._received += len(data)
        if self._trip is not None:
            self._trip.hand_over()  # there is more before the answer: the plain path keeps the order
        elif self._is_clear() and self._lane is not None and self._lane.enter(self, data):
            return
        self._read(data)

    def _is_clear(self) -> bool:
        return self._boundary.here and self._is_idle() and not self._paused

    def _is_idle(self) -> bool:
        """Whether aiohttp has nothing to do but to wait for a request."""
        waiter = self._waiter
        waits = not waiter.done() if waiter is not None else self._request_count == 0
        return waits and not self._messages

    def _read(self, data: bytes) -> RawRequestMessage | None:
        """Have aiohttp read what has arrived; return what it reads when that is one request and nothing else."""
        if not self._is_idle():
            message = self._parse(data)
            if len(data) < _CRUMB_BYTES:
                self._put_off()
            return message
        message = self._parse(data)
        self._head_bytes = 0 if self._messages else self._head_bytes + len(data)
        if self._head_bytes > self.max_field_size:
            self._dismiss(HEADER_TOO_LARGE)
        return message

    def _parse(self, data: bytes) -> RawRequestMessage | None:
        messages, boundary = self._messages, self._boundary
        queued = len(messages)
        if self._parsed.needs_new_parser and data:
            self._parser = self._new_parser()
            self._parsed.renewed()
        super().data_received(data)
        self._parsed.look(data, messages, queued)
        if not boundary.here:
            boundary.more(data)
            return None
        message = messages[-1][0] if len(messages) == queued + 1 else None
        if not isinstance(message, RawRequestMessage):
            boundary.lose()
            return None
        block = boundary.begin(data, message)
        if block:
            self._block = (message, block)
        return message

    def _new_parser(self) -> HttpRequestParser:
        """Return a parser like the one that aiohttp made."""
        return HttpRequestParser(
            self,
            self._loop,
            self._read_bufsize,
            max_line_size=self.max_line_size,
            max_field_size=self.max_field_size,
            max_headers=self.max_headers,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=self._max_msg_queue_size,
        )

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

    def depart(self, trip: Trip) -> None:
        self._trip = trip
        trip.depart()

    def answered(self, data: bytes) -> None:
        self._trip = None
        if self.transport is None:
            return
        self.transport.write(data)

    def go_plain(self, trip: Trip, data: bytes) -> None:
        self._trip = None
        message = self._read(data)
        if message is None:
            trip.abandon()  # the connection is being closed
        else:
            self._begun = (message, trip)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        if self._message_tail and self._payload_parser is None:
            # What was sent behind an upgrade that is declined: aiohttp would read it on without our looking at it.
            self._message_tail = b""
            resp.force_close()
            self.close()
        return await super().finish_response(request, resp, start_time)

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
        self._arrival.seat.leave()
        if isinstance(self._manager, GatewayServer):
            self._manager.open.discard(self)
        super().connection_lost(exc)

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
        self.open: set[ClientConnection] = set()
        self.crowded: Callable[[], bool] = bool  # no, unless a patrol says otherwise
        self._limits = limits

    def greet(self, arrival: Arrival) -> ClientConnection:
        """Return what serves a connection."""
        return ClientConnection(
            self,
            arrival=arrival,
            lane=self._lane,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=_NEVER_SECONDS,
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
