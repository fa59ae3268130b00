"""The page between password and session: a code of an app, or one of those written down."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from gateway.accounts.factors.factors import OTP, SecondFactors, methods_with
from gateway.accounts.factors.pending import PendingLogin, PendingLogins
from gateway.errors import FieldError, TooManyAttempts
from gateway.problem import Problem
from gateway.translation.words import later
from gateway.web.continuing import Continuations
from gateway.web.cookies import Cookies
from gateway.web.csrf import FIELD, Csrf
from gateway.web.form import read_form
from gateway.web.frame import Frame
from gateway.web.login import Refusal, refusal
from gateway.web.pages import Pages, redirect
from gateway.web.return_to import Destination, ReturnTo
from gateway.web.signing_in import SECOND_FACTOR, SigningIn, kept
from gateway.web.visit import Visits

FORM: Final = "second factor"
_WRONG: Final = FieldError("code", later("That code is not right, or was used before. Wait for the next one."))
_EMPTY: Final = FieldError("code", later("Enter the code that your app shows."))
_EXPIRED: Final = FieldError("", later("This page was open for too long. Nothing is wrong: please send it again."))
_OVER: Final = Problem(401, "second_factor_failed", "Too many wrong codes: the login has to begin anew.")


class SecondFactorPage:
    """``/login/second-factor``: GET asks, POST signs in."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        csrf: Csrf,
        cookies: Cookies,
        second_factors: SecondFactors,
        pending_logins: PendingLogins,
        signing_in: SigningIn,
        return_to: ReturnTo,
        continuations: Continuations,
        visits: Visits,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._csrf = csrf
        self._cookies = cookies
        self._second_factors = second_factors
        self._pending_logins = pending_logins
        self._signing_in = signing_in
        self._return_to = return_to
        self._continuations = continuations
        self._visits = visits

    def routes(self) -> list[web.RouteDef]:
        path = self._pages.path(SECOND_FACTOR)
        return [web.get(path, self._frame(self.show)), web.post(path, self._frame(self.submit))]

    async def show(self, request: web.Request) -> web.Response:
        destination = self._return_to.read(request.query.get("rd"))
        waiting = await self.waiting(request)
        if waiting is None:
            return self.start_over(request)
        return await self._form(request, destination, waiting[1])

    async def submit(self, request: web.Request) -> web.Response:
        destination = self._return_to.read(request.query.get("rd"))
        fields = await read_form(request)
        visit = self._visits.of(request)
        waiting = await self.waiting(request)
        if waiting is None:
            return self.start_over(request)
        secret, pending = waiting
        if not self._csrf.came_from_us(request, visit.host, FORM, fields.get(FIELD, "")):
            return await self._form(request, destination, pending, Refusal(403, [_EXPIRED], {}))
        code = fields.get("code", "")
        if not code.strip():
            return await self._form(request, destination, pending, Refusal(400, [_EMPTY], {}))
        try:
            right = await self._second_factors.verify(pending.account_id, code, visit.address)
        except TooManyAttempts as error:
            return await self._form(request, destination, pending, refusal(error))
        if not right:
            return await self._wrong(request, destination, pending, secret)
        return await self.finish(request, secret, OTP, trust="trust" in fields)

    async def finish(self, request: web.Request, secret: str, method: str, *, trust: bool) -> web.Response:
        """Sign in whoever waits with ``secret`` and has proven ``method``, an RFC 8176 name."""
        done = await self._pending_logins.finish(secret)
        if done is None or not await self._signing_in.goes_on(request, done):
            return self.start_over(request)
        return await self._signing_in.finish(
            request,
            done.account_id,
            self._return_to.read(request.query.get("rd")),
            revision=done.revision,
            methods=methods_with(done.methods, method),
            remembered=done.remembered,
            authenticated_at=done.authenticated_at,
            external=done.external,
            trust_device=trust,
        )

    async def _wrong(
        self, request: web.Request, destination: Destination | None, pending: PendingLogin, secret: str
    ) -> web.Response:
        if await self._pending_logins.fail(secret):
            return await self._form(request, destination, pending, Refusal(401, [_WRONG], {}))
        again = self._pages.path("login", destination, **kept(request.query))
        return self._frame.problem(request, _OVER, retry=again)

    async def waiting(self, request: web.Request) -> tuple[str, PendingLogin] | None:
        """Return the login that waits in this browser for its second factor, with its secret."""
        secret = self._cookies.pending.read(request)
        pending = await self._pending_logins.find(secret)
        return (secret, pending) if secret is not None and pending is not None and not pending.must_enrol else None

    def start_over(self, request: web.Request) -> web.Response:
        """Send a browser to the login page: nothing waits in it, or not any more."""
        destination = self._return_to.read(request.query.get("rd"))
        return redirect(self._pages.path("login", destination, **kept(request.query)))

    async def refuse(self, request: web.Request, pending: PendingLogin, refused: Refusal) -> web.Response:
        """Ask again after another factor that did not work."""
        return await self._form(request, self._return_to.read(request.query.get("rd")), pending, refused)

    async def _form(
        self,
        request: web.Request,
        destination: Destination | None,
        pending: PendingLogin,
        refused: Refusal | None = None,
    ) -> web.Response:
        has = await self._second_factors.of(pending.account_id)
        offered = self._passkey(request, destination) if has.passkeys and self._second_factors.passkeys_open else None
        continuing = await self._continuations.of(destination)
        token = self._csrf.before_login(request, FORM)
        remember_for = self._second_factors.remember_for
        response = self._pages.render(
            "second_factor",
            status=refused.status if refused else 200,
            leads_to=continuing.sources,
            fetches=offered is not None,
            passkey=offered,
            action=self._pages.path(SECOND_FACTOR, destination, **kept(request.query)),
            again_url=self._pages.path("login", destination, **kept(request.query)),
            going_to=continuing.name,
            csrf_token=token.token,
            has=has,
            trust_for=remember_for.total_seconds() if remember_for else None,
            errors=refused.errors if refused else (),
        )
        response.headers.update(refused.headers if refused else {})
        self._csrf.attach(response, token)
        return response

    def _passkey(self, request: web.Request, destination: Destination | None) -> Mapping[str, str]:
        """Return where a passkey is sent, and where to ask what it signs."""
        path = f"{SECOND_FACTOR}/passkey"
        return {
            "action": self._pages.path(path, destination, **kept(request.query)),
            "options": self._pages.path(f"{path}/options"),
        }
