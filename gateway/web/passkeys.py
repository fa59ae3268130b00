"""Passkeys on the login pages: alone, to confirm who is signed in, and as the second factor.

A script fetches what to ask the authenticator, puts its answer into a form, and sends that: what follows is a page.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from gateway.accounts.factors.passkey_login import Known, PasskeyLogin
from gateway.accounts.factors.passkeys import Passkeys
from gateway.errors import FieldError, LoginRefused, NotFound, PasskeyRefused
from gateway.problem import Problem, problem_response
from gateway.translation.words import later
from gateway.web.cookies import Cookies
from gateway.web.csrf import FIELD, Csrf
from gateway.web.form import read_form
from gateway.web.frame import Frame, PageHandler
from gateway.web.login import EXPIRED, LoginPage, Refusal, refusal
from gateway.web.login import FORM as LOGIN_FORM
from gateway.web.pages import Pages, redirect
from gateway.web.return_to import ReturnTo
from gateway.web.second_factor import FORM as SECOND_FACTOR_FORM
from gateway.web.second_factor import SecondFactorPage
from gateway.web.session_storage import browser_session
from gateway.web.signing_in import PASSKEY, SECOND_FACTOR, SigningIn
from gateway.web.visit import Visits

CREDENTIAL: Final = "credential"
_REFUSED: Final = FieldError("", later("That passkey did not work. Please try again."))
FORM_EXPIRED: Final = Problem(403, "form_expired", "The page was open for too long: it has to be loaded again.")
_NOBODY: Final = Problem(404, "not_found", "No passkey can be asked for here.")
_log: Final = logging.getLogger(__name__)


class PasskeyLoginPage:
    """``/login/passkey``: signs in with a passkey alone. With ``prompt=login`` it has to be whoever is signed in."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        csrf: Csrf,
        cookies: Cookies,
        login_page: LoginPage,
        passkey_login: PasskeyLogin,
        signing_in: SigningIn,
        return_to: ReturnTo,
        visits: Visits,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._csrf = csrf
        self._cookies = cookies
        self._login_page = login_page
        self._passkey_login = passkey_login
        self._signing_in = signing_in
        self._return_to = return_to
        self._visits = visits

    def routes(self) -> list[web.RouteDef]:
        path = self._pages.path(PASSKEY)
        return [
            web.get(path, self._frame(form_of(self._pages.path("login")))),
            web.post(f"{path}/options", self._frame(self.options)),
            web.post(path, self._frame(self.submit)),
        ]

    async def options(self, request: web.Request) -> web.Response:
        fields = await read_form(request)
        browser = self._browser(request, fields)
        if browser is None:
            return problem_response(FORM_EXPIRED, self._frame.request_id(request))
        try:
            return options_response(await self._passkey_login.options(browser, await self._known(request)))
        except NotFound:
            return problem_response(_NOBODY, self._frame.request_id(request))

    async def submit(self, request: web.Request) -> web.Response:
        fields = await read_form(request)
        browser = self._browser(request, fields)
        if browser is None:
            return await self._login_page.refuse(request, fields, Refusal(403, [EXPIRED], {}))
        try:
            user, methods = await self._passkey_login.authenticate(
                browser, fields.get(CREDENTIAL, ""), await self._known(request)
            )
        except LoginRefused as error:
            return await self._login_page.refuse(request, fields, refusal(error))
        return await self._signing_in.finish(
            request,
            user.id,
            self._return_to.read(request.query.get("rd")),
            revision=user.revision,
            methods=methods,
            remembered="remember" in fields,
        )

    def _browser(self, request: web.Request, fields: Mapping[str, str]) -> str | None:
        """Return what the browser holds when its page has sent this."""
        host = self._visits.of(request).host
        came_from_us = self._csrf.came_from_us(request, host, LOGIN_FORM, fields.get(FIELD, ""))
        return self._cookies.form.read(request) if came_from_us else None

    async def _known(self, request: web.Request) -> Known | None:
        session = await browser_session(request)
        if request.query.get("prompt") != "login" or session.owner is None or session.identity is None:
            return None
        return Known(session.owner.account_id, session.identity)


class PasskeySecondFactor:
    """``/login/second-factor/passkey``: a passkey after the password."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        csrf: Csrf,
        page: SecondFactorPage,
        passkeys: Passkeys,
        visits: Visits,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._csrf = csrf
        self._page = page
        self._passkeys = passkeys
        self._visits = visits

    def routes(self) -> list[web.RouteDef]:
        path = self._pages.path(f"{SECOND_FACTOR}/passkey")
        return [
            web.get(path, self._frame(form_of(self._pages.path(SECOND_FACTOR)))),
            web.post(f"{path}/options", self._frame(self.options)),
            web.post(path, self._frame(self.submit)),
        ]

    async def options(self, request: web.Request) -> web.Response:
        fields = await read_form(request)
        waiting = await self._page.waiting(request)
        if waiting is None or not self._came_from_us(request, fields):
            return problem_response(FORM_EXPIRED, self._frame.request_id(request))
        secret, pending = waiting
        try:
            return options_response(await self._passkeys.confirmation_options(pending.account_id, secret))
        except NotFound:
            return problem_response(_NOBODY, self._frame.request_id(request))

    async def submit(self, request: web.Request) -> web.Response:
        fields = await read_form(request)
        waiting = await self._page.waiting(request)
        if waiting is None:
            return self._page.start_over(request)
        secret, pending = waiting
        if not self._came_from_us(request, fields):
            return await self._page.refuse(request, pending, Refusal(403, [EXPIRED], {}))
        try:
            proof = await self._passkeys.confirm(pending.account_id, secret, fields.get(CREDENTIAL, ""))
        except PasskeyRefused as error:
            _log.info("a passkey was refused: %s %r", error.reason, error.detail)
            return await self._page.refuse(request, pending, Refusal(401, [_REFUSED], {}))
        return await self._page.finish(request, secret, proof.method, trust="trust" in fields)

    def _came_from_us(self, request: web.Request, fields: Mapping[str, str]) -> bool:
        host = self._visits.of(request).host
        return self._csrf.came_from_us(request, host, SECOND_FACTOR_FORM, fields.get(FIELD, ""))


def form_of(page: str) -> PageHandler:
    """Return a handler for whoever opens the address that a form was sent to: it leads to the form's page."""

    async def back(request: web.Request) -> web.StreamResponse:
        query = request.rel_url.raw_query_string
        return redirect(f"{page}?{query}" if query else page)

    return back


def options_response(options: Mapping[str, Any]) -> web.Response:
    """Answer a script with what it is to ask the authenticator."""
    return web.json_response(options, headers={"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"})
