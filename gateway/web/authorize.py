"""``/oauth/authorize``: where an application sends a browser, and where the browser is sent on."""

from __future__ import annotations

from urllib.parse import urlencode

from aiohttp import web

from gateway.oauth.authorize import Authorization, NeedsConsent, NeedsLogin, NotByItself, RequestRefused, ToClient
from gateway.oauth.parameters import read_parameters
from gateway.oauth.problem import OAuthError
from gateway.oauth.strangers import Strangers
from gateway.problem import Problem
from gateway.translation.words import later, text
from gateway.web.application import destination_of
from gateway.web.frame import Frame
from gateway.web.pages import Action, Pages, redirect
from gateway.web.session_storage import browser_session

AUTHORIZE = "oauth/authorize"
CONSENT = "oauth/consent"


class AuthorizePage:
    """The authorization endpoint (RFC 6749 section 3.1)."""

    def __init__(self, *, frame: Frame, pages: Pages, authorization: Authorization, strangers: Strangers) -> None:
        self._frame = frame
        self._pages = pages
        self._authorization = authorization
        self._strangers = strangers

    def routes(self) -> list[web.RouteDef]:
        path = self._pages.path(AUTHORIZE)
        return [web.get(path, self._frame(self.authorize), allow_head=False), web.post(path, self._frame(self.post))]

    async def authorize(self, request: web.Request) -> web.Response:
        try:
            parameters = await read_parameters(request)
            owner = (await browser_session(request)).owner
            if owner is None and "request_uri" not in parameters:
                self._strangers.admit(request)
            outcome = await self._authorization.decide(parameters, owner)
        except OAuthError as error:
            return self._refused(request, error)
        return self._offered(request, outcome) if isinstance(outcome, NotByItself) else self._answer(outcome)

    async def post(self, request: web.Request) -> web.Response:
        """Take a request from a form (OpenID Connect Core 1.0 section 3.1.2.1), and go on with a GET.

        Another site's form brings no cookie of ours, the GET after it does.
        """
        try:
            parameters = await read_parameters(request)
            if "request_uri" not in parameters:
                self._strangers.admit(request)
                request_uri = await self._authorization.keep(parameters)
                query = {"client_id": parameters["client_id"], "request_uri": request_uri}
            else:
                query = {name: parameters[name] for name in ("client_id", "request_uri") if name in parameters}
        except OAuthError as error:
            return self._refused(request, error)
        return redirect(f"{self._pages.path(AUTHORIZE)}?{urlencode(query)}")

    def _offered(self, request: web.Request, outcome: NotByItself) -> web.Response:
        return self._pages.render(
            "error",
            status=outcome.error.status,
            heading=later("That did not work"),
            sentence=text(
                "%(name)s asked for something that it cannot get. %(why)s",
                name=outcome.client.name,
                why=outcome.error.description,
            ),
            actions=[
                Action(text("Back to %(place)s", place=destination_of(outcome.redirect_uri)), outcome.url, quiet=True)
            ],
            request_id=self._frame.request_id(request),
        )

    def _answer(self, outcome: ToClient | NeedsLogin | NeedsConsent) -> web.Response:
        match outcome:
            case ToClient():
                return redirect(outcome.url)
            case NeedsConsent():
                return redirect(f"{self._pages.path(CONSENT)}?{urlencode({'request_uri': outcome.request_uri})}")
            case NeedsLogin():
                query = {"rd": f"{self._pages.path(AUTHORIZE)}?{outcome.continue_at}"}
                if outcome.prompt:
                    query["prompt"] = outcome.prompt
                if outcome.login_hint:
                    query["login_hint"] = outcome.login_hint
                return redirect(f"{self._pages.path('login')}?{urlencode(query)}")

    def _refused(self, request: web.Request, error: OAuthError) -> web.Response:
        """Say it here: who asked, or where an answer belongs, is not certain (RFC 6749 section 4.1.2.1)."""
        detail = text(
            "The application's request cannot be used. %(why)s Go back to it and try again; if that does not help, "
            "tell the people who run it.",
            why=error.description,
        )
        code = "request_refused" if isinstance(error, RequestRefused) else error.error
        return self._frame.problem(request, Problem(error.status, code, detail, headers=error.headers))
