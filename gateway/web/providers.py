"""``/login/with/{provider}`` and ``/login/callback/{provider}``: to another identity provider, and back."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from gateway.accounts.external import External
from gateway.accounts.user import User
from gateway.config.accounts import Registration
from gateway.errors import InvalidInput, LoginRefused
from gateway.federation.exchange import Answer
from gateway.federation.federation import Federation, Returned
from gateway.federation.profile import FederationRefused
from gateway.federation.provider import Provider
from gateway.federation.starts import LIFETIME
from gateway.problem import Problem
from gateway.translation.words import later
from gateway.web.cookies import Cookies
from gateway.web.form import read_form
from gateway.web.frame import Frame
from gateway.web.pages import Pages, redirect
from gateway.web.return_to import ReturnTo
from gateway.web.session_storage import browser_session
from gateway.web.signed_in import SignedIn, Visitor
from gateway.web.signing_in import SigningIn
from gateway.web.visit import RequestId

LOGIN: Final = "login"
LINK: Final = "link"
ACCOUNT_PAGE: Final = "account/logins"
FORM: Final = "logins"
FEDERATED: Final = ("fed",)
_MFA: Final = "mfa"
_COOKIE_SECONDS: Final = int(LIFETIME.total_seconds())
_NO_PROVIDER: Final = Problem(404, "not_found", "There is no such provider.")
_log: Final = logging.getLogger(__name__)

# Why somebody is not let in; whatever is not here is nothing that they could do anything about.
_REFUSED: Final[Mapping[str, Problem]] = {
    "denied": Problem(403, "provider_denied", later("You did not agree there, so nothing has happened.")),
    "not_begun": Problem(403, "ticket_refused", ""),
    "again": Problem(403, "ticket_refused", ""),
    "not_anew": Problem(403, "ticket_refused", ""),
    "provider_down": Problem(502, "provider_down", ""),
    "address_taken": Problem(403, "provider_address_taken", ""),
    "no_account": Problem(403, "provider_no_account", ""),
    "no_address": Problem(403, "provider_no_address", ""),
    "anothers": Problem(403, "provider_anothers", ""),
}
_UNBELIEVED: Final = Problem(403, "provider_refused", "")


class ProviderPages:
    """Sends browsers to providers and takes them back: to sign in, or to link an account."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        cookies: Cookies,
        federation: Federation,
        registration: Registration,
        signing_in: SigningIn,
        signed_in: SignedIn,
        return_to: ReturnTo,
        request_id: RequestId,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._cookies = cookies
        self._federation = federation
        self._registration = registration
        self._signing_in = signing_in
        self._signed_in = signed_in
        self._return_to = return_to
        self._request_id = request_id

    def routes(self) -> list[web.RouteDef]:
        if not self._federation.providers:
            return []
        there, back = self._pages.path("login/with"), self._pages.path("login/callback")
        link = self._pages.path(f"{ACCOUNT_PAGE}/link")
        return [
            web.get(f"{there}/{{provider}}", self._frame(self.start), allow_head=False),
            web.get(f"{back}/{{provider}}", self._frame(self.callback), allow_head=False),
            web.post(f"{back}/{{provider}}", self._frame(self.posted)),
            web.post(f"{link}/{{provider}}", self._signed_in(self.link, fresh=True)),
            web.post(f"{self._pages.path('login/logout')}/{{provider}}", self.signed_out_there),
        ]

    async def start(self, request: web.Request) -> web.Response:
        """Send the browser there. What another site has begun is shown the login page first."""
        provider = self._federation.providers.get(request.match_info["provider"])
        if provider is None:
            return self._frame.problem(request, _NO_PROVIDER)
        destination = self._return_to.read(request.query.get("rd"))
        if request.headers.get("Sec-Fetch-Site") == "cross-site":
            return redirect(self._pages.path("login", destination, choose="1"))
        anew = request.query.get("prompt") == "login"
        more = {"rd": destination.url} if destination is not None else {}
        hint = request.query.get("login_hint", "")[:254]
        return await self._begin(request, provider, LOGIN, more, anew=anew, login_hint=hint)

    async def link(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Let the account be opened by a provider: who they are there is proven first."""
        await self._signed_in.read_form(request, visitor, FORM)
        provider = self._federation.providers.get(request.match_info["provider"])
        if provider is None:
            return self._frame.problem(request, _NO_PROVIDER)
        return await self._begin(request, provider, LINK, {"account": visitor.owner.account_id}, by_form=True)

    async def posted(self, request: web.Request) -> web.Response:
        """Take a form that a provider has posted: the browser comes again, with its cookies this time (RFC 6265bis)."""
        fields = await read_form(request)
        return redirect(f"{request.path}?{urlencode(fields)}")

    async def signed_out_there(self, request: web.Request) -> web.Response:
        """Take a provider's word that somebody has signed out there (Back-Channel Logout 1.0 sections 2.5 to 2.8)."""
        provider = self._federation.providers.get(request.match_info["provider"])
        if provider is None:
            return self._frame.problem(request, _NO_PROVIDER)
        try:
            fields = await read_form(request)
            await self._federation.sessions.end_by(provider, fields.get("logout_token", ""))
        except (FederationRefused, InvalidInput) as error:
            _log.warning("a logout token was refused: %s", error, extra={"request_id": self._request_id(request)})
            return web.json_response({"error": "invalid_request"}, status=400)
        return web.Response(status=200)

    async def callback(self, request: web.Request) -> web.Response:
        """Take back a browser that a provider has sent."""
        name = request.match_info["provider"]
        try:
            answer = _answer(request)
            returned = await self._federation.take_back(
                name, frozenset({LOGIN, LINK}), answer, self._cookies.provider.read(request), self._redirect_uri(name)
            )
            if returned.started.purpose == LINK:
                return await self._linked(request, returned)
            user = await self._federation.logins.sign_in(returned.provider, returned.profile)
            return await self._let_in(request, user, returned)
        except FederationRefused as error:
            return self._refused(request, name, error)

    async def _begin(
        self,
        request: web.Request,
        provider: Provider,
        purpose: str,
        more: Mapping[str, str],
        *,
        anew: bool = False,
        login_hint: str = "",
        by_form: bool = False,
    ) -> web.Response:
        browser = self._cookies.provider.read(request) or secrets.token_urlsafe(32)
        try:
            url = await self._federation.begin(
                provider,
                purpose,
                browser,
                self._redirect_uri(provider.name),
                anew=anew,
                login_hint=login_hint,
                more=more,
            )
        except FederationRefused as error:
            return self._refused(request, provider.name, error)
        # A form's policy holds for the redirects after it; where a provider lives, a page cannot know beforehand.
        response = self._pages.render("going_on", url=url, going_to=provider.label) if by_form else redirect(url)
        self._cookies.provider.set(response, browser, _COOKIE_SECONDS)
        return response

    async def _let_in(self, request: web.Request, user: User, returned: Returned) -> web.Response:
        if not user.is_active:
            raise LoginRefused("inactive")
        if self._registration.require_verified_email and not user.is_verified:
            raise LoginRefused("unverified")
        profile, provider = returned.profile, returned.provider
        believed = provider.settings.trust_mfa and profile.has_two_factors
        at = profile.authenticated_at
        return await self._signing_in.go_on(
            request,
            user,
            self._return_to.read(returned.started.more.get("rd")),
            methods=(*FEDERATED, _MFA) if believed else FEDERATED,
            authenticated_at=datetime.fromtimestamp(at, UTC) if at is not None else None,
            external=External(profile.authority, profile.subject, provider.name, profile.session),
        )

    async def _linked(self, request: web.Request, returned: Returned) -> web.Response:
        owner = (await browser_session(request)).owner
        if owner is None or owner.account_id != returned.started.more.get("account"):
            raise FederationRefused("not_begun", "another account is signed in by now")
        await self._federation.logins.link(owner.account_id, returned.provider, returned.profile)
        return redirect(self._pages.path(ACCOUNT_PAGE, done="linked"))

    def _refused(self, request: web.Request, name: str, error: FederationRefused) -> web.Response:
        _log.warning(
            "a sign-in with %s was refused: %s", name[:40], error, extra={"request_id": self._request_id(request)}
        )
        return self._frame.problem(
            request, _REFUSED.get(error.reason, _UNBELIEVED), retry=self._pages.path("login", choose="1")
        )

    def _redirect_uri(self, name: str) -> str:
        return self._pages.portal(f"login/callback/{name}")


def _answer(request: web.Request) -> Answer:
    """Return what the browser brought back. Raises InvalidInput for a parameter that is there twice."""
    pairs = list(request.query.items())
    if len(dict(pairs)) != len(pairs):
        raise InvalidInput([])
    return Answer(dict(pairs))
