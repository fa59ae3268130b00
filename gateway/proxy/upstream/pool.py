"""The servers of one upstream: which of them a request goes to, over which connection, and who has to wait."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Sequence
from typing import Final

from gateway.config.upstream import Upstream
from gateway.errors import UpstreamBusy, UpstreamDown, UpstreamError
from gateway.proxy.connection import UpstreamConnection, timed_out
from gateway.proxy.upstream.balance import CHOOSERS, among
from gateway.proxy.upstream.line import Line
from gateway.proxy.upstream.server import Server

_KEPT_IDLE_SECONDS: Final = 30.0
_KEPT_PER_SERVER: Final = 256
_RETRY_SECONDS: Final = 1
_REWEIGH_SECONDS: Final = 0.25
# Statuses by which a proxy or server says that it, and not the request, is at fault (RFC 9110 section 15.6).
_FAILING: Final = frozenset({502, 503, 504})
_log = logging.getLogger(__name__)


class UpstreamPool:
    """``active`` are the connections whose deadlines are watched, and whose they are; ``clock`` is monotonic."""

    def __init__(self, name: str, settings: Upstream, servers: Sequence[Server], clock: Callable[[], float]) -> None:
        self.name = name
        self.connect_seconds = settings.timeouts.connect.total_seconds()
        self.response_seconds = settings.timeouts.response.total_seconds()
        self.idle_seconds = settings.timeouts.idle.total_seconds()
        self.websocket_seconds = settings.timeouts.websocket.total_seconds()
        self.servers = tuple(servers)
        self.active: dict[UpstreamConnection, Server] = {}
        self._in_tunnels: dict[UpstreamConnection, Server] = {}
        self._clock = clock
        self._balance = settings.balance
        self._most = settings.limits.connections
        self._line = Line(settings.limits, self._reserve, self._free)
        self._waiting = self._line.places
        self._turn = 0
        # Requests that were answered with 503 because there was no server for them.
        self.refused = 0
        # Who is chosen among, and with which weights, until a time comes or something happens.
        self._usable: Sequence[Server] = ()
        self._weights: Sequence[float] = ()
        self._next = among(settings.balance, (), ())
        self._reweigh_at = -math.inf

    @property
    def waiting(self) -> int:
        """How many requests wait for a server to have room."""
        return len(self._waiting)

    def take(self, client: str) -> UpstreamConnection | None:
        """Return a kept connection to the server that is next for ``client``, an address; None: ``acquire`` one."""
        if self._waiting:
            return None
        if self._clock() >= self._reweigh_at:
            self._reweigh()
        usable = self._usable
        if not usable:
            return None
        turn = self._next(self._turn, client) if len(usable) > 1 else 0
        server = usable[turn % len(usable)]
        connection = server.kept()  # where one rests there is room: resting and used ones together keep to the limit
        if connection is not None:
            self._turn = turn + 1
            server.in_flight += 1
            self.active[connection] = server
        return connection

    async def acquire(self, client: str, *, fresh: bool = False) -> UpstreamConnection:
        """Return a connection to the server that is next for ``client``, a new one if ``fresh``.

        Waits in line where all servers are full. A server that cannot be reached is followed by another, each once.
        Raises UpstreamBusy, UpstreamDown, UpstreamUnreachable or UpstreamTimeout.
        """
        server = await self._reserved(client)
        tried: list[Server] = []
        while True:
            connection = None if fresh else server.kept()
            try:
                if connection is None:
                    connection = await self._connect(server)
            except BaseException as failure:
                self._free(server)
                if not isinstance(failure, UpstreamError):
                    raise
                self._failed(server)
                tried.append(server)
                following = self._reserve(client, tried)
                if following is None:
                    raise
                server = following
            else:
                self.active[connection] = server
                return connection

    def release(self, connection: UpstreamConnection) -> None:
        """Take a connection back: kept when its exchange has ended cleanly, closed otherwise."""
        server = self.active.pop(connection, None)
        if server is None:
            self._tunnel_ended(connection)
            return
        if connection.reusable:
            if connection.status in _FAILING or server.condition.suspected:
                self._judge(server, connection)
            idle = server.idle
            if len(idle) < _KEPT_PER_SERVER:
                connection.rest()
                idle.append(connection)
            else:
                connection.close()
        else:
            self._judge(server, connection)
            connection.close()
        server.in_flight -= 1
        if self._waiting:
            self._line.advance()

    def forget(self, connection: UpstreamConnection) -> None:
        """Stop watching a connection that now belongs to a tunnel; it counts until it is released."""
        server = self.active.pop(connection, None)
        if server is not None:
            self._in_tunnels[connection] = server

    def watch(self, now: float) -> None:
        """Fail what is past its deadline and close what has rested too long; ``now`` is by the loop's clock."""
        for connection in [each for each in self.active if each.deadline < now]:
            connection.fail(timed_out(connection))
        for connection, server in self.active.items():
            connection.retiring = not server.connector.leads_to(connection.address)
        for server in self.servers:
            server.connector.refresh(now)
            server.close_idle(now - _KEPT_IDLE_SECONDS)
        if self._waiting:
            self._line.advance()  # time alone brings servers back

    def checked(self, server: Server, *, good: bool, why: str) -> None:
        """Take note of a health check; what rests at a server that is out is closed."""
        if not server.condition.checked(good=good, why=why, now=self._clock()):
            return
        self._reweigh_at = -math.inf
        told = {"upstream": self.name, "server": server.url}
        if good:
            _log.info("a server is back", extra=told)
        else:
            _log.warning("a server is out", extra=told | {"reason": why})
            server.close_all()
        self._line.advance()

    def close(self) -> None:
        for connection in tuple(self.active):
            connection.close()
        for server in self.servers:
            server.close_all()
        self._line.close()

    async def _connect(self, server: Server) -> UpstreamConnection:
        if server.idle and server.in_flight + len(server.idle) > self._most:
            server.idle.popleft().close()  # who wants a fresh one must not have one more than the limit
        return await server.connect(self.connect_seconds)

    def _reweigh(self) -> None:
        """Find who is chosen among.

        Servers that requests alone have put aside are used when there is no other: a client that can make requests
        fail must not be able to take an application from everybody.
        """
        now = self._clock()
        working = [server for server in self.servers if server.condition.healthy]
        usable = [server for server in working if not server.condition.ejected(now)] or working
        self._usable = usable
        self._weights = [server.condition.weight(now) for server in usable]
        self._next = among(self._balance, usable, self._weights)
        returns = [server.condition.ejected_until for server in working if server.condition.ejected(now)]
        if any(weight < 1 for weight in self._weights):
            returns.append(now + _REWEIGH_SECONDS)
        self._reweigh_at = min(returns, default=math.inf)

    async def _reserved(self, client: str) -> Server:
        try:
            server = None if self._waiting else self._reserve(client)
            return server or await self._line.wait(client)
        except (UpstreamBusy, UpstreamDown):
            self.refused += 1
            raise

    def _reserve(self, client: str, without: Collection[Server] = ()) -> Server | None:
        """Return the next server with room, which is taken; None when all are full.

        Raises UpstreamDown when checks say that none works.
        """
        if self._clock() >= self._reweigh_at:
            self._reweigh()
        if not self._usable:
            raise UpstreamDown(_RETRY_SECONDS)
        roomy = [
            at for at, server in enumerate(self._usable) if server.in_flight < self._most and server not in without
        ]
        if not roomy:
            return None
        servers = [self._usable[at] for at in roomy]
        turn = CHOOSERS[self._balance](servers, [self._weights[at] for at in roomy], self._turn, client)
        self._turn = turn + 1
        server = servers[turn % len(servers)]
        server.in_flight += 1
        return server

    def _judge(self, server: Server, connection: UpstreamConnection) -> None:
        """Take note of how an exchange ended, before its connection is closed."""
        if connection.at_fault or connection.status in _FAILING:
            self._failed(server)
        elif connection.status:
            server.condition.succeeded()

    def _failed(self, server: Server) -> None:
        server.failures += 1
        if not server.condition.failed(self._clock()):
            return
        server.ejections += 1
        self._reweigh_at = -math.inf
        if len(self.servers) > 1:
            told = {"upstream": self.name, "server": server.url, "times": server.condition.ejections}
            _log.warning("a server fails requests and is left alone for a while", extra=told)

    def _tunnel_ended(self, connection: UpstreamConnection) -> None:
        server = self._in_tunnels.pop(connection, None)
        if server is not None:
            self._free(server)

    def _free(self, server: Server) -> None:
        server.in_flight -= 1
        if self._waiting:
            self._line.advance()
