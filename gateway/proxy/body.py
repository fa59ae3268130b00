"""A request's body on its way to the upstream: streamed, counted, and framed anew."""

from __future__ import annotations

import asyncio
from typing import Final

from aiohttp import web
from aiohttp.streams import StreamReader

from gateway.errors import GatewayError
from gateway.proxy.connection import UpstreamConnection

_LAST_CHUNK: Final = b"0\r\n\r\n"


class BodyTooLarge(GatewayError):
    """The body is larger than the route allows."""


class BodyTooSlow(GatewayError):
    """The client stopped sending in the middle of its body."""


class RequestBody:
    """How long the body is, and the pump that moves it."""

    __slots__ = ("_content", "_idle_seconds", "_limit", "framing", "present")

    def __init__(self, request: web.BaseRequest, limit: int, idle_seconds: float) -> None:
        """Raises BodyTooLarge at once when the announced length says so."""
        self._content: StreamReader = request.content
        self._limit = limit
        self._idle_seconds = idle_seconds
        length = request.headers.get("Content-Length")
        self.present = request.can_read_body
        if length is not None:
            if int(length) > limit:
                raise BodyTooLarge
            self.framing = b"Content-Length: %d\r\n" % int(length)
        elif "Transfer-Encoding" in request.headers:
            self.framing = b"Transfer-Encoding: chunked\r\n"
            self.present = True
        else:
            self.framing = b""

    @property
    def chunked(self) -> bool:
        return self.framing.startswith(b"T")

    async def pump(self, connection: UpstreamConnection) -> None:
        """Send the body to its end. Raises BodyTooLarge, BodyTooSlow, UpstreamError, or what reading raises."""
        sent = 0
        while True:
            try:
                async with asyncio.timeout(self._idle_seconds):
                    chunk = await self._content.readany()
            except TimeoutError as error:
                raise BodyTooSlow from error
            if not chunk:
                break
            sent += len(chunk)
            if sent > self._limit:
                raise BodyTooLarge
            await connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self.chunked else chunk)
            if connection.status == 0:
                connection.postpone(connection.response_seconds)
        if self.chunked:
            await connection.write(_LAST_CHUNK)
