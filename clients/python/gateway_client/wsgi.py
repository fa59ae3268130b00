"""For WSGI applications (PEP 3333): Bottle, Falcon, Pyramid and whatever has no module of its own here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from functools import wraps
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from gateway_client.access import Door, check
from gateway_client.assertions import Verifier
from gateway_client.errors import Refused
from gateway_client.user import User

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_FIELD: Final = "HTTP_X_GATEWAY_ASSERTION"
_USER: Final = "gateway_client.user"


class GatewayMiddleware:
    """Stands before a WSGI application: ``app = GatewayMiddleware(app, Verifier(...))``."""

    def __init__(
        self,
        app: WSGIApplication,
        verifier: Verifier,
        *,
        anonymous: bool = False,
        open_paths: Collection[str] = (),
    ) -> None:
        """``anonymous`` and ``open_paths`` are as ``gateway_client.access.Door`` has them."""
        self._app = app
        self._door = Door(verifier, anonymous, open_paths)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            # Servers join several fields with commas, which no assertion has in it.
            fields = [environ[_FIELD]] if _FIELD in environ else []
            environ[_USER] = self._door.enter(fields, environ.get("PATH_INFO", ""))
            return self._app(environ, start_response)
        except Refused as refused:
            return _answer(refused, start_response)


def current_user(environ: WSGIEnvironment) -> User | None:
    """Return who asks. Raises KeyError where the middleware is missing."""
    user: User | None = environ[_USER]
    return user


def require_auth(
    *, roles: Collection[str] = (), scopes: Collection[str] = ()
) -> Callable[[WSGIApplication], WSGIApplication]:
    """Let an application, or a part of one, be called only by users with any of these roles and all of these scopes."""

    def decorate(app: WSGIApplication) -> WSGIApplication:
        @wraps(app)
        def guarded(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
            try:
                check(current_user(environ), roles=roles, scopes=scopes)
            except Refused as refused:
                return _answer(refused, start_response)
            return app(environ, start_response)

        return guarded

    return decorate


def _answer(refused: Refused, start_response: StartResponse) -> Iterable[bytes]:
    body = refused.body()
    fields = {"Content-Type": "application/problem+json", "Content-Length": str(len(body)), **refused.headers}
    start_response(f"{refused.status} {HTTPStatus(refused.status).phrase}", list(fields.items()))
    return [body]
