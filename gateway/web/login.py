"""The login page: a name, a password, and back to where the person was going."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from aiohttp import web

from gateway.accounts.factors.factors import MFA
from gateway.accounts.factors.passkeys import Passkeys
from gateway.accounts.login import PasswordLogin
from gateway.accounts.sessions import SessionOwner
from gateway.clock import Clock
from gateway.errors import FieldError, LoginRefused, Overloaded, TooManyAttempts
from gateway.federation.provider import Provider, by_address, default_for
from gateway.policy.challenge import challenge_header
from gateway.translation.words import later
from gateway.web.continuing import Continuations
from gateway.web.csrf import FIELD, Csrf
from gateway.web.form import read_form
from gateway.web.frame import Frame
from gateway.web.handover import Onward, read_challenge
from gateway.web.moments import wait
from gateway.web.pages import Pages, redirect
from gateway.web.return_to import Destination, ReturnTo
from gateway.web.session_storage import browser_session
from gateway.web.signing_in import PASSKEY, SigningIn, kept
from gateway.web.visit import Visits

FORM: Final = "login"
_LONGEST_NAME_SHOWN: Final = 400
# OpenID Connect Core 1.0 section 3.1.2.1: the form is shown although somebody is signed in.
_PROMPTS: Final = frozenset({"login", "select_account"})
# What a route asks for that takes a second factor, or a sign-in at most so many seconds ago (`max_age`).
MFA_PROMPT: Final = "mfa"
_LONGEST_AGE: Final = 10  # digits

EXPIRED: Final = FieldError("", later("This page was open for too long. Nothing is wrong: please sign in again."))
_WORDS: Final[Mapping[str, FieldError]] = {
    "bad_credentials": FieldError("", later("That name and password do not belong together. Please try again.")),
    "bad_passkey": FieldError(
        "", later("That passkey does not open an account here. Try another one, or use your password.")
    ),
    "inactive": FieldError("", later("This account has been disabled. Ask the person who runs this site.")),
    "unverified": FieldError("", later("This account's e-mail address has not been confirmed yet.")),
}


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why the form is shown again."""

    status: int
    errors: Sequence[FieldError]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Prompted:
    """How the page was asked to ask: who is signed in already, and what is filled in.

    ``query`` is what the form's address keeps of it.
    """

    signed_in_as: str
    switching: bool
    name: str
    remembered: bool
    query: Mapping[str, str]

    @classmethod
    def of(cls, query: Mapping[str, str], owner: SessionOwner | None) -> Prompted:
        passed_on = kept(query)
        if query.get("prompt") in _PROMPTS:
            passed_on["prompt"] = query["prompt"]
        switching = query.get("prompt") == "select_account"
        username = owner.username if owner is not None else ""
        name = query.get("login_hint") or ("" if switching else username)
        remembered = owner is not None and owner.session.remembered and not switching
        return cls(username, switching, name, remembered, passed_on)


