"""The listening side: aiohttp's HTTP server with our limits, and our words for what it cannot parse."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

from aiohttp import http_parser, web
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong
from aiohttp.web_protocol import RequestHandler

from gateway.config.settings import Limits
from gateway.errors import StartupError
from gateway.problem import Problem, problem_response
from gateway.refusal import HEADER_TOO_LARGE, INTERNAL, MALFORMED

_MAX_FIELDS: Final = 128
_LINGERING_SECONDS: Final = 5.0
_log = logging.getLogger(__name__)


class _Connection(RequestHandler):
    """One client's connection. What never became a request is answered here."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,  # noqa: ARG002 - a stand-in, when nothing could be parsed
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes what the client sent
    ) -> web.StreamResponse:
        manager = self._manager
        if exc is not None and status >= 500 and not isinstance(exc, ConnectionError):  # noqa: PLR2004
            _log.error("a request failed", exc_info=exc)
        problem = INTERNAL if status >= 500 else _problem(exc)  # noqa: PLR2004
        request_id = manager.new_request_id() if isinstance(manager, GatewayServer) else ""
        response = problem_response(problem, request_id)
        response.force_close()
        return response


class GatewayServer(web.Server):
    """Makes a connection object for each client."""

    def __init__(
        self, handler: Any, *, request_factory: Any, limits: Limits, new_request_id: Callable[[], str]
    ) -> None:
        super().__init__(handler, request_factory=request_factory, handler_cancellation=True)
        self.new_request_id = new_request_id
        self._limits = limits

    def __call__(self) -> RequestHandler:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._limits.idle_timeout.total_seconds(),
            access_log=None,  # type: ignore[arg-type]
            max_line_size=self._limits.header_bytes,
            max_field_size=self._limits.header_bytes,
            max_headers=_MAX_FIELDS,
            lingering_time=_LINGERING_SECONDS,
            # Bodies pass as they are: unpacking them would cost us what a bomb costs.
            auto_decompress=False,
        )


def _problem(error: BaseException | None) -> Problem:
    if isinstance(error, LineTooLong) or "Too many" in str(error):
        return HEADER_TOO_LARGE
    if isinstance(error, BadHttpMethod):
        return Problem(400, "bad_method", "The request's method cannot be read.")
    return MALFORMED


def require_c_extensions() -> None:
    """Raise StartupError when aiohttp would parse in Python: slower by far, and less strict."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise StartupError(
            "aiohttp is installed without its C extensions: reinstall it from a wheel "
            "(pip install --force-reinstall aiohttp), and unset AIOHTTP_NO_EXTENSIONS",
        )
