"""``/invite``: making the account that one was invited to make."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from aiohttp import web

from gateway.accounts.recovery.invitations import Invitations
from gateway.accounts.recovery.links import Link
from gateway.accounts.users import Users
from gateway.errors import FieldError, InvalidInput, Overloaded
from gateway.web.letter_pages import EXPIRED, LetterPages
from gateway.web.login import refusal
from gateway.web.register import in_words
from gateway.web.signing_in import SigningIn

PAGE: Final = "invite"
_LONGEST_SHOWN: Final = 400


class InvitePage:
    """GET shows the form, POST makes the account and signs it in."""

    def __init__(
        self, letter_pages: LetterPages, invitations: Invitations, users: Users, signing_in: SigningIn
    ) -> None:
        self._letter_pages = letter_pages
        self._invitations = invitations
        self._users = users
        self._signing_in = signing_in

    def routes(self) -> list[web.RouteDef]:
        path, framed = self._letter_pages.pages.path(PAGE), self._letter_pages
        return [web.get(path, framed(self.show), allow_head=False), web.post(path, framed(self.submit))]

    async def show(self, request: web.Request) -> web.Response:
        token = request.query.get("token", "")
        return self._form(request, token, await self._invitations.find(token), "")

    async def submit(self, request: web.Request) -> web.StreamResponse:
        fields, ours = await self._letter_pages.read(request, PAGE)
        token, username = fields.get("token", ""), fields.get("username", "").strip()
        link = await self._invitations.find(token)
        if not ours:
            return self._form(request, token, link, username, 403, [EXPIRED])
        try:
            user = await self._invitations.accept(token, username, fields.get("password", ""))
        except InvalidInput as error:
            return self._form(request, token, link, username, 400, [in_words(each) for each in error.errors])
        except Overloaded as error:
            busy = refusal(error)
            response = self._form(request, token, link, username, busy.status, busy.errors)
            response.headers.update(busy.headers)
            return response
        await self._users.logged_in(user.id)
        return await self._signing_in.go_on(request, user, None)

    def _form(
        self,
        request: web.Request,
        token: str,
        link: Link,
        username: str,
        status: int = 200,
        errors: Sequence[FieldError] = (),
    ) -> web.Response:
        return self._letter_pages.form(
            request,
            PAGE,
            token=token,
            status=status,
            errors=errors,
            email=link.email,
            username=username[:_LONGEST_SHOWN],
        )
