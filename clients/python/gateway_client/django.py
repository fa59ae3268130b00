"""For Django, synchronous and asynchronous.

``MIDDLEWARE = ["gateway_client.django.GatewayMiddleware", ...]``, first of all, and in the settings
``GATEWAY_CLIENT = {"issuer": ..., "audience": ...}`` with what else ``Verifier`` and ``Door`` take.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import wraps
from typing import Any, Final, TypeVar, cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.http import HttpRequest, HttpResponse

from gateway_client.access import Door, check
from gateway_client.assertions import Verifier
from gateway_client.errors import Refused
from gateway_client.user import User

View = TypeVar("View", bound=Callable[..., Any])
_FIELD: Final = "HTTP_X_GATEWAY_ASSERTION"
_USER: Final = "_gateway_client_user"


class GatewayMiddleware:
    """Finds out who asks before Django does anything else with a request."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self._get_response = get_response
        self._door = door_of(getattr(settings, "GATEWAY_CLIENT", {}))
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        if self._is_async:
            return self._answer_soon(request)
        try:
            setattr(request, _USER, self._door.enter(_fields(request), request.path))
        except Refused as refused:
            return _answer(refused)
        return self._get_response(request)

    async def _answer_soon(self, request: HttpRequest) -> HttpResponse:
        try:
            setattr(request, _USER, await self._door.enter_soon(_fields(request), request.path))
        except Refused as refused:
            return _answer(refused)
        return await self._get_response(request)


def door_of(given: Mapping[str, Any]) -> Door:
    """Return what the setting ``GATEWAY_CLIENT`` describes. Raises ImproperlyConfigured."""
    own = {name: given[name] for name in ("anonymous", "open_paths") if name in given}
    try:
        return Door(Verifier(**{name: value for name, value in given.items() if name not in own}), **own)
    except (TypeError, ValueError) as error:
        raise ImproperlyConfigured(f"GATEWAY_CLIENT: {error}") from error


def current_user(request: HttpRequest) -> User | None:
    """Return who asks. Raises AttributeError without the middleware."""
    user: User | None = getattr(request, _USER)
    return user


def require_auth(*, roles: Collection[str] = (), scopes: Collection[str] = ()) -> Callable[[View], View]:
    """Let a view be called only by users with any of these roles and all of these scopes.

    On a class, ``@method_decorator(require_auth(...), name="dispatch")``.
    """

    def decorate(view: View) -> View:
        if iscoroutinefunction(view):

            @wraps(view)
            async def guarded_soon(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
                try:
                    check(current_user(request), roles=roles, scopes=scopes)
                except Refused as refused:
                    return _answer(refused)
                return await view(request, *args, **kwargs)

            return cast("View", guarded_soon)

        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
            try:
                check(current_user(request), roles=roles, scopes=scopes)
            except Refused as refused:
                return _answer(refused)
            return view(request, *args, **kwargs)

        return cast("View", guarded)

    return decorate


def _fields(request: HttpRequest) -> list[str]:
    # Servers join several fields with commas, which no assertion has in it.
    return [request.META[_FIELD]] if _FIELD in request.META else []


def _answer(refused: Refused) -> HttpResponse:
    return HttpResponse(
        refused.body(), status=refused.status, headers=refused.headers, content_type="application/problem+json"
    )
