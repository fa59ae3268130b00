"""A gateway on its sockets, from the first look at the database to the last request's end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Final

from aiohttp import web

from gateway.app import Gateway
from gateway.clock import Clock
from gateway.config.secrets import secret_key
from gateway.config.settings import Settings
from gateway.listening.figures import count_certificates, count_clients
from gateway.listening.hall import Hall
from gateway.listening.patrol import Patrol
from gateway.listening.renewal import Certificates
from gateway.listening.sockets import allow_files, listen
from gateway.observability import logs
from gateway.proxy.c_extensions import require_c_extensions
from gateway.storage.connect import open_database
from gateway.tokens.master_key import MasterKey

_INTERNAL_DRAIN_SECONDS: Final = 1.0
_GC_ALLOCATIONS: Final = 50_000
_log = logging.getLogger(__name__)

Ready = Callable[[Gateway], Awaitable[None]]


async def run_gateway(settings: Settings, *, ready: Ready | None = None, stop: asyncio.Event | None = None) -> None:
    """Serve until SIGTERM, SIGINT or ``stop``. Calls ``ready`` once requests are answered.

    Raises StartupError, ConfigError or StorageError when it cannot start; nothing is left running then.
    """
    stop = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    try:
        async with serving(settings) as gateway:
            if ready is not None:
                await ready(gateway)
            await stop.wait()
            _log.info("stopping", extra={"drain_seconds": settings.server.drain_timeout.total_seconds()})
            gateway.health.draining = True
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


@asynccontextmanager
async def serving(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Gateway]:
    """Open the database, migrate it, and serve while the block runs; ``clock`` instead of the machine's."""
    require_c_extensions()
    logs.configure(settings.logging.format, settings.logging.level)
    master_key = MasterKey(secret_key(settings))
    async with AsyncExitStack() as stack:
        opened = await stack.enter_async_context(open_database(settings, migrate=True))
        gateway = Gateway(settings, opened, master_key, clock)
        # Entered before starting, so that a start that fails half-way is undone as well.
        stack.push_async_callback(gateway.stop)
        await gateway.start()
        await stack.enter_async_context(_listening(gateway))
        allow_files(settings.server.limits.connections)
        if await gateway.accounts.users.is_empty():
            _log.info("there is no user yet: gateway user add NAME --email ADDRESS --role admin --password-stdin")
        if not settings.server.secure:
            _log.warning("public_url is plain http: cookies are not Secure; use this on a developer's machine only")
        _settle_memory()
        yield gateway


def _settle_memory() -> None:
    """Keep the garbage collector from walking what lives as long as the process, and from looking too often.

    Requests leave no cycles behind, so most of its work finds nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_ALLOCATIONS, 50, 100)


@asynccontextmanager
async def _listening(gateway: Gateway) -> AsyncIterator[None]:
    server = gateway.settings.server
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(_clients(gateway, server.drain_timeout.total_seconds()))
        if server.internal_listen is not None:
            internal = web.AppRunner(
                gateway.health.internal_application(), access_log=None, shutdown_timeout=_INTERNAL_DRAIN_SECONDS
            )
            await internal.setup()
            stack.push_async_callback(internal.cleanup)
            for listening in listen(server.internal_listen, "server.internal_listen"):
                await web.SockSite(internal, listening).start()
        _log.info("listening", extra={"addresses": ", ".join(server.listen), "public_url": server.public_url})
        yield


@asynccontextmanager
async def _clients(gateway: Gateway, drain_seconds: float) -> AsyncIterator[None]:
    """Let clients in while the block runs; after it, requests under way have ``drain_seconds`` to end."""
    serving = gateway.server()
    server = gateway.settings.server
    certificates = Certificates(server.tls, gateway.clock) if server.tls is not None else None
    tls = None if certificates is None else lambda: certificates.context
    hall = Hall(server, gateway.trusted_proxies, serving.greet, tls)
    patrol = Patrol(server.limits, lambda: serving.open)
    serving.crowded = lambda: patrol.crowded
    count_clients(gateway.metrics, hall, patrol)
    hall.open()
    patrol.start()
    if certificates is not None:
        count_certificates(gateway.metrics, certificates)
        certificates.start()
    try:
        yield
    finally:
        await hall.close()
        serving.pre_shutdown()
        await serving.shutdown(drain_seconds)
        await patrol.stop()
        if certificates is not None:
            await certificates.stop()
