"""The page where people make an account for themselves, while ``registration.enabled``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from gateway.accounts.recovery.registering import Registering
from gateway.accounts.user import TAKEN
from gateway.accounts.users import Users
from gateway.config.accounts import Registration
from gateway.errors import FieldError, InvalidInput, Overloaded, TooManyAttempts
from gateway.problem import Problem
from gateway.translation.words import later
from gateway.web.continuing import Continuations
from gateway.web.csrf import FIELD, Csrf
from gateway.web.field_words import sentence
from gateway.web.form import read_form
from gateway.web.frame import Frame
from gateway.web.login import Refusal, refusal
from gateway.web.moments import wait
from gateway.web.pages import Pages, redirect
from gateway.web.return_to import Destination, ReturnTo
from gateway.web.session_storage import browser_session
from gateway.web.signing_in import SigningIn
from gateway.web.visit import Visits

FORM: Final = "register"
_LONGEST_SHOWN: Final = 400
_CLOSED: Final = Problem(403, "registration_closed", "Only administrators make accounts here.")
_EXPIRED: Final = FieldError("", later("This page was open for too long. Nothing is wrong: please send it again."))
_LABELS: Final[Mapping[str, str]] = {
    "username": later("The username"),
    "email": later("This"),
    "password": later("The password"),
}

_TAKEN: Final[Mapping[str, str]] = {
    "username": later("This username"),
    "email": later("This e-mail address"),
}


class RegisterPage:
    """GET shows the form; POST makes the account and signs it in."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        csrf: Csrf,
        users: Users,
        registering: Registering,
        registration: Registration,
        signing_in: SigningIn,
        return_to: ReturnTo,
        continuations: Continuations,
        visits: Visits,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._csrf = csrf
        self._users = users
        self._registering = registering
        self._registration = registration
        self._signing_in = signing_in
        self._return_to = return_to
        self._continuations = continuations
        self._visits = visits
        self.path = pages.path("register")

    def routes(self) -> list[web.RouteDef]:
        return [web.get(self.path, self._frame(self.show)), web.post(self.path, self._frame(self.submit))]

    async def show(self, request: web.Request) -> web.Response:
        if not self._registration.enabled:
            return self._frame.problem(request, _CLOSED)
        destination = self._return_to.read(request.query.get("rd"))
        if (await browser_session(request)).owner is not None:
            return redirect(self._pages.path("login", destination), status=302)
        return await self._form(request, destination, {})

    async def submit(self, request: web.Request) -> web.Response:
        if not self._registration.enabled:
            return self._frame.problem(request, _CLOSED)
        destination = self._return_to.read(request.query.get("rd"))
        fields = await read_form(request)
        visit = self._visits.of(request)
        if not self._csrf.came_from_us(request, visit.host, FORM, fields.get(FIELD, "")):
            return await self._form(request, destination, fields, 403, [_EXPIRED])
        try:
            user = await self._registering.register(
                fields.get("username", "").strip(),
                fields.get("email", "").strip(),
                fields.get("password", ""),
                address=visit.address,
            )
        except InvalidInput as error:
            return await self._form(request, destination, fields, 400, [in_words(each) for each in error.errors])
        except (Overloaded, TooManyAttempts) as error:
            busy = _too_many(error) if isinstance(error, TooManyAttempts) else refusal(error)
            response = await self._form(request, destination, fields, busy.status, busy.errors)
            response.headers.update(busy.headers)
            return response
        if user is None or (self._registration.require_verified_email and not user.is_verified):
            return self._pages.render(
                "registered",
                email=fields.get("email", "").strip(),
                sent=self._registering.writes,
                login_url=self._pages.path("login", destination),
            )
        await self._users.logged_in(user.id)
        return await self._signing_in.go_on(request, user, destination)

    async def _form(
        self,
        request: web.Request,
        destination: Destination | None,
        fields: Mapping[str, str],
        status: int = 200,
        errors: Sequence[FieldError] = (),
    ) -> web.Response:
        continuing = await self._continuations.of(destination)
        token = self._csrf.before_login(request, FORM)
        response = self._pages.render(
            "register",
            status=status,
            leads_to=continuing.sources,
            going_to=continuing.name,
            action=self._pages.path("register", destination),
            login_url=self._pages.path("login", destination),
            csrf_token=token.token,
            username=fields.get("username", "")[:_LONGEST_SHOWN],
            email=fields.get("email", "")[:_LONGEST_SHOWN],
            errors=errors,
        )
        self._csrf.attach(response, token)
        return response


def in_words(error: FieldError) -> FieldError:
    """Make a sentence of what the account's rules say about a field."""
    return sentence(error, _TAKEN if error.message == TAKEN else _LABELS)


def _too_many(error: TooManyAttempts) -> Refusal:
    message = later("Many accounts were made from your network. Please wait %(time)s, then try again.")
    said = FieldError("", message, {"time": wait(error.retry_after_seconds)})
    return Refusal(429, [said], {"Retry-After": str(error.retry_after_seconds)})
