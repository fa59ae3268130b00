"""``/account/security``: one's second factors. Changes take somebody who has signed in a short while ago."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

from gateway.accounts.factors.factors import SecondFactors
from gateway.accounts.factors.passkeys import Passkeys
from gateway.accounts.factors.totp import Enrolment
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.errors import FieldError, InvalidInput
from gateway.translation.words import later
from gateway.web.console import Console
from gateway.web.field_words import sentence
from gateway.web.pages import Pages, redirect
from gateway.web.qr_code import qr_code
from gateway.web.signed_in import SignedIn, Visitor

PAGE: Final = "account/security"
_ADD: Final = "add app"
CHANGE: Final = "second factors"
_WRONG: Final = FieldError(
    "code", later("That code is not right. Check that the clock of your phone is, and type the one that it shows now.")
)
_EXPIRED: Final = FieldError("", later("This page was open for too long. Nothing is wrong: please send it again."))
_LABELS: Final[Mapping[str, str]] = {"name": later("The name")}
_DONE: Final[Mapping[str, str]] = {
    "added": later("The app is set up. From now on, signing in asks for its codes."),
    "removed": later("The app is removed: its codes are worth nothing any more."),
    "passkey_added": later("The passkey is set up. It signs you in; your password alone does not any more."),
    "passkey_renamed": later("The passkey has its new name."),
    "passkey_removed": later("The passkey opens nothing here any more. Delete it from your device as well."),
    "distrusted": later("Every device will be asked for a code again."),
}


class SecurityPage:
    """Shows what an account has beside its password, adds and removes."""

    def __init__(
        self,
        *,
        pages: Pages,
        signed_in: SignedIn,
        console: Console,
        users: Users,
        second_factors: SecondFactors,
        passkeys: Passkeys,
    ) -> None:
        self._pages = pages
        self._signed_in = signed_in
        self._console = console
        self._users = users
        self._second_factors = second_factors
        self._passkeys = passkeys

    def routes(self) -> list[web.RouteDef]:
        page, signed_in = self._pages.path(PAGE), self._signed_in
        return [
            web.get(page, signed_in(self.show)),
            web.get(f"{page}/app", signed_in(self.begin, fresh=True), allow_head=False),
            web.post(f"{page}/app", signed_in(self.prove, fresh=True)),
            web.post(f"{page}/app/{{id}}/remove", signed_in(self.remove, fresh=True)),
            web.post(f"{page}/recovery-codes", signed_in(self.renew, fresh=True)),
            web.post(f"{page}/distrust", signed_in(self.distrust)),
        ]

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        return await self.page(visitor, notice=_DONE.get(request.query.get("done", ""), ""))

    async def begin(self, _request: web.Request, visitor: Visitor) -> web.Response:
        user = await self._user(visitor)
        try:
            await self._second_factors.check_room(user.id, "app")
        except InvalidInput as error:
            return await self.page(visitor, 409, error.errors)
        return self._setting_up(visitor, await self._second_factors.begin_totp(user, "app"))

    async def prove(self, request: web.Request, visitor: Visitor) -> web.Response:
        fields = await self._signed_in.read_form(request, visitor, _ADD)
        user = await self._user(visitor)
        enrolment = await self._second_factors.unproven_totp(user, fields.get("app", ""))
        if enrolment is None:
            return self._setting_up(visitor, await self._second_factors.begin_totp(user, "app"), 400, [_EXPIRED])
        typed = fields.get("name", "")
        try:
            name = await self._second_factors.check_room(user.id, typed)
        except InvalidInput as error:
            errors = [sentence(each, _LABELS) for each in error.errors]
            return self._setting_up(visitor, enrolment, 400, errors, typed)
        proven = await self._second_factors.prove_totp(user, enrolment.id, fields.get("code", ""), name)
        if proven is None:
            return self._setting_up(visitor, enrolment, 400, [_WRONG], name)
        if proven.recovery_codes:
            return self.codes(visitor, proven.recovery_codes, first=True)
        return redirect(f"{self._pages.path(PAGE)}?done=added")

    async def remove(self, request: web.Request, visitor: Visitor) -> web.Response:
        await self._signed_in.read_form(request, visitor, CHANGE)
        try:
            await self._second_factors.remove_totp(await self._user(visitor), request.match_info["id"])
        except InvalidInput as error:
            return await self.page(visitor, 409, error.errors)
        return redirect(f"{self._pages.path(PAGE)}?done=removed")

    async def renew(self, request: web.Request, visitor: Visitor) -> web.Response:
        await self._signed_in.read_form(request, visitor, CHANGE)
        codes = await self._second_factors.renew_recovery_codes(visitor.owner.account_id)
        return self.codes(visitor, codes, first=False)

    async def distrust(self, request: web.Request, visitor: Visitor) -> web.Response:
        await self._signed_in.read_form(request, visitor, CHANGE)
        await self._second_factors.distrust(visitor.owner.account_id)
        return redirect(f"{self._pages.path(PAGE)}?done=distrusted")

    async def _user(self, visitor: Visitor) -> User:
        return await self._users.get(visitor.owner.account_id)

    async def page(
        self, visitor: Visitor, status: int = 200, errors: Sequence[FieldError] = (), notice: str = ""
    ) -> web.Response:
        """Draw what the account has."""
        account_id = visitor.owner.account_id
        return self._console.render(
            "security",
            visitor,
            PAGE,
            status=status,
            form=CHANGE,
            notice=notice,
            errors=errors,
            has=await self._second_factors.of(account_id),
            apps=await self._second_factors.totps.list_for(account_id),
            passkeys=await self._passkeys.list_for(account_id),
            passkeys_open=self._second_factors.passkeys_open,
            trusted=await self._second_factors.trusted_devices(account_id),
            sessions_url=self._pages.path("account/sessions"),
            url=self._pages.path(PAGE),
        )

    def _setting_up(
        self,
        visitor: Visitor,
        enrolment: Enrolment,
        status: int = 200,
        errors: Sequence[FieldError] = (),
        name: str = "",
    ) -> web.Response:
        return self._console.render(
            "security_app",
            visitor,
            PAGE,
            status=status,
            form=_ADD,
            errors=errors,
            url=self._pages.path(PAGE),
            app=enrolment.id,
            secret=enrolment.secret,
            picture=qr_code(enrolment.uri),
            app_name=name,
        )

    def codes(self, visitor: Visitor, codes: Sequence[str], *, first: bool) -> web.Response:
        """Show recovery codes, this once."""
        return self._console.render(
            "security_codes", visitor, PAGE, codes=codes, first=first, url=self._pages.path(PAGE)
        )
