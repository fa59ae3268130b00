"""A sample application that leaves authentication to the gateway.

It believes the identity headers it receives. That is safe only because nobody but the gateway can reach it:
it listens on the loopback address, and the gateway removes these headers from what clients send.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime

from aiohttp import WSMsgType, web

from gateway.demo import page
from gateway.demo.visitor import visitor_from

EVENT_INTERVAL_SECONDS = 1.0
MAX_MESSAGE_BYTES = 64 * 1024

_STOPPING = web.AppKey("stopping", asyncio.Event)


def _html(text: str) -> web.Response:
    return web.Response(text=text, content_type="text/html", headers={"Cache-Control": "no-store"})


async def _home(request: web.Request) -> web.Response:
    return _html(page.home(visitor_from(request.headers), request.host))


async def _public(request: web.Request) -> web.Response:
    return _html(page.public(visitor_from(request.headers)))


async def _admin(request: web.Request) -> web.Response:
    return _html(page.admin(visitor_from(request.headers)))


async def _whoami(request: web.Request) -> web.Response:
    visitor = visitor_from(request.headers)
    document = {
        "user": visitor.user,
        "email": visitor.email,
        "roles": list(visitor.roles),
        "assertion": visitor.claims,
        "headers": visitor.headers,
    }
    return web.json_response(document, headers={"Cache-Control": "no-store"})


async def _events(request: web.Request) -> web.StreamResponse:
    """Stream the time as server-sent events until the client leaves or the application stops."""
    visitor = visitor_from(request.headers)
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
    await response.prepare(request)
    stopping = request.app[_STOPPING]
    with suppress(ConnectionResetError):
        while not stopping.is_set():
            moment = {"time": datetime.now(UTC).strftime("%H:%M:%S"), "user": visitor.user}
            await response.write(f"data: {json.dumps(moment)}\n\n".encode())
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), EVENT_INTERVAL_SECONDS)
    return response


async def _echo(request: web.Request) -> web.WebSocketResponse:
    """Send every message back with the name of who sent it."""
    visitor = visitor_from(request.headers)
    socket = web.WebSocketResponse(max_msg_size=MAX_MESSAGE_BYTES, heartbeat=30)
    await socket.prepare(request)
    closing = asyncio.create_task(_close_at_stop(socket, request.app[_STOPPING]))
    try:
        async for message in socket:
            if message.type is WSMsgType.TEXT:
                await socket.send_str(f"{visitor.user}: {message.data}")
    finally:
        closing.cancel()
        with suppress(asyncio.CancelledError):
            await closing
    return socket


async def _close_at_stop(socket: web.WebSocketResponse, stopping: asyncio.Event) -> None:
    await stopping.wait()
    await socket.close()


async def _stop(app: web.Application) -> None:
    app[_STOPPING].set()


def build() -> web.Application:
    """Return the application, bound to nothing yet."""
    app = web.Application()
    app[_STOPPING] = asyncio.Event()
    app.on_shutdown.append(_stop)
    app.router.add_get("/", _home)
    app.router.add_get("/public", _public)
    app.router.add_get("/admin", _admin)
    app.router.add_get("/api/whoami", _whoami)
    app.router.add_get("/events", _events)
    app.router.add_get("/ws", _echo)
    return app


@asynccontextmanager
async def running(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[int]:
    """Serve the application for as long as the context lasts, and give the port that it listens on."""
    runner = web.AppRunner(build(), access_log=None, shutdown_timeout=2)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
