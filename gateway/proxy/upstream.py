"""Pools of connections to upstream servers: which server, which connection, and the watch over deadlines."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from aiohttp.tcp_helpers import tcp_keepalive

from gateway.config.settings import Settings, Upstream, UpstreamTimeouts
from gateway.errors import UpstreamError, UpstreamTimeout, UpstreamUnreachable
from gateway.proxy.connection import UpstreamConnection, timed_out

_KEPT_IDLE_SECONDS: Final = 30.0
_KEPT_PER_SERVER: Final = 256
_WATCH_SECONDS: Final = 0.25


@dataclass(slots=True)
class Server:
    """One address of an upstream, with the connections to it that rest."""

    url: str
    host: str
    port: int
    authority: bytes
    tls: ssl.SSLContext | None = field(repr=False, default=None)
    idle: deque[UpstreamConnection] = field(repr=False, default_factory=deque)


class UpstreamPool:
    """The servers of one upstream, in turn."""

    def __init__(self, name: str, settings: Upstream) -> None:
        self.name = name
        self.connect_seconds = settings.timeouts.connect.total_seconds()
        self.response_seconds = settings.timeouts.response.total_seconds()
        self.idle_seconds = settings.timeouts.idle.total_seconds()
        self._servers = tuple(_server(url) for url in settings.servers)
        self._turn = 0
        self.active: set[UpstreamConnection] = set()

    @property
    def servers(self) -> tuple[Server, ...]:
        return self._servers

    def resting(self) -> UpstreamConnection | None:
        """Return a kept connection to the server whose turn it is, if there is one."""
        servers = self._servers
        turn = self._turn
        idle = servers[turn].idle
        while idle:
            connection = idle.pop()
            if connection.usable:
                self._turn = (turn + 1) % len(servers)
                self.active.add(connection)
                return connection
        return None

    async def connect(self) -> UpstreamConnection:
        """Open a connection to the next server; tries each once.

        Raises UpstreamUnreachable or UpstreamTimeout when none could be reached.
        """
        servers = self._servers
        first = self._turn
        self._turn = (first + 1) % len(servers)
        error: UpstreamError | None = None
        for step in range(len(servers)):
            try:
                connection = await self._connect(servers[(first + step) % len(servers)])
            except UpstreamError as failure:
                error = failure
                continue
            self.active.add(connection)
            return connection
        raise error or UpstreamUnreachable("no_server")

    def release(self, connection: UpstreamConnection) -> None:
        """Take a connection back: kept when its exchange has ended cleanly, closed otherwise."""
        if connection not in self.active:  # it was given to a tunnel
            return
        self.active.discard(connection)
        if connection.reusable and len(connection.resting_place) < _KEPT_PER_SERVER:
            connection.rest()
        else:
            connection.close()

    def forget(self, connection: UpstreamConnection) -> None:
        """Stop watching a connection that now belongs to a tunnel."""
        self.active.discard(connection)

    def watch(self, now: float) -> None:
        """Fail what is past its deadline and close what has rested too long."""
        for connection in [each for each in self.active if each.deadline < now]:
            connection.fail(timed_out(connection))
        for server in self._servers:
            while server.idle and server.idle[0].last_used + _KEPT_IDLE_SECONDS < now:
                server.idle.popleft().close()

    def close(self) -> None:
        for connection in (*self.active, *(each for server in self._servers for each in server.idle)):
            connection.close()
        for server in self._servers:
            server.idle.clear()

    async def _connect(self, server: Server) -> UpstreamConnection:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.connect_seconds):
                _, connection = await loop.create_connection(
                    lambda: UpstreamConnection(loop, server.idle, server.authority),
                    server.host,
                    server.port,
                    ssl=server.tls,
                    server_hostname=server.host if server.tls else None,
                )
        except TimeoutError as error:
            raise UpstreamTimeout("connect_timeout") from error
        except ssl.SSLError as error:
            raise UpstreamUnreachable("tls_failed") from error
        except OSError as error:
            raise UpstreamUnreachable("connect_failed") from error
        if connection.transport is not None:
            tcp_keepalive(connection.transport)  # a tunnel may be silent for hours, or its other end gone
        return connection


class Upstreams:
    """Every pool, by the name or URL that routes use."""

    def __init__(self, settings: Settings) -> None:
        pools = {name: UpstreamPool(name, upstream) for name, upstream in settings.upstreams.items()}
        for route in settings.routes:
            if route.upstream and route.upstream not in pools:
                anonymous = Upstream(servers=(route.upstream,), timeouts=UpstreamTimeouts())
                pools[route.upstream] = UpstreamPool(_label(route.upstream), anonymous)
        self._pools: Mapping[str, UpstreamPool] = pools
        self._watcher: asyncio.Task[None] | None = None

    def __getitem__(self, name: str) -> UpstreamPool:
        return self._pools[name]

    def start(self) -> None:
        self._watcher = asyncio.create_task(self._watch(), name="upstream deadlines")

    async def stop(self) -> None:
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        for pool in self._pools.values():
            pool.close()

    async def _watch(self) -> None:
        # One look at all connections a few times a second costs less than a timer for each request.
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for pool in self._pools.values():
                pool.watch(loop.time())


def _server(url: str) -> Server:
    parts = urlsplit(url)
    host = parts.hostname or ""
    tls = parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    return Server(url, host, port, parts.netloc.encode(), ssl.create_default_context() if tls else None)


def _label(url: str) -> str:
    return urlsplit(url).netloc
