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
from gateway.proxy.plan import Plan

_LAST_CHUNK: Final = b"0\r\n\r\n"


class BodyTooLarge(GatewayError):
    """The body is larger than the route allows."""


class BodyTooSlow(GatewayError):
    """The client stopped sending in the middle of its body."""


class BodyMalformed(GatewayError):
    """The body's framing is broken."""


class RequestBody:
    """How long the body is, and the pump that moves it."""

    __slots__ = ("_content", "_idle_seconds", "_limit", "framing", "present")

    def __init__(self, request: web.BaseRequest, plan: Plan, limit: int, idle_seconds: float) -> None:
        """Raises BodyTooLarge at once when the announced length says so."""
        self._content: StreamReader = request.content
        self._limit = limit
        self._idle_seconds = idle_seconds
        self.framing = plan.framing
        if plan.content_length is not None and plan.content_length > limit:
            raise BodyTooLarge
        self.present = bool(plan.framing) and (self.chunked or request.can_read_body)

    @property
    def chunked(self) -> bool:
        return self.framing.startswith(b"T")

    async def pump(self, connection: UpstreamConnection) -> None:
        """Send the body to its end. Raises BodyTooLarge, BodyTooSlow, BodyMalformed or UpstreamError."""
        sent = 0
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
            await connection.write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self.chunked else chunk)
            connection.postpone()
        if self.chunked:
            await connection.write(_LAST_CHUNK)
