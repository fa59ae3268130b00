"""The listening side: aiohttp's HTTP server with our limits, and our words for what it cannot parse."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any, Final

from aiohttp import HttpVersion11, http_parser, web
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong
from aiohttp.web_protocol import RequestHandler

from gateway.config.settings import Limits
from gateway.errors import StartupError
from gateway.problem import Problem, problem_response
from gateway.refusal import HEADER_TOO_LARGE, INTERNAL, MALFORMED

_MAX_FIELDS: Final = 128
_LINGERING_SECONDS: Final = 5.0
_NO_HTTP: Final = re.compile(rb" (?:RTSP|ICE)/")
_log = logging.getLogger(__name__)

# Records a request that could not be read, and returns its id.
Malformed = Callable[[web.BaseRequest, Problem], str]


class _Connection(RequestHandler):
    """One client's connection. What never became a request is answered here."""

    __slots__ = ("_line",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._line = b""  # a request line of which the end has not arrived

    def data_received(self, data: bytes) -> None:
        if not self._request_in_progress and not self._messages:
            data = self._checked_line(data)
        super().data_received(data)

    def _checked_line(self, data: bytes) -> bytes:
        """Spoil a request line of another protocol: llhttp takes RTSP and ICE, and does not tell."""
        end = data.find(b"\n")
        if end < 0:
            self._line = (self._line + data)[: self.max_line_size]
            line = self._line
        elif self._line:
            line, self._line = self._line + data[:end], b""
        else:
            line = data[:end]
        return b"\0" if _NO_HTTP.search(line) else data

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - it quotes what the client sent
    ) -> web.StreamResponse:
        manager = self._manager
        if exc is not None and status >= 500 and not isinstance(exc, ConnectionError):  # noqa: PLR2004
            _log.error("a request failed", exc_info=exc)
        problem = INTERNAL if status >= 500 else _problem(exc)  # noqa: PLR2004
        request_id = ""
        if problem is not INTERNAL and isinstance(manager, GatewayServer):  # what reached the front was recorded there
            request_id = manager.malformed(request, problem)
        request._version = HttpVersion11  # noqa: SLF001 - what could not be read is taken for 1.0, or answered in kind
        response = problem_response(problem, request_id)
        response.headers["Server"] = "gateway"
        response.force_close()
        return response


class GatewayServer(web.Server):
    """Makes a connection object for each client."""

    def __init__(self, handler: Any, *, request_factory: Any, limits: Limits, malformed: Malformed) -> None:
        super().__init__(handler, request_factory=request_factory, handler_cancellation=True)
        self.malformed = malformed
        self._limits = limits

    def __call__(self) -> RequestHandler:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            keepalive_timeout=self._limits.idle_timeout.total_seconds(),
            access_log=None,
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
