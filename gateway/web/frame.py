"""What stands around every page's handler: its session, and pages instead of programs' errors."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

from aiohttp import web
from aiohttp_session import session_middleware

from gateway.errors import GatewayError
from gateway.policy.navigation import accepts_html
from gateway.problem import Problem, problem_response
from gateway.refusal import INTERNAL, of_error
from gateway.web.form import FormTooLarge
from gateway.web.pages import Pages, speak_to
from gateway.web.session_storage import SessionStorage
from gateway.web.visit import RequestId

_log: Final = logging.getLogger(__name__)
_ERROR: Final = 400
_TOO_LARGE: Final = Problem(413, "body_too_large", "The form is too large.")

# aiohttp-session 2.12 keeps its two entries in the request under plain strings, which aiohttp 3.14 remarks on.
warnings.filterwarnings("ignore", category=web.NotAppKeyWarning, module="aiohttp_session")

PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Frame:
    """Wraps handlers of pages. The session's middleware stands here, so that nothing else pays for it."""

    def __init__(self, pages: Pages, storage: SessionStorage, request_id: RequestId) -> None:
        self._pages = pages
        self._session = session_middleware(storage)
        self.request_id = request_id

    def __call__(self, handler: PageHandler) -> PageHandler:
        """Return ``handler`` with a session to ask for and with its errors answered."""

        @wraps(handler)
        async def framed(request: web.Request) -> web.StreamResponse:
            speak_to(request)
            try:
                return await self._session(request, handler)
            except FormTooLarge:
                return self.problem(request, _TOO_LARGE)
            except GatewayError as error:
                return self.problem(request, of_error(error))
            except web.HTTPException as error:
                if error.status < _ERROR:
                    raise
                return self.problem(request, Problem(error.status, "http_error", error.reason))
            except Exception:
                _log.exception("a page failed", extra={"request_id": self.request_id(request)})
                return self.problem(request, INTERNAL)

        return framed

    def problem(self, request: web.Request, problem: Problem, *, retry: str | None = None) -> web.Response:
        """Answer with a page for people and problem+json for programs."""
        request_id = self.request_id(request)
        if accepts_html(request.headers):
            return self._pages.error_page(problem, request_id, request, retry=retry)
        return problem_response(problem, request_id)
