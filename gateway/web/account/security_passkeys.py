"""``/account/security/passkeys``: one's passkeys are added, named and removed."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from aiohttp import web

from gateway.accounts.factors.enrolling import PasskeyEnrolment
from gateway.accounts.factors.factors import uuid_of
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.errors import FieldError, InvalidInput, NotFound, PasskeyRefused
from gateway.problem import Problem, problem_response
from gateway.translation.words import later
from gateway.web.account.security import CHANGE, PAGE, SecurityPage
from gateway.web.console import Console
from gateway.web.field_words import sentence
from gateway.web.frame import Frame
from gateway.web.pages import Pages, redirect
from gateway.web.passkeys import CREDENTIAL, form_of, options_response
from gateway.web.signed_in import SignedIn, Visitor

_ADD: Final = "add passkey"
_REFUSED: Final = FieldError("", later("That passkey could not be added. Please try again."))
_BEFORE: Final = FieldError("", later("This passkey is known here already."))
_FULL: Final = Problem(409, "too_many_passkeys", "There are enough passkeys: remove one first.")
_LABELS: Final[Mapping[str, str]] = {"name": later("The name")}
_log: Final = logging.getLogger(__name__)


class SecurityPasskeys:
    """The part of ``/account/security`` that is about passkeys."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        signed_in: SignedIn,
        console: Console,
        security: SecurityPage,
        users: Users,
        enrolment: PasskeyEnrolment,
        may_add: bool,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._signed_in = signed_in
        self._console = console
        self._security = security
        self._users = users
        self._enrolment = enrolment
        self._may_add = may_add

    def routes(self) -> list[web.RouteDef]:
        page, signed_in = self._pages.path(f"{PAGE}/passkeys"), self._signed_in
        adding = [
            web.get(f"{page}/new", signed_in(self.new, fresh=True)),
            web.post(f"{page}/options", signed_in(self.options, fresh=True)),
            web.get(page, self._frame(form_of(self._pages.path(PAGE)))),
            web.post(page, signed_in(self.add, fresh=True)),
        ]
        return [
            *(adding if self._may_add else ()),
            web.post(f"{page}/{{id}}/rename", signed_in(self.rename)),
            web.post(f"{page}/{{id}}/remove", signed_in(self.remove, fresh=True)),
        ]

    async def new(self, _request: web.Request, visitor: Visitor) -> web.Response:
        return self._form(visitor)

    async def options(self, request: web.Request, visitor: Visitor) -> web.Response:
        await self._signed_in.read_form(request, visitor, _ADD)
        try:
            return options_response(await self._enrolment.options(await self._user(visitor), visitor.secret))
        except InvalidInput:
            return problem_response(_FULL, self._frame.request_id(request))

    async def add(self, request: web.Request, visitor: Visitor) -> web.Response:
        fields = await self._signed_in.read_form(request, visitor, _ADD)
        user, name = await self._user(visitor), fields.get("name", "")
        try:
            proven = await self._enrolment.add(user, visitor.secret, fields.get(CREDENTIAL, ""), name)
        except InvalidInput as error:
            return self._form(visitor, 400, [sentence(each, _LABELS) for each in error.errors], name)
        except PasskeyRefused as error:
            _log.info("a new passkey was refused: %s %r", error.reason, error.detail)
            known = error.reason == "registered_before"
            return self._form(visitor, 409 if known else 400, [_BEFORE if known else _REFUSED], name)
        if proven.recovery_codes:
            return self._security.codes(visitor, proven.recovery_codes, first=True)
        return self._done("passkey_added")

    async def rename(self, request: web.Request, visitor: Visitor) -> web.Response:
        fields = await self._signed_in.read_form(request, visitor, CHANGE)
        try:
            await self._enrolment.rename(visitor.owner.account_id, _identifier(request), fields.get("name", ""))
        except InvalidInput as error:
            return await self._security.page(visitor, 400, [sentence(each, _LABELS) for each in error.errors])
        return self._done("passkey_renamed")

    async def remove(self, request: web.Request, visitor: Visitor) -> web.Response:
        await self._signed_in.read_form(request, visitor, CHANGE)
        try:
            await self._enrolment.remove(await self._user(visitor), _identifier(request))
        except InvalidInput as error:
            return await self._security.page(visitor, 409, error.errors)
        return self._done("passkey_removed")

    async def _user(self, visitor: Visitor) -> User:
        return await self._users.get(visitor.owner.account_id)

    def _done(self, what: str) -> web.Response:
        return redirect(f"{self._pages.path(PAGE)}?done={what}")

    def _form(
        self, visitor: Visitor, status: int = 200, errors: Sequence[FieldError] = (), name: str = ""
    ) -> web.Response:
        return self._console.render(
            "security_passkey",
            visitor,
            PAGE,
            status=status,
            form=_ADD,
            fetches=True,
            errors=errors,
            url=self._pages.path(PAGE),
            passkey_name=name,
        )


def _identifier(request: web.Request) -> UUID:
    identifier = uuid_of(request.match_info["id"])
    if identifier is None:
        raise NotFound("no such passkey")
    return identifier
