"""What the pages share that links in letters lead to.

Opening such a page uses nothing up: programs that check mail open links before people do. The button does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from gateway.accounts.recovery.links import LinkOver
from gateway.errors import FieldError
from gateway.translation.words import later
from gateway.web.csrf import FIELD, Csrf
from gateway.web.form import read_form
from gateway.web.frame import Frame, PageHandler
from gateway.web.pages import Pages
from gateway.web.visit import Visits

EXPIRED = FieldError("", later("This page was open for too long. Nothing is wrong: please send it again."))


class LetterPages:
    """Draws their forms. Their address holds a secret, so they tell it to no other page."""

    def __init__(self, frame: Frame, pages: Pages, csrf: Csrf, visits: Visits) -> None:
        self._frame = frame
        self.pages = pages
        self._csrf = csrf
        self._visits = visits

    def __call__(self, handler: PageHandler) -> PageHandler:
        """Return ``handler`` framed; a link that is over is answered with a page that says so."""

        async def answered(request: web.Request) -> web.StreamResponse:
            try:
                response = await handler(request)
            except LinkOver:
                response = self.pages.render("link_over", status=410, login_url=self.pages.path("login"))
            response.headers["Referrer-Policy"] = "no-referrer"
            return response

        return self._frame(answered)

    def form(
        self,
        request: web.Request,
        page: str,
        *,
        token: str,
        status: int = 200,
        errors: Sequence[FieldError] = (),
        **values: Any,
    ) -> web.Response:
        """Draw the form of ``page``, which posts to its own address without the secret in it."""
        form_token = self._csrf.before_login(request, page)
        response = self.pages.render(
            page,
            status=status,
            errors=errors,
            action=self.pages.path(page),
            csrf_token=form_token.token,
            token=token,
            **values,
        )
        self._csrf.attach(response, form_token)
        return response

    async def read(self, request: web.Request, page: str) -> tuple[dict[str, str], bool]:
        """Return the fields of a form, and whether our page has sent it."""
        fields = dict(await read_form(request))
        host = self._visits.of(request).host
        return fields, self._csrf.came_from_us(request, host, page, fields.get(FIELD, ""))
