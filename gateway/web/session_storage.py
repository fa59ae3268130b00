"""aiohttp-session on the session table. A row is born by a login alone, only updated while it lives, and ends for good.

The cookie holds nothing but the secret; unknown secrets are never adopted, so a session cannot be fixed in advance.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web
from aiohttp_session import AbstractStorage, Session, get_session, new_session

from gateway.accounts.sessions import Login, SessionOwner, Sessions
from gateway.clock import Clock
from gateway.web.cookies import Cookie
from gateway.web.visit import Visits


class BrowserSession(Session):
    """The session of ``owner``, or nobody's. ``begin`` and ``invalidate`` take effect when it is saved."""

    def __init__(self, secret: str | None, owner: SessionOwner | None) -> None:
        data: Any = None
        if owner is not None:
            data = {"created": int(owner.session.created_at.timestamp()), "session": dict(owner.data)}
        super().__init__(secret, data=data, new=owner is None)
        self.owner = owner
        self.login: Login | None = None
        self.ended = False

    def begin(self, login: Login) -> None:
        """Sign in: a new row with a new secret."""
        self.login = login
        self.changed()

    def invalidate(self) -> None:
        """Sign out, on every host that this login reached."""
        super().invalidate()
        self.ended = True


class SessionStorage(AbstractStorage):
    """Keeps `BrowserSession` in PostgreSQL."""

    def __init__(self, sessions: Sessions, cookie: Cookie, visits: Visits, clock: Clock) -> None:
        super().__init__(cookie_name=cookie.name, path="/", secure=cookie.secure, httponly=True, samesite="Lax")
        self._sessions = sessions
        self._cookie = cookie
        self._visits = visits
        self._clock = clock

    async def new_session(self) -> BrowserSession:
        return BrowserSession(None, None)

    async def load_session(self, request: web.Request) -> BrowserSession:
        """Return the session of the cookie on the request's host. Raises StorageUnavailable, TargetRejected."""
        secret = self._cookie.read(request)
        if secret is None:
            return BrowserSession(None, None)
        owner = await self._sessions.find(secret, self._visits.of(request).host)
        return BrowserSession(secret if owner is not None else None, owner)

    async def save_session(self, request: web.Request, response: web.StreamResponse, session: Session) -> None:
        """Make the row, end it, or update it. A session that was revoked meanwhile stays so."""
        if not isinstance(session, BrowserSession):
            raise TypeError("a session that this storage has not made")
        if session.login is not None:
            await self._begin(request, response, session.login, session)
        elif session.ended:
            if session.owner is not None:
                await self._sessions.revoke_login(session.owner.session.login_id)
            self._cookie.delete(response)
        elif session.owner is None or session.identity is None:
            raise RuntimeError("a session begins with a login")
        else:
            row = session.owner.session
            alive = await self._sessions.save_data(
                session.identity, dict(session), remembered=row.remembered, expires_at=row.expires_at
            )
            if not alive:
                self._cookie.delete(response)

    async def _begin(
        self, request: web.Request, response: web.StreamResponse, login: Login, session: BrowserSession
    ) -> None:
        before = (await self.load_session(request)).owner
        again = before is not None and before.account_id == login.account_id
        if before is not None and not again:
            # What the browser held before ends everywhere: nobody could sign it out any more.
            await self._sessions.revoke_login(before.session.login_id)
        # Whoever confirms who they are stays signed in on other hosts, and to applications.
        continued = before.session.login_id if before is not None and again else None
        secret, row = await self._sessions.create(login, dict(session), continued)
        if before is not None and again:
            await self._sessions.revoke(before.session.id)
        lasting = int((row.expires_at - self._clock.now()).total_seconds()) if row.remembered else None
        self._cookie.set(response, secret, lasting)


async def browser_session(request: web.Request) -> BrowserSession:
    """Return the request's session."""
    session = await get_session(request)
    if not isinstance(session, BrowserSession):
        raise TypeError("another session storage is installed")
    return session


async def begin_session(request: web.Request, login: Login) -> None:
    """Sign the browser in, with a new secret whatever it held before."""
    session = await new_session(request)
    if not isinstance(session, BrowserSession):
        raise TypeError("another session storage is installed")
    session.begin(login)
