"""Active health checks: requests of our own to each server, without anybody's identity."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gateway.config.upstream import HealthCheck
from gateway.errors import UpstreamError
from gateway.proxy.times import Times
from gateway.proxy.upstream.pool import UpstreamPool
from gateway.proxy.upstream.server import Server

_BAD: Final = 400
_log = logging.getLogger(__name__)


async def check_regularly(pool: UpstreamPool, server: Server, settings: HealthCheck) -> None:
    """Check a server for ever, and tell the pool what came of it."""
    interval = settings.interval.total_seconds()
    while True:
        try:
            why = await check(server, settings)
        except Exception:  # whatever a server answers, it must not end its checks
            _log.exception("a health check broke", extra={"upstream": pool.name, "server": server.url})
            why = "check_broke"
        pool.checked(server, good=not why, why=why)
        await asyncio.sleep(interval)


async def check(server: Server, settings: HealthCheck) -> str:
    """Ask a server once, on a connection of its own; return what is wrong, empty for nothing."""
    seconds = settings.timeout.total_seconds()
    host = settings.host.encode() if settings.host is not None else server.connector.authority
    head = b"GET %b HTTP/1.1\r\nHost: %b\r\nUser-Agent: gateway-health-check\r\nConnection: close\r\n\r\n" % (
        settings.path.encode(),
        host,
    )
    try:
        async with asyncio.timeout(seconds):
            connection = await server.connect(seconds)
            try:
                times = Times(seconds, seconds, seconds)
                await connection.start(head, times, head_request=False, upgrade=False)
                connection.check()
                status = connection.status
            finally:
                connection.close()
    except TimeoutError:
        return "timeout"
    except UpstreamError as error:
        return error.reason
    return f"status_{status}" if status >= _BAD else ""
