"""From an accepted socket to a connection that is served, or a quick refusal."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from collections import Counter, deque
from collections.abc import Callable
from time import monotonic
from typing import Final, NamedTuple

from gateway.config.server import Server
from gateway.errors import Overloaded
from gateway.listening.capacity import Capacity, Seat, holder_of
from gateway.listening.door import Door
from gateway.listening.preamble import take_header
from gateway.listening.proxy_protocol import ProxyHeaderRejected
from gateway.listening.sockets import listen
from gateway.policy.client import TrustedProxies
from gateway.problem import Problem, problem_bytes

_REFUSAL: Final = problem_bytes(
    Problem(
        503,
        "too_many_connections",
        "Too many connections are open right now. Try again in a moment.",
        headers={"Retry-After": "1"},
    ),
    request_id="",
)
# Refused connections stay half open for a moment, so that the answer is not lost to what the client was sending.
_PARTING_SECONDS: Final = 1.0
_MOST_PARTING: Final = 256
# Each brings a request soon, which is work; those that are open have their turn in between.
_WELCOMED_AT_ONCE: Final = 2
_COMPLAINT_SECONDS: Final = 10.0
_log = logging.getLogger(__name__)


class Arrival(NamedTuple):
    """A connection that may be served. ``peer`` is the address at its other end, None for a unix socket."""

    seat: Seat
    peer: str | None


Greet = Callable[[Arrival], asyncio.Protocol]


class Hall:
    """Every door of the gateway, and the places behind them. ``refused`` counts whom it sent away, by the reason."""

    def __init__(
        self,
        server: Server,
        trusted_proxies: TrustedProxies,
        greet: Greet,
        tls: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        """``tls`` gives the context of each connection but those by unix sockets; None: nothing is encrypted."""
        self.capacity = Capacity(server.limits.connections)
        self.refused: Counter[str] = Counter()
        self._server = server
        self._trusted_proxies = trusted_proxies
        self._greet = greet
        self._tls = tls
        self._handshake_seconds = server.limits.header_timeout.total_seconds()
        self._doors: list[Door] = []
        self._welcomes: set[asyncio.Task[None]] = set()
        self._waiting: dict[str | None, deque[tuple[socket.socket, Seat, str | None]]] = {}
        self._ushering: asyncio.Handle | None = None
        self._parting: deque[tuple[float, socket.socket]] = deque()
        self._parted: asyncio.TimerHandle | None = None
        self._complained = -_COMPLAINT_SECONDS
        self.ports: list[int] = []

    def open(self) -> None:
        """Bind every address of ``server.listen`` and accept. Raises StartupError."""
        sockets: list[socket.socket] = []
        try:
            for address in self._server.listen:
                sockets += listen(address, "server.listen")
        except BaseException:
            for each in sockets:
                each.close()
            raise
        self.ports = [each.getsockname()[1] for each in sockets if each.family != socket.AF_UNIX]
        self._doors = [Door(each, self._arrived) for each in sockets]
        for door in self._doors:
            door.open()

    async def close(self) -> None:
        """Accept nobody any more; what is being served is left alone."""
        for door in self._doors:
            door.close()
        self._doors.clear()
        if self._ushering is not None:
            self._ushering.cancel()
        for accepted, seat, _ in (each for queue in self._waiting.values() for each in queue):
            seat.leave()
            accepted.close()
        self._waiting.clear()
        for welcome in self._welcomes:
            welcome.cancel()
        await asyncio.gather(*self._welcomes, return_exceptions=True)
        if self._parted is not None:
            self._parted.cancel()
        while self._parting:
            self._parting.popleft()[1].close()

    def _arrived(self, accepted: socket.socket, peer: str | None) -> None:
        if self._server.proxy_protocol and not self._trusted_proxies.trusts(peer):
            self.refused["untrusted_peer"] += 1
            accepted.close()
            return
        holder = self._holder(peer)
        seat = self.capacity.take(holder)
        if seat is None:
            self._refuse(accepted, peer)
            return
        self._waiting.setdefault(holder or peer, deque()).append((accepted, seat, peer))
        if self._ushering is None:
            self._ushering = asyncio.get_running_loop().call_soon(self._usher)

    def _usher(self) -> None:
        """Welcome a few, of each holder in turn: a flood from one must not keep the others waiting."""
        self._ushering = None
        for _ in range(_WELCOMED_AT_ONCE):
            if not self._waiting:
                return
            holder = next(iter(self._waiting))
            queue = self._waiting.pop(holder)
            accepted, seat, peer = queue.popleft()
            if queue:
                self._waiting[holder] = queue
            welcome = asyncio.create_task(self._welcome(accepted, seat, peer))
            self._welcomes.add(welcome)
            welcome.add_done_callback(self._welcomes.discard)
        if self._waiting:
            self._ushering = asyncio.get_running_loop().call_soon(self._usher)

    def _holder(self, peer: str | None) -> str | None:
        """Return whose share a connection counts to: nobody's when a proxy brings those of many."""
        return None if peer is None or self._trusted_proxies.trusts(peer) else holder_of(peer)

    async def _welcome(self, accepted: socket.socket, seat: Seat, peer: str | None) -> None:
        """Serve a connection, or close it and free its seat."""
        served = False
        try:
            if self._server.proxy_protocol:
                peer = await self._introduced(accepted, seat, peer)
            await self._served(accepted, Arrival(seat, peer))
            served = True
        except OSError:
            self.refused["broken"] += 1
        except ProxyHeaderRejected as error:
            self.refused["proxy_header"] += 1
            _log.info("a PROXY header was refused", extra={"peer": peer, "reason": error.reason})
        except Overloaded:
            self._refuse(accepted.dup(), peer)
        finally:
            if not served:
                seat.leave()
                accepted.close()

    async def _served(self, accepted: socket.socket, arrival: Arrival) -> None:
        loop = asyncio.get_running_loop()
        if self._tls is None or accepted.family == socket.AF_UNIX:
            await loop.connect_accepted_socket(lambda: self._greet(arrival), accepted)
            return
        await loop.connect_accepted_socket(
            lambda: self._greet(arrival),
            accepted,
            ssl=self._tls(),
            ssl_handshake_timeout=self._handshake_seconds,
            ssl_shutdown_timeout=_PARTING_SECONDS,
        )

    async def _introduced(self, accepted: socket.socket, seat: Seat, peer: str | None) -> str | None:
        """Return whose connection it is, as its proxy says. Raises Overloaded where that one has no share left."""
        try:
            header = await take_header(accepted, self._handshake_seconds)
        except TimeoutError as error:
            raise ProxyHeaderRejected("timeout") from error
        if header.client is None:
            return peer
        if not seat.hand_to(self._holder(header.client)):
            raise Overloaded
        return header.client

    def _refuse(self, accepted: socket.socket, peer: str | None) -> None:
        self.refused["full"] += 1
        now = monotonic()
        if now - self._complained > _COMPLAINT_SECONDS:
            self._complained = now
            _log.warning(
                "connections are refused", extra={"open": self.capacity.taken, "most": self.capacity.most, "peer": peer}
            )
        if self._tls is not None and accepted.family != socket.AF_UNIX:
            accepted.close()  # a handshake would cost more than the answer is worth
            return
        with contextlib.suppress(OSError):  # it has gone already
            accepted.send(_REFUSAL)
            accepted.shutdown(socket.SHUT_WR)
        self._parting.append((now, accepted))
        if len(self._parting) > _MOST_PARTING:
            self._parting.popleft()[1].close()
        if self._parted is None:
            self._parted = asyncio.get_running_loop().call_later(_PARTING_SECONDS, self._part)

    def _part(self) -> None:
        self._parted = None
        now = monotonic()
        while self._parting and self._parting[0][0] + _PARTING_SECONDS <= now:
            self._parting.popleft()[1].close()
        if self._parting:
            self._parted = asyncio.get_running_loop().call_later(_PARTING_SECONDS, self._part)
