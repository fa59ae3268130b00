"""A passkey instead of an app, for those whose role demands a second factor and who have none."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from aiohttp import web

from gateway.accounts.factors.enrolling import PasskeyEnrolment
from gateway.errors import FieldError, InvalidInput, PasskeyRefused
from gateway.problem import problem_response
from gateway.translation.words import later, text
from gateway.web.csrf import FIELD, Csrf
from gateway.web.enrol import EXPIRED, FORM, EnrolPage
from gateway.web.form import read_form
from gateway.web.frame import Frame
from gateway.web.pages import Pages
from gateway.web.passkeys import CREDENTIAL, FORM_EXPIRED, form_of, options_response
from gateway.web.signing_in import ENROL
from gateway.web.visit import Visits

_REFUSED: Final = FieldError("", later("That passkey could not be added. Please try again."))
_log: Final = logging.getLogger(__name__)


class EnrolPasskey:
    """``/login/enrol/passkey``: takes a new passkey and signs in."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        csrf: Csrf,
        page: EnrolPage,
        enrolment: PasskeyEnrolment,
        visits: Visits,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._csrf = csrf
        self._page = page
        self._enrolment = enrolment
        self._visits = visits

    def routes(self) -> list[web.RouteDef]:
        path = self._pages.path(f"{ENROL}/passkey")
        return [
            web.get(path, self._frame(form_of(self._pages.path(ENROL)))),
            web.post(f"{path}/options", self._frame(self.options)),
            web.post(path, self._frame(self.submit)),
        ]

    async def options(self, request: web.Request) -> web.Response:
        fields = await read_form(request)
        waiting = await self._page.waiting(request)
        if waiting is None or not self._came_from_us(request, fields):
            return problem_response(FORM_EXPIRED, self._frame.request_id(request))
        secret, user = waiting
        return options_response(await self._enrolment.options(user, secret))

    async def submit(self, request: web.Request) -> web.Response:
        fields = await read_form(request)
        waiting = await self._page.waiting(request)
        if waiting is None:
            return self._page.start_over(request)
        secret, user = waiting
        if not self._came_from_us(request, fields):
            return await self._page.refuse(request, user, 403, EXPIRED)
        try:
            proven = await self._enrolment.add(user, secret, fields.get(CREDENTIAL, ""), text("Passkey"))
        except InvalidInput as error:
            return await self._page.refuse(request, user, 400, error.errors[0])
        except PasskeyRefused as error:
            _log.info("a new passkey was refused: %s %r", error.reason, error.detail)
            return await self._page.refuse(request, user, 400, _REFUSED)
        return await self._page.finish(request, secret, proven.method, proven.recovery_codes)

    def _came_from_us(self, request: web.Request, fields: Mapping[str, str]) -> bool:
        return self._csrf.came_from_us(request, self._visits.of(request).host, FORM, fields.get(FIELD, ""))
