"""For Starlette: ``require_auth`` for endpoints, below ``gateway_client.asgi.GatewayMiddleware``."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, Final, TypeVar, cast

from starlette.exceptions import HTTPException, WebSocketException
from starlette.requests import HTTPConnection

from gateway_client.access import check
from gateway_client.asgi import GatewayMiddleware, current_user
from gateway_client.errors import Refused
from gateway_client.user import User

__all__ = ["GatewayMiddleware", "current_user", "require_auth"]

Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])
_POLICY_VIOLATION: Final = 1008


def require_auth(*, roles: Collection[str] = (), scopes: Collection[str] = ()) -> Callable[[Endpoint], Endpoint]:
    """Let an endpoint be called only by users with any of these roles and all of these scopes.

    For functions and methods, of requests and WebSockets. Refused as Starlette refuses: HTTPException, which the
    application may answer in its own way, or WebSocketException.
    """

    def decorate(endpoint: Endpoint) -> Endpoint:
        if inspect.iscoroutinefunction(endpoint):

            @wraps(endpoint)
            async def guarded_soon(*args: Any, **kwargs: Any) -> Any:
                demand(_connection(args), roles=roles, scopes=scopes)
                return await endpoint(*args, **kwargs)

            return cast("Endpoint", guarded_soon)

        @wraps(endpoint)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            demand(_connection(args), roles=roles, scopes=scopes)
            return endpoint(*args, **kwargs)

        return cast("Endpoint", guarded)

    return decorate


def demand(connection: HTTPConnection, *, roles: Collection[str], scopes: Collection[str]) -> User:
    """Return the user who may do this. Raises HTTPException or WebSocketException."""
    try:
        return check(current_user(connection), roles=roles, scopes=scopes)
    except Refused as refused:
        if connection.scope["type"] == "websocket":
            raise WebSocketException(_POLICY_VIOLATION, refused.code) from refused
        raise HTTPException(refused.status, refused.detail, dict(refused.headers)) from refused


def _connection(args: tuple[Any, ...]) -> HTTPConnection:
    """Return what an endpoint is called with: the only argument, or the one after ``self``."""
    found = next((each for each in args if isinstance(each, HTTPConnection)), None)
    if found is None:
        raise TypeError("require_auth is for endpoints, which take a request or a WebSocket")
    return found
