"""``/oauth/logout``: an application sends its person here to sign out everywhere (RP-Initiated Logout 1.0)."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from gateway.oauth.end_session import EndSessions, LogoutRequest
from gateway.oauth.parameters import Parameters, parse_parameters, read_parameters
from gateway.oauth.problem import OAuthError
from gateway.oauth.redirect_uri import origin_of
from gateway.problem import Problem
from gateway.translation.words import later, text
from gateway.web.application import destination_of
from gateway.web.continuing import go_on, to_application
from gateway.web.csrf import FIELD, Csrf
from gateway.web.frame import Frame
from gateway.web.pages import Action, Pages, redirect
from gateway.web.session_storage import BrowserSession, browser_session
from gateway.web.visit import Visits

PAGE = "oauth/logout"
FORM = "oauth logout"


class EndSessionPage:
    """The end-session endpoint. It asks, unless the request proves that it comes from this login's own application."""

    def __init__(self, *, frame: Frame, pages: Pages, csrf: Csrf, visits: Visits, end_sessions: EndSessions) -> None:
        self._frame = frame
        self._pages = pages
        self._csrf = csrf
        self._visits = visits
        self._end_sessions = end_sessions

    def routes(self) -> list[web.RouteDef]:
        path = self._pages.path(PAGE)
        return [web.get(path, self._frame(self.show)), web.post(path, self._frame(self.post))]

    async def show(self, request: web.Request) -> web.Response:
        try:
            parameters = await read_parameters(request)
            asked = await self._end_sessions.read(parameters)
        except OAuthError as error:
            return self._refused(request, error)
        session = await browser_session(request)
        if session.owner is None:
            return self._over(request, asked)
        if asked.is_vouched_for(session.owner, self._end_sessions.subjects):
            session.invalidate()
            return redirect(asked.return_url or self._pages.path("logout"))
        return self._ask(session, parameters, asked)

    async def post(self, request: web.Request) -> web.Response:
        """Take our own page's answer; an application's form goes on with a GET, which brings the session's cookie."""
        try:
            form = await read_parameters(request)
            if FIELD not in form:
                return redirect(f"{self._pages.path(PAGE)}?{urlencode(form.values_by_name(), doseq=True)}")
            asked = await self._end_sessions.read(parse_parameters(request.rel_url.raw_query_string.encode()))
        except OAuthError as error:
            return self._refused(request, error)
        session = await browser_session(request)
        if session.owner is None:
            return self._over(request, asked)
        host = self._visits.of(request).host
        if session.identity is None or not self._csrf.holds(request, host, FORM, session.identity, form[FIELD]):
            problem = Problem(403, "form_expired", "The form does not belong to this session.")
            return self._frame.problem(request, problem, retry=request.raw_path)
        session.invalidate()
        if asked.return_url is None or asked.client is None:
            return redirect(self._pages.path("logout"))
        return go_on(
            self._pages, request, asked.return_url, to_application(asked.client.name, asked.client, asked.return_url)
        )

    def _ask(self, session: BrowserSession, parameters: Parameters, asked: LogoutRequest) -> web.Response:
        # Without the hint: it is long, and what it could prove it did not.
        kept = {name: value for name, value in parameters.values_by_name().items() if name != "id_token_hint"}
        if asked.client is not None:
            kept["client_id"] = asked.client.id
        return self._pages.render(
            "logout",
            leads_to=(origin_of(asked.return_url),) if asked.return_url is not None else (),
            action=f"{self._pages.path(PAGE)}?{urlencode(kept, doseq=True)}",
            csrf_token=self._csrf.token(FORM, str(session.identity)),
            username=session.owner.username if session.owner is not None else "",
            stay_url=None,
        )

    def _over(self, request: web.Request, asked: LogoutRequest) -> web.Response:
        """Answer where nobody is signed in: on to the application, or here.

        To one that nobody has checked the person goes by themselves: else anybody could register an address and have
        people sent to it by a link of ours (RFC 9700 section 4.11.2).
        """
        if asked.return_url is None or asked.client is None or asked.client.is_checked:
            return redirect(asked.return_url or self._pages.path("logout"))
        return self._pages.render(
            "error",
            heading=later("You are signed out"),
            sentence=text("%(name)s sent you here.", name=asked.client.name),
            actions=[
                Action(text("Back to %(place)s", place=destination_of(asked.return_url)), asked.return_url, quiet=True)
            ],
            request_id=self._frame.request_id(request),
        )

    def _refused(self, request: web.Request, error: OAuthError) -> web.Response:
        detail = text(
            "The application sent you here with a request that cannot be used. %(why)s", why=error.description
        )
        return self._frame.problem(request, Problem(400, "request_refused", detail))
