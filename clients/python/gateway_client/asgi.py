"""For ASGI applications: Starlette and FastAPI, which have decorators of their own beside this, Litestar, Quart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, MutableMapping, Sequence
from typing import Any, Final

from gateway_client.access import Door
from gateway_client.assertions import HEADER, Verifier
from gateway_client.errors import Refused
from gateway_client.user import User

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_NAME: Final = HEADER.lower().encode()
_USER: Final = "gateway_client.user"
_POLICY_VIOLATION: Final = 1008


class GatewayMiddleware:
    """Stands before an ASGI application, WebSockets too: ``app.add_middleware(GatewayMiddleware, verifier=...)``."""

    def __init__(
        self, app: App, verifier: Verifier, *, anonymous: bool = False, open_paths: Collection[str] = ()
    ) -> None:
        """``anonymous`` and ``open_paths`` are as ``gateway_client.access.Door`` has them."""
        self._app = app
        self._door = Door(verifier, anonymous, open_paths)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        try:
            user = await self._door.enter_soon(_fields(scope["headers"]), scope["path"])
        except Refused as refused:
            await _answer(refused, scope, receive, send)
            return
        await self._app({**scope, _USER: user}, receive, send)


def current_user(connection: Any) -> User | None:
    """Return who asks, of a scope or what has one (a request, a WebSocket). Raises KeyError without the middleware."""
    scope: Mapping[str, Any] = getattr(connection, "scope", connection)
    user: User | None = scope[_USER]
    return user


def _fields(headers: Sequence[tuple[bytes, bytes]]) -> list[str]:
    return [value.decode("latin-1") for name, value in headers if name.lower() == _NAME]


async def _answer(refused: Refused, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        # Closed before it is accepted: servers answer the handshake with 403.
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": refused.code})
        return
    body = refused.body()
    fields = {"Content-Type": "application/problem+json", "Content-Length": str(len(body)), **refused.headers}
    headers = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
