"""One login for every host: the portal hands a browser to another host with a single-use ticket.

    host    GET /.gateway/start?rd=      gives the browser a nonce there, asks the portal for a ticket
    portal  GET /login?rd=&handover=     signs the person in, or knows them; the ticket is bound to host and nonce
    host    GET /.gateway/callback       takes ticket and nonce, sets the host's own cookie, goes on to `rd`

The nonce never leaves its host: the portal sees its SHA-256 alone. So a ticket that leaks, or that somebody else
asked for, opens nothing in another browser and nothing on another host.
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from aiohttp import web

from gateway.accounts.sessions import Session, SessionOwner, Sessions
from gateway.clock import Clock
from gateway.policy.challenge import login_url
from gateway.problem import Problem
from gateway.web.cookies import Cookies
from gateway.web.frame import Frame
from gateway.web.pages import Pages, redirect
from gateway.web.return_to import Destination, Place, ReturnTo
from gateway.web.session_storage import browser_session
from gateway.web.visit import Visits

START: Final = "/.gateway/start"
CALLBACK: Final = "/.gateway/callback"
_NONCE_SECONDS: Final = 600
_CHALLENGE_LENGTH: Final = 43
_TICKET: Final = re.compile(r"[A-Za-z0-9_-]{43}")

_NO_HAND_OVER: Final = Problem(404, "no_hand_over", "No route names this host.")
_TICKET_REFUSED: Final = Problem(403, "ticket_refused", "The ticket is used, expired, or another browser's.")
_COOKIE_MISSING: Final = Problem(403, "cookie_missing", "The browser did not send the cookie of /.gateway/start.")


def challenge_of(nonce: str) -> str:
    """Return what the portal is shown of a nonce."""
    return urlsafe_b64encode(sha256(nonce.encode()).digest()).rstrip(b"=").decode()


def read_challenge(unverified: str | None) -> bytes | None:
    """Return the challenge's 32 bytes, or None for anything else."""
    if unverified is None or len(unverified) != _CHALLENGE_LENGTH or not unverified.isascii():
        return None
    try:
        raw = urlsafe_b64decode(unverified + "=")
    except ValueError:
        return None
    return raw if len(raw) == sha256().digest_size else None


class Onward:
    """Where the portal sends a browser that is signed in."""

    def __init__(self, sessions: Sessions, home: str) -> None:
        self._sessions = sessions
        self.home = home

    async def url(self, owner: SessionOwner, destination: Destination | None, challenge: bytes | None) -> str:
        """Return the next address on the way to ``destination``; with a challenge it carries the ticket."""
        if destination is None or challenge is None or destination.place is not Place.HOST:
            return self.first_step(destination)
        ticket = await self._sessions.issue_ticket(owner.session.id, destination.host, challenge)
        return f"{destination.origin}{CALLBACK}?ticket={ticket}&rd={quote(destination.path, safe='')}"

    def first_step(self, destination: Destination | None) -> str:
        """Return the next address for a browser that has no challenge yet."""
        if destination is None:
            return self.home
        if destination.place is Place.HOST:
            return f"{destination.origin}{START}?rd={quote(destination.path, safe='')}"
        return destination.url


class HandOver:
    """The two steps on the other host."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        sessions: Sessions,
        cookies: Cookies,
        return_to: ReturnTo,
        visits: Visits,
        clock: Clock,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._sessions = sessions
        self._cookies = cookies
        self._return_to = return_to
        self._visits = visits
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(START, self._frame(self.start), allow_head=False),
            web.get(CALLBACK, self._frame(self.callback), allow_head=False),
        ]

    async def start(self, request: web.Request) -> web.Response:
        """Give the browser a nonce on this host and send it to the portal for a ticket."""
        host = self._visits.of(request).host
        path = self._return_to.path_on(host, request.query.get("rd"))
        login = login_url(self._pages.portal_base, f"{self._return_to.origin(host)}{path}")
        if host == self._return_to.portal_host:
            return redirect(login, status=302)
        if not self._return_to.serves(host):
            return self._frame.problem(request, _NO_HAND_OVER)
        # One nonce serves every tab that is on its way.
        nonce = self._cookies.nonce.read(request) or secrets.token_urlsafe(32)
        response = redirect(f"{login}&handover={challenge_of(nonce)}", status=302)
        self._cookies.nonce.set(response, nonce, _NONCE_SECONDS)
        return response

    async def callback(self, request: web.Request) -> web.Response:
        """Take the ticket, set this host's cookie, and go on."""
        visit = self._visits.of(request)
        path = self._return_to.path_on(visit.host, request.query.get("rd"))
        nonce = self._cookies.nonce.read(request)
        if nonce is None:
            return self._refused(request, _COOKIE_MISSING, path)
        ticket = request.query.get("ticket", "")
        redeemed = None
        if _TICKET.fullmatch(ticket):
            redeemed = await self._sessions.redeem_ticket(
                ticket, visit.host, nonce, address=visit.address, user_agent=visit.user_agent
            )
        if redeemed is None:
            return self._refused(request, _TICKET_REFUSED, path)
        response = redirect(path)
        if await self._is_new_here(request, redeemed[1]):
            self._set_session(response, *redeemed)
        return response

    async def _is_new_here(self, request: web.Request, session: Session) -> bool:
        """Settle what this host's cookie stood for before. Returns False when that one stays.

        Two tabs may arrive at once: the second must not end the session that the first one's page is using.
        """
        before = (await browser_session(request)).owner
        if before is None:
            return True
        if before.session.login_id == session.login_id and _says_as_much(before.session, session):
            await self._sessions.revoke(session.id)
            return False
        await self._sessions.revoke(before.session.id)
        return True

    def _set_session(self, response: web.Response, secret: str, session: Session) -> None:
        lasting = int((session.expires_at - self._clock.now()).total_seconds())
        self._cookies.session.set(response, secret, lasting if session.remembered else None)

    def _refused(self, request: web.Request, problem: Problem, path: str) -> web.Response:
        return self._frame.problem(request, problem, retry=f"{START}?rd={quote(path, safe='')}")


def _says_as_much(held: Session, handed: Session) -> bool:
    """Say whether a host's session tells no less of how and when somebody signed in than the one handed to it."""
    return held.authenticated_at >= handed.authenticated_at and set(held.methods) >= set(handed.methods)
