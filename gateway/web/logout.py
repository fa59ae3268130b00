"""Signing out: of the portal and of every host that this login reached, at once.

GET asks and POST does it, so that no link, image or prefetch signs anybody out. On application hosts
``/.gateway/sign_out`` may be a plain link of the application: it does it when the browser vouches for the click.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.accounts.sessions import SessionOwner
from gateway.federation.federation import Federation
from gateway.problem import Problem
from gateway.web.cookies import Cookies
from gateway.web.csrf import FIELD, Csrf
from gateway.web.form import read_form
from gateway.web.frame import Frame
from gateway.web.pages import Pages, redirect
from gateway.web.return_to import Destination, ReturnTo
from gateway.web.session_storage import BrowserSession, browser_session
from gateway.web.visit import Visits

FORM: Final = "logout"
SIGN_OUT: Final = "/.gateway/sign_out"
_VOUCHED: Final = frozenset({"same-origin", "same-site", "none"})
_EXPIRED: Final = Problem(403, "form_expired", "The form does not belong to this session.")


class LogoutPage:
    """The portal's `/logout` and every host's `/.gateway/sign_out`."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        csrf: Csrf,
        cookies: Cookies,
        return_to: ReturnTo,
        visits: Visits,
        home: str,
        federation: Federation,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._csrf = csrf
        self._cookies = cookies
        self._return_to = return_to
        self._visits = visits
        self._home = home
        self._federation = federation
        self.path = pages.path("logout")

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get(self.path, self._frame(self.show)),
            web.post(self.path, self._frame(self.submit)),
            web.get(SIGN_OUT, self._frame(self.sign_out), allow_head=False),
            web.post(SIGN_OUT, self._frame(self.sign_out)),
        ]

    async def show(self, request: web.Request) -> web.Response:
        session = await browser_session(request)
        destination = self._return_to.read(request.query.get("rd"))
        if session.owner is None:
            return self._signed_out(request, destination)
        stay_url = destination.url if destination else self._home
        return self._ask(session, session.owner, self._pages.path("logout", destination), stay_url)

    async def submit(self, request: web.Request) -> web.Response:
        session = await browser_session(request)
        destination = self._return_to.read(request.query.get("rd"))
        if session.owner is not None:
            if not await self._confirmed(request, session):
                return self._frame.problem(request, _EXPIRED, retry=self._pages.path("logout", destination))
            session.invalidate()
            if (there := await self._end_there(session.owner.session.login_id)) is not None:
                return there
        return redirect(self._pages.path("logout", destination))

    async def _end_there(self, login_id: str) -> web.Response | None:
        """Send a browser on to the provider that its login rested on, where that is wanted."""
        name = await self._federation.sessions.provider_of(login_id)
        provider = self._federation.providers.get(name or "")
        if provider is None:
            return None
        url = await self._federation.sessions.end_there(provider, self._pages.portal("logout"))
        return self._pages.render("going_on", url=url, going_to=provider.label) if url is not None else None

    async def sign_out(self, request: web.Request) -> web.Response:
        """End the login where the person certainly meant it; ask where another site may have sent them."""
        session = await browser_session(request)
        if request.method == "POST" and request.headers.get("Sec-Fetch-Site") == "cross-site":
            return redirect(SIGN_OUT)  # a cross-site POST comes without our cookie; the GET after it brings it
        if session.owner is None:
            return self._signed_out(request, None)
        if not vouched(request) and not (request.method == "POST" and await self._confirmed(request, session)):
            return self._ask(session, session.owner, SIGN_OUT, "/")
        session.invalidate()
        return self._signed_out(request, None)

    async def _confirmed(self, request: web.Request, session: BrowserSession) -> bool:
        if session.identity is None:
            return False
        token = (await read_form(request)).get(FIELD, "")
        return self._csrf.holds(request, self._visits.of(request).host, FORM, session.identity, token)

    def _ask(self, session: BrowserSession, owner: SessionOwner, action: str, stay_url: str) -> web.Response:
        return self._pages.render(
            "logout",
            action=action,
            csrf_token=self._csrf.token(FORM, str(session.identity)),
            username=owner.username,
            stay_url=stay_url,
        )

    def _signed_out(self, request: web.Request, destination: Destination | None) -> web.Response:
        host = self._visits.of(request).host
        if destination is None and host != self._return_to.portal_host:
            destination = self._return_to.read(f"{self._return_to.origin(host)}/")
        response = self._pages.render("signed_out", login_url=self._pages.portal("login", destination))
        if self._cookies.session.name in request.headers.get("Cookie", ""):
            self._cookies.session.delete(response)
        return response


def vouched(request: web.BaseRequest) -> bool:
    """Tell whether the browser says that the person came here from a page of this site, or by themselves.

    A page can be made to fetch an address as an image or in advance; only a navigation counts.
    """
    return (
        request.headers.get("Sec-Fetch-Site") in _VOUCHED
        and request.headers.get("Sec-Fetch-Mode") == "navigate"
        and request.headers.get("Sec-Fetch-Dest", "document") == "document"
        and "Sec-Purpose" not in request.headers
    )
