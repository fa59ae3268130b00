"""``/account/profile``: one's name, username, language and e-mail address."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from gateway.accounts.changes import Changes
from gateway.accounts.recovery.email_change import EmailChanges
from gateway.accounts.users import Users
from gateway.errors import FieldError, InvalidInput
from gateway.translation.catalogs import languages
from gateway.translation.words import later
from gateway.web.console import Console
from gateway.web.field_words import sentence
from gateway.web.pages import Pages, redirect
from gateway.web.signed_in import SignedIn, Visitor

PAGE: Final = "account/profile"
FORM: Final = "profile"
_DONE: Final[Mapping[str, str]] = {
    "saved": later("Saved."),
    "written": later("We have written to you. The new address counts once you have followed the link in the letter."),
    "given_up": later("The address stays as it is."),
}
_LABELS: Final[Mapping[str, str]] = {
    "name": later("The name"),
    "username": later("The username"),
    "language": later("The language"),
    "email": later("The e-mail address"),
}


class ProfilePage:
    """Shows and changes it. The address takes a recent sign-in: whoever has it can get the account back."""

    def __init__(
        self, *, pages: Pages, signed_in: SignedIn, console: Console, users: Users, email_changes: EmailChanges
    ) -> None:
        self._pages = pages
        self._signed_in = signed_in
        self._console = console
        self._users = users
        self._email_changes = email_changes

    def routes(self) -> list[web.RouteDef]:
        page, signed_in = self._pages.path(PAGE), self._signed_in
        return [
            web.get(page, signed_in(self.show)),
            web.post(page, signed_in(self.save)),
            web.post(f"{page}/email", signed_in(self.change_email, fresh=True)),
            web.post(f"{page}/email/keep", signed_in(self.keep_email)),
        ]

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        return await self._page(visitor, {}, notice=_DONE.get(request.query.get("done", ""), ""))

    async def save(self, request: web.Request, visitor: Visitor) -> web.Response:
        form = await self._signed_in.read_form(request, visitor, FORM)
        changes = Changes(name=form.get("name"), username=form.get("username"), language=form.get("language"))
        try:
            await self._users.change(visitor.owner.account_id, changes)
        except InvalidInput as error:
            return await self._page(visitor, form, error.errors)
        return redirect(self._pages.path(PAGE, done="saved"))

    async def change_email(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Where letters can be sent, both addresses are asked first; elsewhere it counts at once, unconfirmed."""
        form = await self._signed_in.read_form(request, visitor, FORM)
        user = await self._users.get(visitor.owner.account_id)
        email = form.get("email", "")
        try:
            if self._email_changes.possible:
                await self._email_changes.begin(user, email)
                return redirect(self._pages.path(PAGE, done="written"))
            if email != user.email:
                await self._users.change(user.id, Changes(email=email, is_verified=False))
        except InvalidInput as error:
            return await self._page(visitor, form, error.errors)
        return redirect(self._pages.path(PAGE, done="saved"))

    async def keep_email(self, request: web.Request, visitor: Visitor) -> web.Response:
        await self._signed_in.read_form(request, visitor, FORM)
        await self._email_changes.give_up(visitor.owner.account_id)
        return redirect(self._pages.path(PAGE, done="given_up"))

    async def _page(
        self, visitor: Visitor, form: Mapping[str, str], errors: Sequence[FieldError] = (), notice: str = ""
    ) -> web.Response:
        user = await self._users.get(visitor.owner.account_id)
        stored = {"name": user.name, "username": user.username, "language": user.language, "email": user.email}
        return self._console.render(
            "profile",
            visitor,
            PAGE,
            status=400 if errors else 200,
            form=FORM,
            notice=notice,
            errors=[sentence(error, _LABELS) for error in errors],
            values={name: form.get(name, value)[:400] for name, value in stored.items()},
            user=user,
            languages=[(tag, each.locale.get_display_name() or tag) for tag, each in languages().items()],
            waiting=await self._email_changes.waiting(user.id),
            by_letter=self._email_changes.possible,
            url=self._pages.path(PAGE),
        )
