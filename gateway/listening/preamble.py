"""Takes the PROXY protocol's header off a fresh connection, and not one byte more: a TLS handshake may follow it."""

from __future__ import annotations

import asyncio
import socket

from gateway.listening.proxy_protocol import ProxyHeader, ProxyHeaderRejected, read_header

_PEEKED_BYTES = 4096


async def take_header(accepted: socket.socket, seconds: float) -> ProxyHeader:
    """Read the header that a connection begins with.

    Raises ProxyHeaderRejected, TimeoutError when it does not come whole in time, OSError when the connection breaks.
    """
    loop = asyncio.get_running_loop()
    taken = b""
    async with asyncio.timeout(seconds):
        while True:
            await _readable(loop, accepted)
            try:
                ahead = accepted.recv(_PEEKED_BYTES, socket.MSG_PEEK)
            except (BlockingIOError, InterruptedError):
                continue
            if not ahead:
                raise ProxyHeaderRejected("no_header")
            header = read_header(taken + ahead)
            # As long as the header is not whole, everything that came belongs to it.
            mine = len(ahead) if header is None else header.length - len(taken)
            taken += accepted.recv(mine)
            if header is not None:
                return header


async def _readable(loop: asyncio.AbstractEventLoop, accepted: socket.socket) -> None:
    waiter = loop.create_future()
    loop.add_reader(accepted, _wake, waiter)
    try:
        await waiter
    finally:
        loop.remove_reader(accepted)


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)
