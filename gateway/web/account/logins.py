"""``/account/logins``: the providers that an account can be opened with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from gateway.accounts.accounts import Accounts
from gateway.errors import FieldError, InvalidInput
from gateway.federation.federation import Federation
from gateway.translation.words import later
from gateway.web.console import Console
from gateway.web.pages import Pages, redirect
from gateway.web.signed_in import SignedIn, Visitor

PAGE: Final = "account/logins"
FORM: Final = "logins"
_DONE: Final[Mapping[str, str]] = {
    "linked": later("You can sign in with it from now on."),
    "unlinked": later("It opens your account no more."),
    "none": later("It was taken away already."),
}


class LoginsPage:
    """Shows them, and takes them away; linking is of the pages that lead to providers."""

    def __init__(
        self, *, pages: Pages, signed_in: SignedIn, console: Console, accounts: Accounts, federation: Federation
    ) -> None:
        self._pages = pages
        self._signed_in = signed_in
        self._console = console
        self._accounts = accounts
        self._federation = federation

    def routes(self) -> list[web.RouteDef]:
        page, signed_in = self._pages.path(PAGE), self._signed_in
        return [
            web.get(page, signed_in(self.show)),
            web.post(f"{page}/unlink", signed_in(self.unlink, fresh=True)),
        ]

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        return await self._page(visitor, notice=_DONE.get(request.query.get("done", ""), ""))

    async def unlink(self, request: web.Request, visitor: Visitor) -> web.Response:
        fields = await self._signed_in.read_form(request, visitor, FORM)
        account_id = visitor.owner.account_id
        has = await self._accounts.second_factors.of(account_id)
        others = bool(has.passkeys) or await self._accounts.users.has_password(account_id)
        try:
            gone = await self._federation.logins.unlink(
                account_id, fields.get("authority", "")[:2048], fields.get("subject", "")[:255], others=others
            )
        except InvalidInput as error:
            return await self._page(visitor, error.errors)
        return redirect(self._pages.path(PAGE, done="unlinked" if gone else "none"))

    async def _page(self, visitor: Visitor, errors: Sequence[FieldError] = (), notice: str = "") -> web.Response:
        held = await self._federation.logins.list_for(visitor.owner.account_id)
        providers = self._federation.providers
        linked = {each.provider for each in held}
        return self._console.render(
            "logins",
            visitor,
            PAGE,
            status=409 if errors else 200,
            form=FORM,
            notice=notice,
            errors=errors,
            logins=[
                (each, providers[each.provider].label if each.provider in providers else each.provider) for each in held
            ],
            more=[each for each in providers.values() if each.name not in linked],
            url=self._pages.path(PAGE),
        )
