"""``/admin/users``: everybody's accounts, for administrators. What gives or takes a right needs a recent sign-in."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from gateway.accounts.accounts import Accounts
from gateway.accounts.changes import Changes
from gateway.accounts.logins import logins_of
from gateway.accounts.user import User
from gateway.errors import FieldError, InvalidInput
from gateway.translation.words import later
from gateway.web.console import Console
from gateway.web.field_words import sentence
from gateway.web.pages import Pages, redirect
from gateway.web.signed_in import SignedIn, Visitor

PAGE: Final = "admin/users"
FORM: Final = "users"
_ON_A_PAGE: Final = 50
_MOST_PAGES: Final = 10_000
_LONGEST_SEARCH: Final = 100
_DONE: Final[Mapping[str, str]] = {
    "roles": later("The roles are saved."),
    "disabled": later("The account is disabled. Its sessions and refresh tokens have ended."),
    "enabled": later("The account can be used again."),
    "verified": later("The e-mail address counts as confirmed."),
    "signed_out": later("They are signed out everywhere."),
    "unlocked": later("The wrong passwords are forgotten: they can try again."),
    "invited": later("The invitation is on its way."),
}
_LABELS: Final[Mapping[str, str]] = {"roles": later("The roles"), "email": later("The e-mail address")}

_Act = Callable[[User], Awaitable[str]]


class UsersPages:
    """The list with its search, one user's page, and what is done there."""

    def __init__(self, *, pages: Pages, signed_in: SignedIn, console: Console, accounts: Accounts) -> None:
        self._pages = pages
        self._signed_in = signed_in
        self._console = console
        self._accounts = accounts
        self._path = pages.path(PAGE)

    def routes(self) -> list[web.RouteDef]:
        signed_in, user = self._signed_in, f"{self._path}/{{user}}"
        acts: Mapping[str, _Act] = {
            "disable": self._disable,
            "enable": self._enable,
            "verify": self._verify,
            "sign-out": self._sign_out,
            "unlock": self._unlock,
        }
        return [
            web.get(self._path, signed_in(self.overview, admins_only=True)),
            # Before the users: nobody's id is this, and names are not looked up here.
            web.post(f"{self._path}/invite", signed_in(self.invite, admins_only=True, fresh=True)),
            web.get(user, signed_in(self.show, admins_only=True)),
            web.post(f"{user}/roles", signed_in(self.set_roles, admins_only=True, fresh=True)),
            *(
                web.post(f"{user}/{name}", signed_in(self._doing(act), admins_only=True, fresh=True))
                for name, act in acts.items()
            ),
        ]

    async def overview(self, request: web.Request, visitor: Visitor) -> web.Response:
        return await self._list(request, visitor)

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        user = await self._accounts.users.get(request.match_info["user"])
        return await self._page(visitor, user, notice=_DONE.get(request.query.get("done", ""), ""))

    async def set_roles(self, request: web.Request, visitor: Visitor) -> web.Response:
        form = await self._signed_in.read_form(request, visitor, FORM)
        user = await self._accounts.users.get(request.match_info["user"])
        given = form.get("roles", "")
        try:
            await self._accounts.users.change(user.id, Changes(roles=_listed(given)))
        except InvalidInput as error:
            return await self._page(visitor, user, errors=error.errors, roles=given)
        return redirect(f"{self._url(user)}?done=roles")

    async def invite(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Invite somebody. Where no mail is sent, the link is shown this once, to be passed on."""
        form = await self._signed_in.read_form(request, visitor, FORM)
        email, roles = form.get("email", ""), _listed(form.get("roles", ""))
        try:
            made = await self._accounts.recovery.invitations.invite(
                email, roles or None, invited_by=visitor.owner.account_id
            )
        except InvalidInput as error:
            return await self._list(request, visitor, form, error.errors)
        if made.sent:
            return redirect(f"{self._path}?done=invited")
        return self._render("user_invited", visitor, email=made.email, link=made.url)

    def _doing(self, act: _Act) -> Callable[[web.Request, Visitor], Awaitable[web.Response]]:
        async def done(request: web.Request, visitor: Visitor) -> web.Response:
            await self._signed_in.read_form(request, visitor, FORM)
            user = await self._accounts.users.get(request.match_info["user"])
            try:
                what = await act(user)
            except InvalidInput as error:
                return await self._page(visitor, user, errors=error.errors)
            return redirect(f"{self._url(user)}?done={what}")

        return done

    async def _disable(self, user: User) -> str:
        await self._accounts.users.change(user.id, Changes(is_active=False))
        return "disabled"

    async def _enable(self, user: User) -> str:
        await self._accounts.users.change(user.id, Changes(is_active=True))
        return "enabled"

    async def _verify(self, user: User) -> str:
        await self._accounts.users.change(user.id, Changes(is_verified=True))
        return "verified"

    async def _sign_out(self, user: User) -> str:
        await self._accounts.refresh_tokens.revoke_account(user.id, "signed out by an administrator")
        await self._accounts.sessions.revoke_account(user.id)
        return "signed_out"

    async def _unlock(self, user: User) -> str:
        await self._accounts.login.unlock(user)
        return "unlocked"

    async def _list(
        self,
        request: web.Request,
        visitor: Visitor,
        form: Mapping[str, str] | None = None,
        errors: Sequence[FieldError] = (),
    ) -> web.Response:
        search = request.query.get("search", "")[:_LONGEST_SEARCH]
        number = _page_number(request.query.get("page", ""))
        found = await self._accounts.users.page(limit=_ON_A_PAGE, offset=(number - 1) * _ON_A_PAGE, search=search)
        return self._render(
            "users",
            visitor,
            status=400 if errors else 200,
            notice=_DONE.get(request.query.get("done", ""), ""),
            errors=[sentence(error, _LABELS) for error in errors],
            values={name: value[:400] for name, value in (form or {}).items()},
            users=[(user, self._url(user)) for user in found.items],
            total=found.total,
            search=search,
            earlier=self._list_url(search, number - 1) if number > 1 else "",
            later=self._list_url(search, number + 1) if number * _ON_A_PAGE < found.total else "",
        )

    async def _page(
        self,
        visitor: Visitor,
        user: User,
        errors: Sequence[FieldError] = (),
        notice: str = "",
        roles: str | None = None,
    ) -> web.Response:
        return self._render(
            "user",
            visitor,
            status=400 if errors else 200,
            notice=notice,
            errors=[sentence(error, _LABELS) for error in errors],
            user=user,
            roles=", ".join(user.roles) if roles is None else roles[:2000],
            known_roles=await self._accounts.users.roles(),
            logins=logins_of(await self._accounts.sessions.list_for(user.id)),
            has=await self._accounts.second_factors.of(user.id),
            url=self._url(user),
        )

    def _render(self, template: str, visitor: Visitor, **values: Any) -> web.Response:
        return self._console.render(template, visitor, PAGE, form=FORM, list_url=self._path, **values)

    def _url(self, user: User) -> str:
        return f"{self._path}/{user.id}"

    def _list_url(self, search: str, number: int) -> str:
        return f"{self._path}?search={quote(search, safe='', errors='replace')}&page={number}"


def _listed(text: str) -> list[str]:
    return [role.strip() for role in text.split(",") if role.strip()]


def _page_number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 1  # noqa: PLR2004 - _MOST_PAGES
    return min(max(number, 1), _MOST_PAGES)
