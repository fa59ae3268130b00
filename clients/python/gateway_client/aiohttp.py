"""For aiohttp.web."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from functools import wraps
from typing import Any, Final, TypeVar, cast

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from gateway_client.access import Door, check
from gateway_client.assertions import HEADER, Verifier
from gateway_client.errors import Refused
from gateway_client.user import User

H = TypeVar("H", bound=Callable[..., Awaitable[web.StreamResponse]])
# A union is no type that the key could check by, so one that holds it.
_USER: Final = web.RequestKey("gateway_client_user", tuple[User | None])


def gateway_middleware(verifier: Verifier, *, anonymous: bool = False, open_paths: Collection[str] = ()) -> Middleware:
    """Return the middleware: ``web.Application(middlewares=[gateway_middleware(Verifier(...))])``.

    ``anonymous`` and ``open_paths`` are as ``gateway_client.access.Door`` has them.
    """
    door = Door(verifier, anonymous, open_paths)

    @web.middleware
    async def enter(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            request[_USER] = (await door.enter_soon(request.headers.getall(HEADER, []), request.path),)
            return await handler(request)
        except Refused as refused:
            return _answer(refused)

    return enter


def current_user(request: web.BaseRequest) -> User | None:
    """Return who asks. Raises KeyError without the middleware."""
    return request[_USER][0]


def require_auth(*, roles: Collection[str] = (), scopes: Collection[str] = ()) -> Callable[[H], H]:
    """Let a handler, or a method of a ``web.View``, be called only by users with any of these roles and all scopes."""

    def decorate(handler: H) -> H:
        @wraps(handler)
        async def guarded(*args: Any) -> web.StreamResponse:
            check(current_user(_request(args)), roles=roles, scopes=scopes)
            return await handler(*args)

        return cast("H", guarded)

    return decorate


def _request(args: tuple[Any, ...]) -> web.BaseRequest:
    """Return what a handler is called with: the request, ``self`` and the request, or a view that has it."""
    request = args[0].request if isinstance(args[0], web.View) else args[-1]
    if not isinstance(request, web.BaseRequest):
        raise TypeError("require_auth is for handlers, which take a request")
    return request


def _answer(refused: Refused) -> web.Response:
    return web.Response(
        body=refused.body(), status=refused.status, headers=refused.headers, content_type="application/problem+json"
    )