class LoginPage:
    """GET shows the form, or sends a browser that is signed in onward; POST signs in."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        csrf: Csrf,
        password_login: PasswordLogin,
        onward: Onward,
        signing_in: SigningIn,
        return_to: ReturnTo,
        continuations: Continuations,
        visits: Visits,
        clock: Clock,
        passkeys: Passkeys | None,
        providers: Collection[Provider],
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._csrf = csrf
        self._password_login = password_login
        self._onward = onward
        self._signing_in = signing_in
        self._return_to = return_to
        self._continuations = continuations
        self._visits = visits
        self._clock = clock
        self._passkeys = passkeys
        self._providers = providers
        self.path = pages.path("login")

    def routes(self) -> list[web.RouteDef]:
        return [web.get(self.path, self._frame(self.show)), web.post(self.path, self._frame(self.submit))]

    async def show(self, request: web.Request) -> web.Response:
        destination = self._return_to.read(request.query.get("rd"))
        owner = (await browser_session(request)).owner
        if owner is None or self._asks_anew(request.query, owner):
            if owner is None and (elsewhere := self._sent_on(request, destination)) is not None:
                return elsewhere
            return await self._form(request, destination)
        if request.query.get("prompt") == MFA_PROMPT and MFA not in owner.session.methods:
            return await self._signing_in.step_up(request, owner, destination)
        challenge = read_challenge(request.query.get("handover"))
        url = await self._onward.url(owner, destination, challenge)
        if url == self.path:  # there is nothing to go on to
            return self._pages.render(
                "signed_in",
                username=owner.username,
                account_url=self._pages.path("account"),
                logout_url=self._pages.path("logout"),
            )
        return redirect(url, status=302)

    def _sent_on(self, request: web.Request, destination: Destination | None) -> web.Response | None:
        """Send somebody to the provider of the application that they want; not when they came back to choose."""
        if destination is None or "choose" in request.query or "prompt" in request.query:
            return None
        provider = default_for(self._providers, destination.host)
        return redirect(self._provider_path(provider, destination), status=302) if provider is not None else None

    def _provider_path(self, provider: Provider, destination: Destination | None, **more: str) -> str:
        return self._pages.path(f"login/with/{provider.name}", destination, **more)

    def _asks_anew(self, query: Mapping[str, str], owner: SessionOwner) -> bool:
        """Say whether somebody who is signed in is asked to do so again."""
        return query.get("prompt") in _PROMPTS or signed_in_before(query, owner, self._clock.now())

    async def submit(self, request: web.Request) -> web.Response:
        destination = self._return_to.read(request.query.get("rd"))
        fields = await read_form(request)
        visit = self._visits.of(request)
        name = fields.get("username", "")
        if not self._csrf.came_from_us(request, visit.host, FORM, fields.get(FIELD, "")):
            return await self._form(request, destination, name, fields, Refusal(403, [EXPIRED], {}))
        if (provider := by_address(self._providers, name)) is not None:
            there = self._provider_path(provider, destination, login_hint=name.strip())
            return redirect(there)
        password = fields.get("password", "")
        if missing := _missing(name, password):
            return await self._form(request, destination, name, fields, Refusal(400, missing, {}))
        try:
            user = await self._password_login.authenticate(
                name, password, visit.address, self._signing_in.device_of(request)
            )
        except (LoginRefused, Overloaded) as error:
            return await self._form(request, destination, name, fields, refusal(error))
        remembered = "remember" in fields
        try:
            return await self._signing_in.go_on(request, user, destination, remembered=remembered)
        except LoginRefused as error:
            return await self._form(request, destination, name, fields, refusal(error))

    async def refuse(self, request: web.Request, fields: Mapping[str, str], refused: Refusal) -> web.Response:
        """Show the form again after another way to sign in that did not work."""
        return await self._form(request, self._return_to.read(request.query.get("rd")), fields=fields, refused=refused)

    async def _form(
        self,
        request: web.Request,
        destination: Destination | None,
        name: str = "",
        fields: Mapping[str, str] | None = None,
        refused: Refusal | None = None,
    ) -> web.Response:
        owner = (await browser_session(request)).owner
        prompted = Prompted.of(request.query, owner)
        continuing = await self._continuations.of(destination)
        passkey = await self._passkey(destination, prompted, owner)
        token = self._csrf.before_login(request, FORM)
        asked = {"prompt": "login"} if prompted.signed_in_as else {}
        response = self._pages.render(
            "login",
            status=refused.status if refused else 200,
            leads_to=continuing.sources,
            action=self._pages.path("login", destination, **prompted.query),
            register_url=self._pages.path("register", destination),
            forgot_url=self._pages.path("forgot"),
            going_to=continuing.name,
            signed_in_as=prompted.signed_in_as,
            switching=prompted.switching,
            csrf_token=token.token,
            username=(prompted.name if fields is None else name)[:_LONGEST_NAME_SHOWN],
            remember=prompted.remembered if fields is None else "remember" in fields,
            errors=refused.errors if refused else (),
            fetches=passkey is not None,
            passkey=passkey,
            providers=[(each, self._provider_path(each, destination, **asked)) for each in self._providers],
            by_address=any(each.settings.domains for each in self._providers),
        )
        response.headers.update(refused.headers if refused else {})
        self._csrf.attach(response, token)
        return response

    async def _passkey(
        self, destination: Destination | None, prompted: Prompted, owner: SessionOwner | None
    ) -> Mapping[str, str] | None:
        """Return where a passkey is sent, and where to ask what it signs; None when there is none to be used."""
        if self._passkeys is None:
            return None
        query = dict(prompted.query)
        if owner is not None and not prompted.switching:  # one of their own, whatever it is that asks them
            query["prompt"] = "login"
            if not await self._passkeys.list_for(owner.account_id):
                return None
        return {
            "action": self._pages.path(PASSKEY, destination, **query),
            "options": self._pages.path(f"{PASSKEY}/options", None, **query),
        }


def signed_in_before(query: Mapping[str, str], owner: SessionOwner, now: datetime) -> bool:
    """Say whether a sign-in is older than the page was asked for. What cannot be read asks for nothing."""
    age = query.get("max_age", "")
    if not age.isascii() or not age.isdigit() or len(age) > _LONGEST_AGE:
        return False
    return now - owner.session.authenticated_at > timedelta(seconds=int(age))


def refusal(error: LoginRefused | Overloaded) -> Refusal:
    """Return the words and the status for a login that did not work."""
    if isinstance(error, Overloaded | TooManyAttempts):
        retry = {"Retry-After": str(error.retry_after_seconds)}
        if isinstance(error, Overloaded):
            busy = FieldError("", later("Many people are signing in right now. Please try again in a few seconds."))
            return Refusal(503, [busy], retry)
        message = later("Too many tries did not work. Please wait %(time)s, then try again.")
        tried = FieldError("", message, {"time": wait(error.retry_after_seconds)})
        return Refusal(429, [tried], retry)
    words = _WORDS.get(error.reason, _WORDS["bad_credentials"])
    if error.reason in {"inactive", "unverified"}:
        return Refusal(403, [words], {})
    return Refusal(401, [words], {"WWW-Authenticate": challenge_header(())})


def _missing(name: str, password: str) -> list[FieldError]:
    errors = []
    if not name.strip():
        errors.append(FieldError("username", later("Enter your username or e-mail address.")))
    if not password:
        errors.append(FieldError("password", later("Enter your password.")))
    return errors
