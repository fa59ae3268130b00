"""Pages for somebody who is signed in: whoever is not signs in first, and their forms are bound to their session."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from typing import Final

from aiohttp import web

from gateway.accounts.sessions import FRESH, SessionOwner
from gateway.accounts.user import ADMIN
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.problem import Problem
from gateway.refusal import FORBIDDEN
from gateway.translation.catalogs import choose
from gateway.translation.words import speak
from gateway.web.csrf import FIELD, Csrf
from gateway.web.form import read_form
from gateway.web.frame import Frame, PageHandler
from gateway.web.pages import Pages, redirect
from gateway.web.return_to import ReturnTo
from gateway.web.session_storage import browser_session
from gateway.web.visit import Visits

_EXPIRED: Final = Problem(403, "form_expired", "The form does not belong to this session.")


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is signed in. ``secret`` is what their forms are bound to."""

    owner: SessionOwner
    secret: str = field(repr=False)

    @property
    def is_admin(self) -> bool:
        return ADMIN in self.owner.roles


VisitorHandler = Callable[[web.Request, Visitor], Awaitable[web.StreamResponse]]


class FormExpired(GatewayError):
    """A form that this session's page has not made: another session's, another site's, or none."""


class SignedIn:
    """Wraps handlers of pages that take somebody who is signed in."""

    def __init__(
        self, frame: Frame, pages: Pages, csrf: Csrf, return_to: ReturnTo, visits: Visits, clock: Clock
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._csrf = csrf
        self._return_to = return_to
        self._visits = visits
        self._clock = clock

    def __call__(self, handler: VisitorHandler, *, admins_only: bool = False, fresh: bool = False) -> PageHandler:
        """Return ``handler`` behind a sign-in that leads back here; with ``admins_only`` others are refused.

        ``fresh`` takes somebody who has signed in within `FRESH`: whoever finds a browser open must not change what
        keeps them out. Others confirm who they are, and a form comes back empty.
        """

        @wraps(handler)
        async def visited(request: web.Request) -> web.StreamResponse:
            session = await browser_session(request)
            if session.owner is None or session.identity is None:
                return redirect(self._pages.path("login", self._return_to.read(request.raw_path)))
            visitor = Visitor(session.owner, session.identity)
            speak(choose(visitor.owner.language, request.headers.get("Accept-Language", "")))
            if admins_only and not visitor.is_admin:
                return self._frame.problem(request, FORBIDDEN)
            if fresh and not self.is_fresh(visitor):
                return self.confirm(request)
            try:
                return await handler(request, visitor)
            except FormExpired:
                return self._frame.problem(request, _EXPIRED, retry=request.raw_path)

        return self._frame(visited)

    def is_fresh(self, visitor: Visitor) -> bool:
        """Say whether somebody has signed in a short while ago."""
        return self._clock.now() - visitor.owner.session.authenticated_at <= FRESH

    def confirm(self, request: web.Request) -> web.Response:
        """Send somebody to sign in again, and back: to the page itself, or from a form to the section it stood in."""
        back = request.raw_path
        if request.method not in {"GET", "HEAD"}:
            root = self._pages.path("").rstrip("/")
            back = f"{root}/" + "/".join(request.path.removeprefix(f"{root}/").split("/")[:2])
        return redirect(self._pages.path("login", self._return_to.read(back), prompt="login"))

    def token(self, visitor: Visitor, form: str) -> str:
        """Return the hidden field of ``form``, the name of what it does; good in this session alone."""
        return self._csrf.token(form, visitor.secret)

    async def read_form(self, request: web.Request, visitor: Visitor, form: str) -> Mapping[str, str]:
        """Return the fields of ``form``. Raises FormExpired unless our page made it for this session, InvalidInput."""
        fields = await read_form(request)
        host = self._visits.of(request).host
        if not self._csrf.holds(request, host, form, visitor.secret, fields.get(FIELD, "")):
            raise FormExpired
        return fields
