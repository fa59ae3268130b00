"""For FastAPI: ``require_auth`` is a dependency, below ``gateway_client.asgi.GatewayMiddleware``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection

from starlette.requests import HTTPConnection

from gateway_client.asgi import GatewayMiddleware, current_user
from gateway_client.starlette import demand
from gateway_client.user import User

__all__ = ["GatewayMiddleware", "current_user", "require_auth"]


def require_auth(
    *, roles: Collection[str] = (), scopes: Collection[str] = ()
) -> Callable[[HTTPConnection], Awaitable[User]]:
    """Return a dependency that gives a user with any of these roles and all of these scopes.

    ``Annotated[User, Depends(require_auth(roles=["staff"]))]``; on a router or the whole application,
    ``dependencies=[Depends(require_auth())]``.
    """

    async def user_who_may(connection: HTTPConnection) -> User:
        return demand(connection, roles=roles, scopes=scopes)

    return user_who_may
