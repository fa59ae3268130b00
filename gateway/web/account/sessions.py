"""``/account/sessions``: the browsers that are signed in, and the way to sign them out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final
from uuid import UUID

from aiohttp import web

from gateway.accounts.logins import logins_of
from gateway.accounts.sessions import Sessions
from gateway.tokens.refresh import RefreshTokens
from gateway.translation.words import later
from gateway.web.console import Console
from gateway.web.pages import Pages, redirect
from gateway.web.signed_in import SignedIn, Visitor

PAGE: Final = "account/sessions"
FORM: Final = "sessions"
_DONE: Final[Mapping[str, str]] = {
    "one": later("That browser is signed out."),
    "none": later("That browser was signed out already."),
    "others": later("Every other browser is signed out."),
}


class SessionsPage:
    """Shows an account's logins and ends them."""

    def __init__(
        self, *, pages: Pages, signed_in: SignedIn, console: Console, sessions: Sessions, refresh_tokens: RefreshTokens
    ) -> None:
        self._pages = pages
        self._signed_in = signed_in
        self._console = console
        self._sessions = sessions
        self._refresh_tokens = refresh_tokens

    def routes(self) -> list[web.RouteDef]:
        page, signed_in = self._pages.path(PAGE), self._signed_in
        return [
            web.get(page, signed_in(self.show)),
            web.post(f"{page}/end", signed_in(self.end)),
            web.post(f"{page}/end-others", signed_in(self.end_others)),
            web.post(f"{page}/end-all", signed_in(self.end_all)),
        ]

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        logins = logins_of(await self._sessions.list_for(visitor.owner.account_id))
        current = visitor.owner.session.login_id
        return self._console.render(
            "sessions",
            visitor,
            PAGE,
            form=FORM,
            notice=_DONE.get(request.query.get("done", ""), ""),
            logins=sorted(logins, key=lambda login: login.id != current),
            current=current,
            url=self._pages.path(PAGE),
        )

    async def end(self, request: web.Request, visitor: Visitor) -> web.Response:
        """End one login. One's own leads to the login page, as it is this browser's."""
        fields = await self._signed_in.read_form(request, visitor, FORM)
        ended = await self._end(visitor.owner.account_id, fields.get("login", ""))
        return redirect(self._pages.path(PAGE, done="one" if ended else "none"))

    async def end_others(self, request: web.Request, visitor: Visitor) -> web.Response:
        await self._signed_in.read_form(request, visitor, FORM)
        owner = visitor.owner
        await self._sessions.revoke_account(owner.account_id, except_login=owner.session.login_id)
        return redirect(self._pages.path(PAGE, done="others"))

    async def end_all(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Sign out everywhere, this browser and what programs hold included."""
        await self._signed_in.read_form(request, visitor, FORM)
        account_id = visitor.owner.account_id
        await self._refresh_tokens.revoke_account(account_id, "signed out everywhere")
        await self._sessions.revoke_account(account_id)
        return redirect(self._pages.path("login"))

    async def _end(self, account_id: str, login_id: str) -> bool:
        try:
            identifier = str(UUID(login_id))
        except ValueError:
            return False
        return bool(await self._sessions.revoke_login_of(account_id, identifier))
