"""The servers of one upstream: which of them a request goes to, over which connection, and who has to wait."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final

from gateway.config.upstream import Upstream
from gateway.errors import UpstreamBusy, UpstreamDown, UpstreamError, UpstreamUnreachable
from gateway.proxy.connection import UpstreamConnection, timed_out
from gateway.proxy.upstream.balance import CHOOSERS, took
from gateway.proxy.upstream.server import Server

_KEPT_IDLE_SECONDS: Final = 30.0
_KEPT_PER_SERVER: Final = 256
_RETRY_SECONDS: Final = 1
# Statuses by which a proxy or server says that it, and not the request, is at fault (RFC 9110 section 15.6).
_FAILING: Final = frozenset({502, 503, 504})
_log = logging.getLogger(__name__)


class UpstreamPool:
    """``active`` are the connections whose deadlines are watched. ``clock`` gives monotonic seconds."""

    def __init__(self, name: str, settings: Upstream, servers: Sequence[Server], clock: Callable[[], float]) -> None:
        self.name = name
        self.connect_seconds = settings.timeouts.connect.total_seconds()
        self.response_seconds = settings.timeouts.response.total_seconds()
        self.idle_seconds = settings.timeouts.idle.total_seconds()
        self.servers = tuple(servers)
        self.active: set[UpstreamConnection] = set()
        self._clock = clock
        self._choose = CHOOSERS[settings.balance]
        self._most = settings.limits.connections
        self._queue_size = settings.limits.queue
        self._queue_seconds = settings.limits.queue_timeout.total_seconds()
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._turn = 0

    @property
    def waiting(self) -> int:
        """How many requests wait for a server to have room."""
        return len(self._waiting)

    def take(self, client: str) -> UpstreamConnection | None:
        """Return a kept connection to the server that is next for ``client``, an address; None: ``acquire`` one."""
        if self._waiting:
            return None
        servers = self.servers
        if len(servers) == 1:
            server = servers[0]
            if server.in_flight >= self._most or not server.condition.healthy:
                return None
            connection = server.kept()
        else:
            try:
                found = self._next(client, servers)
            except UpstreamDown:
                return None  # acquire says so
            if found is None:
                return None
            server, among, weights, at = found
            connection = server.kept()
            if connection is not None:
                self._used(among, weights, at)
        if connection is not None:
            server.in_flight += 1
            self.active.add(connection)
        return connection

    async def acquire(self, client: str, *, fresh: bool = False) -> UpstreamConnection:
        """Return a connection to the server that is next for ``client``, a new one if ``fresh``.

        Waits its turn where all servers are full; tries each server once. Raises UpstreamBusy, UpstreamDown,
        UpstreamUnreachable or UpstreamTimeout.
        """
        untried = list(self.servers)
        error: UpstreamError = UpstreamUnreachable("no_server")
        while untried:
            server = await self._reserved(client, untried)
            untried.remove(server)
            connection = None if fresh else server.kept()
            if connection is None:
                try:
                    connection = await server.connect(self.connect_seconds)
                except BaseException as failure:
                    self._free(server)
                    if not isinstance(failure, UpstreamError):
                        raise
                    self._failed(server)
                    error = failure
                    continue
            self.active.add(connection)
            return connection
        raise error

    def release(self, connection: UpstreamConnection) -> None:
        """Take a connection back: kept when its exchange has ended cleanly, closed otherwise."""
        if connection not in self.active:  # it was given to a tunnel
            return
        self.active.discard(connection)
        server: Server = connection.server
        condition = server.condition
        if connection.at_fault or connection.status in _FAILING:
            self._failed(server)
        elif connection.status and (condition.failures or condition.ejections):
            condition.succeeded()
        if connection.reusable and len(server.idle) < _KEPT_PER_SERVER:
            connection.rest()
            server.idle.append(connection)
        else:
            connection.close()
        self._free(server)

    def forget(self, connection: UpstreamConnection) -> None:
        """Stop watching a connection that now belongs to a tunnel; it counts until ``ended``."""
        self.active.discard(connection)

    def ended(self, connection: UpstreamConnection) -> None:
        """Take note that a tunnel has ended."""
        self._free(connection.server)

    def watch(self, now: float) -> None:
        """Fail what is past its deadline and close what has rested too long; ``now`` is by the loop's clock."""
        for connection in [each for each in self.active if each.deadline < now]:
            connection.fail(timed_out(connection))
        for server in self.servers:
            server.close_idle(now - _KEPT_IDLE_SECONDS)

    def checked(self, server: Server, *, good: bool, why: str) -> None:
        """Take note of a health check; what rests at a server that is out is closed."""
        if not server.condition.checked(good=good, now=self._clock()):
            return
        told = {"upstream": self.name, "server": server.url}
        if good:
            _log.info("a server is back", extra=told)
            self._wake()
            return
        _log.warning("a server is out", extra=told | {"reason": why})
        while server.idle:
            server.idle.popleft().close()

    def close(self) -> None:
        for connection in (*self.active, *(each for server in self.servers for each in server.idle)):
            connection.close()
        for server in self.servers:
            server.idle.clear()
        for waiter in self._waiting:
            waiter.cancel()

    async def _reserved(self, client: str, among: Sequence[Server]) -> Server:
        """Return the server that is next, with room taken in it."""
        if not self._waiting and (server := self._reserve(client, among)) is not None:
            return server
        if len(self._waiting) >= self._queue_size:
            raise UpstreamBusy(_RETRY_SECONDS)
        first = False
        try:
            async with asyncio.timeout(self._queue_seconds):
                while True:
                    waiter = asyncio.get_running_loop().create_future()
                    # Who was woken and found the room taken again does not have to wait behind the others.
                    (self._waiting.appendleft if first else self._waiting.append)(waiter)
                    try:
                        await waiter
                    finally:
                        if not waiter.done() or waiter.cancelled():
                            self._waiting.remove(waiter)
                    if (server := self._reserve(client, among)) is not None:
                        return server
                    first = True
        except TimeoutError as error:
            raise UpstreamBusy(_RETRY_SECONDS) from error

    def _reserve(self, client: str, among: Sequence[Server]) -> Server | None:
        found = self._next(client, among)
        if found is None:
            return None
        server, candidates, weights, at = found
        self._used(candidates, weights, at)
        server.in_flight += 1
        return server

    def _next(self, client: str, among: Sequence[Server]) -> tuple[Server, list[Server], list[float], int] | None:
        """Return the next server, whom it was chosen among, their weights and its place; None when all are full.

        Servers that requests alone have put aside are used when there is no other: a client that can make requests
        fail must not be able to take an application from everybody. Raises UpstreamDown when checks say that none
        works.
        """
        now = self._clock()
        working = [server for server in among if server.condition.healthy]
        if not working:
            raise UpstreamDown(_RETRY_SECONDS)
        usable = [server for server in working if not server.condition.ejected(now)] or working
        roomy = [server for server in usable if server.in_flight < self._most]
        if not roomy:
            return None
        weights = [server.condition.weight(now) for server in roomy]
        at = self._choose(roomy, weights, client)
        return roomy[at], roomy, weights, at

    def _used(self, among: Sequence[Server], weights: Sequence[float], at: int) -> None:
        self._turn += 1
        took(among, weights, at, self._turn)

    def _failed(self, server: Server) -> None:
        if server.condition.failed(self._clock()) and len(self.servers) > 1:
            told = {"upstream": self.name, "server": server.url, "times": server.condition.ejections}
            _log.warning("a server fails requests and is left alone for a while", extra=told)

    def _free(self, server: Server) -> None:
        server.in_flight -= 1
        if self._waiting:
            self._wake()

    def _wake(self) -> None:
        """Have the one that has waited longest look for room."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
