"""A request's body on its way to the upstream: streamed, counted, and framed anew."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from gateway.errors import GatewayError
from gateway.proxy.connection import UpstreamConnection

_LAST_CHUNK: Final = b"0\r\n\r\n"
_CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodyTooLarge(GatewayError):
    """The body is larger than the route allows."""


class BodyTooSlow(GatewayError):
    """The client stopped sending in the middle of its body."""


class BodyMalformed(GatewayError):
    """The body's framing is broken."""


class RequestBody:
    """The pump that moves a body; ``limit`` is in bytes. ``expects_continue``: the client waits to be asked for it."""

    __slots__ = ("_chunked", "_content", "_expects_continue", "_idle_seconds", "_limit", "_request")

    def __init__(
        self,
        request: web.BaseRequest,
        limit: int,
        idle_seconds: float,
        *,
        chunked: bool,
        expects_continue: bool,
    ) -> None:
        self._request = request
        self._expects_continue = expects_continue
        self._content: StreamReader = request.content
        self._limit = limit
        self._idle_seconds = idle_seconds
        self._chunked = chunked

    async def pump(self, connection: UpstreamConnection) -> None:
        """Send the body to its end. Raises BodyTooLarge, BodyTooSlow, BodyMalformed or UpstreamError."""
        sent = 0
        if self._expects_continue and self._request.transport is not None:
            self._request.transport.write(_CONTINUE)
        while True:
            try:
                async with asyncio.timeout(self._idle_seconds):
                    chunk = await self._content.readany()
            except TimeoutError as error:
                raise BodyTooSlow from error
            except (RequestPayloadError, HttpProcessingError) as error:
                raise BodyMalformed from error
            if not chunk:
                break
            sent += len(chunk)
            if sent > self._limit:
                raise BodyTooLarge
            await connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)
            connection.postpone()
        if self._chunked:
            await connection.write(_LAST_CHUNK)
