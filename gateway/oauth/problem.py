"""Errors of OAuth endpoints, and what stands around every handler of one: nothing leaves but RFC 6749's own shape."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from types import MappingProxyType
from typing import Any, Final

from aiohttp import web
from authlib.oauth2 import OAuth2Error

from gateway.errors import GatewayError, Overloaded, StorageError, TooManyAttempts

_log: Final = logging.getLogger(__name__)
_FORBIDDEN: Final = re.compile(r"[^\x20\x21\x23-\x5b\x5d-\x7e]")
_to_json: Final = json.JSONEncoder(separators=(",", ":")).encode
_NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
# RFC 6749 section 5.1: what holds tokens is kept by nobody.
_JSON_HEADERS: Final = {"Cache-Control": "no-store", "Pragma": "no-cache", "X-Content-Type-Options": "nosniff"}
_RETRY: Final = {"Retry-After": "2"}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class OAuthError(GatewayError):
    """What a client is told (RFC 6749 section 5.2). ``description`` is for its developer and holds no secret."""

    def __init__(
        self, error: str, description: str = "", *, status: int = 400, headers: Mapping[str, str] = _NO_HEADERS
    ) -> None:
        self.error = error
        self.description = _FORBIDDEN.sub("?", description)
        self.status = status
        self.headers = headers
        super().__init__(f"{error}: {self.description}")


def invalid_client(description: str, *, by_header: bool) -> OAuthError:
    """Return the error of a client that did not authenticate; ``by_header`` says that it used Authorization."""
    challenge = {"WWW-Authenticate": 'Basic realm="gateway", charset="UTF-8"'} if by_header else _NO_HEADERS
    return OAuthError("invalid_client", description, status=401, headers=challenge)


def json_answer(
    document: Mapping[str, Any], status: int = 200, headers: Mapping[str, str] = _NO_HEADERS
) -> web.Response:
    """Answer with JSON that no cache keeps."""
    body = _to_json(document).encode()
    return web.Response(body=body, status=status, content_type="application/json", headers={**_JSON_HEADERS, **headers})


def error_answer(error: OAuthError) -> web.Response:
    """Answer with an error (RFC 6749 section 5.2)."""
    document = {"error": error.error}
    if error.description:
        document["error_description"] = error.description
    return json_answer(document, error.status, error.headers)


def oauth_endpoint(handler: Handler) -> Handler:
    """Wrap a JSON endpoint: whatever goes wrong in it is answered in RFC 6749's shape, and never as a success."""

    @wraps(handler)
    async def answered(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException:
            raise
        except Exception as error:
            return error_answer(as_oauth_error(error))

    return answered


def as_oauth_error(error: Exception) -> OAuthError:
    """Return what a client is told about an exception; what is not known is logged, and is our mistake."""
    match error:
        case OAuthError():
            return error
        case OAuth2Error():
            return of_library(error)
        case TooManyAttempts():
            retry = {"Retry-After": str(error.retry_after_seconds)}
            return OAuthError("invalid_grant", "Too many attempts failed. Wait, then try again.", headers=retry)
        case StorageError() | Overloaded():
            return OAuthError("temporarily_unavailable", "Try again in a moment.", status=503, headers=_RETRY)
        case _:
            _log.error("an OAuth endpoint failed", exc_info=error)
            return OAuthError("server_error", "The gateway made a mistake.", status=500)


def of_library(error: OAuth2Error) -> OAuthError:
    """Return an error of Authlib as ours. Its description may quote what was sent, so it is made fit to be shown."""
    status = int(error.status_code)
    name = str(error.error)
    if name == "invalid_client":
        return invalid_client(
            str(error.get_error_description() or ""), by_header=status == web.HTTPUnauthorized.status_code
        )
    return OAuthError(name, str(error.get_error_description() or ""), status=status)
