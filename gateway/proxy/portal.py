"""The portal behind the front: an ordinary aiohttp application that is given only the paths it has registered."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader

from gateway.policy.cors import Cors, origin_of, preflight_method
from gateway.policy.host import parse_host
from gateway.policy.target import Target
from gateway.problem import Problem
from gateway.proxy.context import RequestContext
from gateway.proxy.own_answers import preflight
from gateway.refusal import BODY_TOO_LARGE, Refused

# On every host, whatever its routes say.
RESERVED: Final = "/.gateway"
# Under this key a request carries what the front has read about it.
CONTEXT: Final = web.RequestKey("context", RequestContext)


_DETAILS: Final = {
    404: "Nothing is served at this address.",
    405: "This address does not take requests of this method.",
    415: "The request's body is not of a type that is understood here.",
}


class Portal:
    """Knows which paths the application answers, and hands requests over.

    ``Application._make_request`` and ``_handle`` are what aiohttp's own runner calls; only this class uses them.
    """

    def __init__(
        self,
        application: web.Application,
        host: str,
        elsewhere: Collection[tuple[str, str]] = (),
        *,
        cors: Cors | None = None,
        api: str = "/api/",
    ) -> None:
        """``elsewhere`` are paths that are the portal's on one other host each, too: (host, path).

        ``cors`` gives leave to use what lies below ``api``.
        """
        self._cors = cors
        self._api = api
        self._application = application
        self._elsewhere = frozenset(elsewhere)
        # A URL's host name is without the brackets that an IPv6 address has in a target.
        self._host = parse_host(f"[{host.strip('[]')}]") if ":" in host else host
        self._exact, self._below = _paths(application)

    def may_own(self, raw_path: str) -> bool:
        """Tell whether a request line could be the portal's; ``owns`` decides once the host is known."""
        path = raw_path.partition("?")[0]
        # Escapes and absolute forms are read later: here they only cost a request object of the larger kind.
        return not path.startswith("/") or "%" in path or ";" in path or self._registered(path)

    def owns(self, target: Target) -> bool:
        """Tell whether the portal answers ``target``."""
        segments = target.segments
        if segments and segments[0] == RESERVED[1:]:
            return True
        path = target.decoded_path
        if target.host == self._host:
            return self._registered(path)
        return (target.host, path) in self._elsewhere

    def _registered(self, path: str) -> bool:
        return path in self._exact or path.startswith(self._below)

    def make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: Any,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.Request:
        return self._application._make_request(message, payload, protocol, writer, task)  # noqa: SLF001

    async def handle(self, request: web.BaseRequest, context: RequestContext) -> web.StreamResponse:
        """Let the application answer."""
        if not isinstance(request, web.Request):
            raise TypeError("may_own said no and owns said yes")
        request[CONTEXT] = context
        if self._cors is not None and request.path.startswith(self._api):
            return await self._across(request, context, self._cors)
        return await self._answer(request)

    async def _across(self, request: web.Request, context: RequestContext, cors: Cors) -> web.StreamResponse:
        """Answer for the API, so that scripts of other origins may read it where they have leave."""
        context.cors = cors
        if preflight_method(request.method, request.headers) is not None:
            return preflight(cors, request.method, request.headers)
        response = await self._answer(request)
        for name, value in cors.fields(origin_of(request.headers)):
            response.headers.add(name, value)
        return response

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        try:
            return await self._application._handle(request)  # noqa: SLF001
        except web.HTTPException as error:
            if error.status < HTTPStatus.BAD_REQUEST:
                # aiohttp warns of an exception that is returned; as an answer it is a plain one.
                return web.Response(status=error.status, headers=error.headers, body=error.body)
            raise Refused(_problem(error)) from error


def _problem(error: web.HTTPException) -> Problem:
    """Return what aiohttp's router or request parsing has to say, in our form."""
    if error.status == BODY_TOO_LARGE.status:
        return BODY_TOO_LARGE
    headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
    code = HTTPStatus(error.status).phrase.lower().replace(" ", "_")
    detail = _DETAILS.get(error.status, "The request cannot be answered.")
    return Problem(error.status, code, detail, headers=headers)


def _paths(application: web.Application) -> tuple[frozenset[str], tuple[str, ...]]:
    """Return the exact paths and the prefixes of what the application's router knows."""
    exact = {RESERVED}
    below = {RESERVED + "/"}
    for resource in application.router.resources():
        canonical = resource.canonical
        if "{" in canonical:
            below.add(canonical.partition("{")[0])
        else:
            exact.add(canonical)
    return frozenset(exact), tuple(sorted(below))
