"""``/account/password``: a new password, for whoever knows the present one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from gateway.accounts.mail.notices import Notices
from gateway.accounts.throttle.attempts import Attempts
from gateway.accounts.users import Users
from gateway.errors import FieldError, InvalidInput
from gateway.translation.words import later
from gateway.web.console import Console
from gateway.web.field_words import sentence
from gateway.web.pages import Pages, redirect
from gateway.web.signed_in import SignedIn, Visitor
from gateway.web.visit import Visits

PAGE: Final = "account/password"
FORM: Final = "password"
_DONE: Final[Mapping[str, str]] = {
    "changed": later("Your password is changed. You are signed out everywhere else."),
}
_LABELS: Final[Mapping[str, str]] = {"current": later("The present password"), "password": later("The new password")}


class PasswordPage:
    """Changes one's password. Whoever finds a browser open gets no more guesses here than at the login."""

    def __init__(
        self,
        *,
        pages: Pages,
        signed_in: SignedIn,
        console: Console,
        users: Users,
        attempts: Attempts,
        notices: Notices,
        visits: Visits,
    ) -> None:
        self._pages = pages
        self._signed_in = signed_in
        self._console = console
        self._users = users
        self._attempts = attempts
        self._notices = notices
        self._visits = visits

    def routes(self) -> list[web.RouteDef]:
        page, signed_in = self._pages.path(PAGE), self._signed_in
        return [web.get(page, signed_in(self.show, fresh=True)), web.post(page, signed_in(self.change, fresh=True))]

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        return await self._page(visitor, notice=_DONE.get(request.query.get("done", ""), ""))

    async def change(self, request: web.Request, visitor: Visitor) -> web.Response:
        form = await self._signed_in.read_form(request, visitor, FORM)
        owner = visitor.owner
        reserved = await self._attempts.reserve(owner.account_id, self._visits.of(request).address)
        try:
            user = await self._users.change_password(
                owner.account_id, form.get("current", ""), form.get("password", ""), owner.session.id
            )
        except InvalidInput as error:
            if all(each.field != "current" for each in error.errors):
                await self._attempts.forgive(reserved)
            return await self._page(visitor, error.errors)
        await self._attempts.forgive(reserved)
        await self._notices.password_changed(user)
        return redirect(self._pages.path(PAGE, done="changed"))

    async def _page(self, visitor: Visitor, errors: Sequence[FieldError] = (), notice: str = "") -> web.Response:
        known = await self._users.credentials(visitor.owner.username)
        return self._console.render(
            "password",
            visitor,
            PAGE,
            status=400 if errors else 200,
            form=FORM,
            notice=notice,
            errors=[sentence(error, _LABELS) for error in errors],
            username=visitor.owner.username,
            has_password=known is not None and known[1] is not None,
            url=self._pages.path(PAGE),
        )
