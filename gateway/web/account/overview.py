"""The front page of one's own account: who one is here, and where to go."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.web.console import Console
from gateway.web.pages import Pages
from gateway.web.signed_in import SignedIn, Visitor

PAGE: Final = "account"


class AccountPage:
    """The portal's ``/account``."""

    def __init__(self, *, pages: Pages, signed_in: SignedIn, console: Console) -> None:
        self._pages = pages
        self._signed_in = signed_in
        self._console = console

    def routes(self) -> list[web.RouteDef]:
        return [web.get(self._pages.path(PAGE), self._signed_in(self.show))]

    async def show(self, _request: web.Request, visitor: Visitor) -> web.Response:
        return self._console.render("account", visitor, PAGE, owner=visitor.owner)
