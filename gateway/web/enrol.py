"""The page for those whose role demands a second factor and who have none: it is set up before they are let in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from gateway.accounts.factors.factors import OTP, SecondFactors, methods_with
from gateway.accounts.factors.pending import PendingLogins
from gateway.accounts.factors.totp import Enrolment
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.errors import FieldError, NotFound
from gateway.translation.words import later, text
from gateway.web.cookies import Cookies
from gateway.web.csrf import FIELD, Csrf
from gateway.web.form import read_form
from gateway.web.frame import Frame
from gateway.web.pages import Pages, redirect
from gateway.web.qr_code import qr_code
from gateway.web.return_to import Destination, ReturnTo
from gateway.web.signing_in import ENROL, SigningIn, kept
from gateway.web.visit import Visits

FORM: Final = "enrol"
_WRONG: Final = FieldError(
    "code", later("That code is not right. Check that the clock of your phone is, and type the one that it shows now.")
)
EXPIRED: Final = FieldError("", later("This page was open for too long. Nothing is wrong: please send it again."))


class EnrolPage:
    """``/login/enrol``: GET shows what to photograph, POST takes the first code and signs in."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        csrf: Csrf,
        cookies: Cookies,
        users: Users,
        second_factors: SecondFactors,
        pending_logins: PendingLogins,
        signing_in: SigningIn,
        return_to: ReturnTo,
        visits: Visits,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._csrf = csrf
        self._cookies = cookies
        self._users = users
        self._second_factors = second_factors
        self._pending_logins = pending_logins
        self._signing_in = signing_in
        self._return_to = return_to
        self._visits = visits

    def routes(self) -> list[web.RouteDef]:
        path = self._pages.path(ENROL)
        return [
            web.get(path, self._frame(self.show), allow_head=False),
            web.post(path, self._frame(self.submit)),
        ]

    async def show(self, request: web.Request) -> web.Response:
        destination = self._return_to.read(request.query.get("rd"))
        waiting = await self.waiting(request)
        if waiting is None:
            return self.start_over(request)
        return await self._begin(request, destination, waiting[1])

    async def submit(self, request: web.Request) -> web.Response:
        destination = self._return_to.read(request.query.get("rd"))
        fields = await read_form(request)
        waiting = await self.waiting(request)
        if waiting is None:
            return self.start_over(request)
        secret, user = waiting
        if not self._csrf.came_from_us(request, self._visits.of(request).host, FORM, fields.get(FIELD, "")):
            return await self._begin(request, destination, user, 403, [EXPIRED])
        enrolment = await self._second_factors.unproven_totp(user, fields.get("app", ""))
        if enrolment is None:
            return await self._begin(request, destination, user, 400, [EXPIRED])
        proven = await self._second_factors.prove_totp(user, enrolment.id, fields.get("code", ""))
        if proven is None:
            return self._form(request, destination, enrolment, 400, [_WRONG])
        return await self.finish(request, secret, OTP, proven.recovery_codes)

    async def finish(self, request: web.Request, secret: str, method: str, codes: Sequence[str]) -> web.Response:
        """Sign in whoever waits with ``secret`` and has set up ``method``, an RFC 8176 name."""
        done = await self._pending_logins.finish(secret)
        if done is None or not await self._signing_in.goes_on(request, done):
            return self.start_over(request)
        destination = self._return_to.read(request.query.get("rd"))
        await self._signing_in.begin(
            request,
            done.account_id,
            revision=done.revision,
            methods=methods_with(done.methods, method),
            remembered=done.remembered,
            authenticated_at=done.authenticated_at,
            external=done.external,
        )
        response = self._pages.render(
            "recovery_codes", codes=codes, on_url=self._signing_in.next_url(request, destination)
        )
        await self._signing_in.settle(request, response, done.account_id)
        return response

    async def waiting(self, request: web.Request) -> tuple[str, User] | None:
        """Return whose login waits in this browser for a second factor to be set up, with its secret."""
        secret = self._cookies.pending.read(request)
        pending = await self._pending_logins.find(secret)
        if secret is None or pending is None or not pending.must_enrol:
            return None
        if await self._second_factors.of(pending.account_id):
            return None
        if not await self._signing_in.goes_on(request, pending):  # the session that it adds to is over
            return None
        return secret, await self._users.get(pending.account_id)

    async def refuse(self, request: web.Request, user: User, status: int, error: FieldError) -> web.Response:
        """Show the page again after another factor that could not be set up."""
        return await self._begin(request, self._return_to.read(request.query.get("rd")), user, status, [error])

    def start_over(self, request: web.Request) -> web.Response:
        """Send a browser to the login page: nothing waits in it, or not any more."""
        destination = self._return_to.read(request.query.get("rd"))
        return redirect(self._pages.path("login", destination, **kept(request.query)))

    async def _begin(
        self,
        request: web.Request,
        destination: Destination | None,
        user: User,
        status: int = 200,
        errors: Sequence[FieldError] = (),
    ) -> web.Response:
        try:
            enrolment = await self._second_factors.begin_totp(user, text("Authenticator app"))
        except NotFound:  # deleted a moment ago
            return self.start_over(request)
        return self._form(request, destination, enrolment, status, errors)

    def _form(
        self,
        request: web.Request,
        destination: Destination | None,
        enrolment: Enrolment,
        status: int = 200,
        errors: Sequence[FieldError] = (),
    ) -> web.Response:
        token = self._csrf.before_login(request, FORM)
        response = self._pages.render(
            "enrol",
            status=status,
            action=self._pages.path(ENROL, destination, **kept(request.query)),
            again_url=self._pages.path("login", destination, **kept(request.query)),
            csrf_token=token.token,
            app=enrolment.id,
            secret=enrolment.secret,
            picture=qr_code(enrolment.uri),
            errors=errors,
            fetches=self._second_factors.passkeys_open,
            passkey={
                "action": self._pages.path(f"{ENROL}/passkey", destination, **kept(request.query)),
                "options": self._pages.path(f"{ENROL}/passkey/options"),
            },
            passkeys_open=self._second_factors.passkeys_open,
        )
        self._csrf.attach(response, token)
        return response
