"""``/verify``: confirming an address, a new account's or a new address's."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.accounts.recovery.email_change import EmailChanges
from gateway.accounts.recovery.links import LinkOver, Links, Purpose
from gateway.accounts.recovery.verification import Verification
from gateway.errors import InvalidInput
from gateway.web.letter_pages import EXPIRED, LetterPages

PAGE: Final = "verify"
_PURPOSES: Final = (Purpose.VERIFY, Purpose.CHANGE_FROM, Purpose.CHANGE_TO)


class VerifyPage:
    """GET asks, POST confirms."""

    def __init__(
        self, letter_pages: LetterPages, links: Links, verification: Verification, email_changes: EmailChanges
    ) -> None:
        self._letter_pages = letter_pages
        self._links = links
        self._verification = verification
        self._email_changes = email_changes

    def routes(self) -> list[web.RouteDef]:
        path, framed = self._letter_pages.pages.path(PAGE), self._letter_pages
        return [web.get(path, framed(self.show), allow_head=False), web.post(path, framed(self.submit))]

    async def show(self, request: web.Request) -> web.Response:
        token = request.query.get("token", "")
        link = await self._links.find(token, *_PURPOSES)
        return self._letter_pages.form(request, PAGE, token=token, email=link.email, purpose=link.purpose.value)

    async def submit(self, request: web.Request) -> web.Response:
        fields, ours = await self._letter_pages.read(request, PAGE)
        token = fields.get("token", "")
        link = await self._links.find(token, *_PURPOSES)
        if not ours:
            return self._letter_pages.form(
                request, PAGE, token=token, status=403, errors=[EXPIRED], email=link.email, purpose=link.purpose.value
            )
        waiting = False
        try:
            if link.purpose is Purpose.VERIFY:
                await self._verification.confirm(token)
            else:
                waiting = not (await self._email_changes.confirm(token)).done
        except InvalidInput as error:  # somebody else has the address by now
            raise LinkOver("the address is taken") from error
        return self._letter_pages.pages.render(
            "verified", email=link.email, waiting=waiting, login_url=self._letter_pages.pages.path("login")
        )
