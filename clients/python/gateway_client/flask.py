"""For Flask."""

from __future__ import annotations

from collections.abc import Callable, Collection
from functools import wraps
from typing import Any, Final, ParamSpec

from flask import Flask, Response, current_app, g, request

from gateway_client.access import Door, check
from gateway_client.assertions import HEADER, Verifier
from gateway_client.errors import Refused
from gateway_client.user import User

P = ParamSpec("P")
_USER: Final = "gateway_client_user"


class Gateway:
    """Asks before each request of a Flask application who it is from: ``Gateway(app, Verifier(...))``.

    ``app.register_error_handler(Refused, ...)`` after it answers those who are refused in another way.
    """

    def __init__(
        self, app: Flask, verifier: Verifier, *, anonymous: bool = False, open_paths: Collection[str] = ()
    ) -> None:
        """``anonymous`` and ``open_paths`` are as ``gateway_client.access.Door`` has them."""
        self._door = Door(verifier, anonymous, open_paths)
        app.before_request(self._enter)
        app.register_error_handler(Refused, _answer)

    def _enter(self) -> None:
        setattr(g, _USER, self._door.enter(request.headers.getlist(HEADER), request.path))


def current_user() -> User | None:
    """Return who asks. Raises AttributeError where no ``Gateway`` was made for the application."""
    user: User | None = getattr(g, _USER)
    return user


def require_auth(
    *, roles: Collection[str] = (), scopes: Collection[str] = ()
) -> Callable[[Callable[P, Any]], Callable[P, Any]]:
    """Let a view be called only by users with any of these roles and all of these scopes."""

    def decorate(view: Callable[P, Any]) -> Callable[P, Any]:
        @wraps(view)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Any:
            check(current_user(), roles=roles, scopes=scopes)
            return current_app.ensure_sync(view)(*args, **kwargs)

        return guarded

    return decorate


def _answer(refused: Refused) -> Response:
    return Response(refused.body(), refused.status, refused.headers, content_type="application/problem+json")
