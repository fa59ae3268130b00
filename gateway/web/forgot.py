"""``/forgot`` and ``/reset``: back in with a link to the account's address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web

from gateway.accounts.recovery.forgotten import Forgotten
from gateway.errors import FieldError, InvalidInput, Overloaded, TooManyAttempts
from gateway.translation.words import later
from gateway.web.field_words import sentence
from gateway.web.letter_pages import EXPIRED, LetterPages
from gateway.web.login import Refusal, refusal
from gateway.web.visit import Visits

FORGOT: Final = "forgot"
RESET: Final = "reset"
_LONGEST_SHOWN: Final = 400
_LABELS: Final[Mapping[str, str]] = {"password": later("The password")}
_EMPTY: Final = FieldError("username", later("Enter your username or e-mail address."))


class ForgotPages:
    """One asks for a link, the other takes it. What is answered tells nobody who has an account."""

    def __init__(self, letter_pages: LetterPages, forgotten: Forgotten, visits: Visits) -> None:
        self._letter_pages = letter_pages
        self._forgotten = forgotten
        self._visits = visits

    def routes(self) -> list[web.RouteDef]:
        pages, framed = self._letter_pages.pages, self._letter_pages
        return [
            web.get(pages.path(FORGOT), framed(self.show_forgot)),
            web.post(pages.path(FORGOT), framed(self.ask)),
            web.get(pages.path(RESET), framed(self.show_reset), allow_head=False),
            web.post(pages.path(RESET), framed(self.reset)),
        ]

    async def show_forgot(self, request: web.Request) -> web.Response:
        return self._forgot(request, request.query.get("login_hint", ""))

    async def ask(self, request: web.Request) -> web.Response:
        fields, ours = await self._letter_pages.read(request, FORGOT)
        name = fields.get("username", "")
        if not ours:
            return self._forgot(request, name, Refusal(403, [EXPIRED], {}))
        if not self._forgotten.possible:
            return self._forgot(request, name)
        if not name.strip():
            return self._forgot(request, name, Refusal(400, [_EMPTY], {}))
        try:
            await self._forgotten.ask(name.strip(), self._visits.of(request).address)
        except TooManyAttempts as error:
            return self._forgot(request, name, refusal(error))
        return self._letter_pages.pages.render("forgot_sent", login_url=self._letter_pages.pages.path("login"))

    async def show_reset(self, request: web.Request) -> web.Response:
        token = request.query.get("token", "")
        user = await self._forgotten.owner(token)
        return self._letter_pages.form(request, RESET, token=token, username=user.username)

    async def reset(self, request: web.Request) -> web.Response:
        fields, ours = await self._letter_pages.read(request, RESET)
        token = fields.get("token", "")
        user = await self._forgotten.owner(token)
        if not ours:
            return self._reset_form(request, token, user.username, Refusal(403, [EXPIRED], {}))
        try:
            await self._forgotten.reset(token, fields.get("password", ""))
        except InvalidInput as error:
            errors = [sentence(each, _LABELS) for each in error.errors]
            return self._reset_form(request, token, user.username, Refusal(400, errors, {}))
        except Overloaded as error:
            return self._reset_form(request, token, user.username, refusal(error))
        pages = self._letter_pages.pages
        return pages.render("reset_done", login_url=pages.path("login", login_hint=user.username))

    def _forgot(self, request: web.Request, name: str, refused: Refusal | None = None) -> web.Response:
        response = self._letter_pages.form(
            request,
            FORGOT,
            token="",
            status=refused.status if refused else 200,
            errors=refused.errors if refused else (),
            username=name[:_LONGEST_SHOWN],
            possible=self._forgotten.possible,
            login_url=self._letter_pages.pages.path("login"),
        )
        response.headers.update(refused.headers if refused else {})
        return response

    def _reset_form(self, request: web.Request, token: str, username: str, refused: Refusal) -> web.Response:
        response = self._letter_pages.form(
            request, RESET, token=token, status=refused.status, errors=refused.errors, username=username
        )
        response.headers.update(refused.headers)
        return response
