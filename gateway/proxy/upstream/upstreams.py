"""All upstreams, by the name or URL that routes use, and what runs beside requests: deadlines and health checks."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Final
from urllib.parse import urlsplit

from gateway.config.settings import Settings
from gateway.config.upstream import Upstream
from gateway.proxy.upstream.checks import check_regularly
from gateway.proxy.upstream.condition import Condition, Rules
from gateway.proxy.upstream.connector import client_context, connector
from gateway.proxy.upstream.pool import UpstreamPool
from gateway.proxy.upstream.server import Server

_WATCH_SECONDS: Final = 0.25


class Upstreams:
    """Every pool. Raises StartupError for certificates that cannot be used."""

    def __init__(self, settings: Settings, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = dict(settings.upstreams)
        for route in settings.routes:
            if route.upstream and route.upstream not in self._settings:
                self._settings[route.upstream] = Upstream(servers=(route.upstream,))
        self._pools: Mapping[str, UpstreamPool] = {
            name: _pool(_label(name), each, clock) for name, each in self._settings.items()
        }
        self._tasks: list[asyncio.Task[None]] = []

    def __getitem__(self, name: str) -> UpstreamPool:
        return self._pools[name]

    def __iter__(self) -> Iterator[UpstreamPool]:
        return iter(self._pools.values())

    def start(self) -> None:
        """Watch deadlines, and check those servers whose upstream says how."""
        self._tasks.append(asyncio.create_task(self._watch(), name="upstream deadlines"))
        for name, pool in self._pools.items():
            health_check = self._settings[name].health_check
            if health_check is not None:
                for server in pool.servers:
                    checking = check_regularly(pool, server, health_check)
                    self._tasks.append(asyncio.create_task(checking, name=f"health of {server.url}"))

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for pool in self._pools.values():
            pool.close()
            for server in pool.servers:
                await server.connector.stop()

    async def _watch(self) -> None:
        # One look at all connections a few times a second costs less than a timer for each request.
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            for pool in self._pools.values():
                pool.watch(loop.time())


def _pool(name: str, settings: Upstream, clock: Callable[[], float]) -> UpstreamPool:
    secure = any(url.startswith("https:") for url in settings.servers)
    context = client_context(name, settings.tls) if secure else None
    check, ejection = settings.health_check, settings.ejection
    rules = Rules(
        ejection.failures,
        ejection.duration.total_seconds(),
        check.unhealthy_after if check is not None else 1,
        check.healthy_after if check is not None else 1,
        settings.slow_start.total_seconds(),
    )
    resolve_seconds = settings.resolve_every.total_seconds()
    servers = [
        Server(connector(url, settings.tls, resolve_seconds, context), Condition(rules)) for url in settings.servers
    ]
    return UpstreamPool(name, settings, servers, clock)


def _label(name: str) -> str:
    """Return how an upstream is called in logs and metrics: a route's URL without its scheme."""
    return urlsplit(name).netloc or name
