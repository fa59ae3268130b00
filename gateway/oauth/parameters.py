"""Request parameters of OAuth endpoints, read strictly: by the method's one place, each once, in UTF-8.

What RFC 6749 appendix A does not let a parameter hold is refused here, before a library could choke on it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from aiohttp import web

from gateway.oauth.problem import OAuthError

_LARGEST_BYTES: Final = 64 * 1024
_MOST: Final = 100
FORM: Final = "application/x-www-form-urlencoded"
_REPEATABLE: Final = frozenset({"resource", "audience"})  # RFC 8707 section 2, RFC 8693 section 2.1
_LONGEST_NAME: Final = 100
_LONGEST: Final = 8192
_VSCHAR: Final = re.compile(r"[\x20-\x7e]*")
_ASCII: Final = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]*")  # NQCHAR and space: what may stand in an error's text
_TEXT: Final = re.compile(r"[^\x00-\x08\x0b\x0c\x0e-\x1f\x7f]*")
_GRAMMAR: Final[Mapping[str, re.Pattern[str]]] = {
    "client_id": _VSCHAR,
    "client_secret": _VSCHAR,
    "response_type": _ASCII,
    "grant_type": _ASCII,
    "scope": _ASCII,
    "code": _VSCHAR,
    "refresh_token": _VSCHAR,
    "access_token": _VSCHAR,
    "token": _VSCHAR,
    "code_challenge_method": _ASCII,
    "response_mode": _ASCII,
    "prompt": _ASCII,
    "redirect_uri": _ASCII,
    "request_uri": _ASCII,
    "resource": _ASCII,
    # In RFC 6749 VSCHAR as well; a client's own business, so that any text comes back as it was sent.
    "state": _TEXT,
}


class Parameters(Mapping[str, str]):
    """Parameters by name. A parameter without a value counts as omitted (RFC 6749 section 3.1)."""

    def __init__(self, values: Mapping[str, str | Sequence[str]]) -> None:
        self._lists = {
            name: [value] if isinstance(value, str) else list(value) for name, value in values.items() if value
        }

    def __getitem__(self, name: str) -> str:
        return self._lists[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lists)

    def __len__(self) -> int:
        return len(self._lists)

    def __repr__(self) -> str:
        return f"Parameters({sorted(self._lists)})"  # values are codes, tokens and secrets

    def all(self, name: str) -> Sequence[str]:
        """Return every value of a parameter that may be given more than once."""
        return self._lists.get(name, [])

    def values_by_name(self) -> dict[str, str | Sequence[str]]:
        """Return all of them, to be stored."""
        return {name: values[0] if len(values) == 1 else values for name, values in self._lists.items()}


async def read_parameters(request: web.Request) -> Parameters:
    """Return the parameters of the query (GET, HEAD) or of the form in the body. Raises OAuthError invalid_request."""
    if request.method in {"GET", "HEAD"}:
        return parse_parameters(request.rel_url.raw_query_string.encode("utf-8", "surrogateescape"))
    if request.rel_url.raw_query_string and "access_token" in request.rel_url.query:
        raise OAuthError("invalid_request", "Tokens do not belong in the address.")
    if len(request.headers.getall("Content-Type", ())) != 1 or request.content_type != FORM:
        raise OAuthError("invalid_request", f"The body must be {FORM}.")
    return parse_parameters(await _body(request))


def parse_parameters(encoded: bytes) -> Parameters:
    """Read URL-encoded parameters. Raises OAuthError invalid_request that names what is wrong."""
    if len(encoded) > _LARGEST_BYTES:
        raise OAuthError("invalid_request", "The parameters are too large.", status=413)
    try:
        pairs = parse_qsl(
            encoded.decode("ascii"), keep_blank_values=True, encoding="utf-8", errors="strict", max_num_fields=_MOST
        )
    except ValueError as error:
        raise OAuthError("invalid_request", "The parameters are not URL-encoded UTF-8, or too many.") from error
    lists: dict[str, list[str]] = {}
    for name, value in pairs:
        _check(name, value)
        lists.setdefault(name, []).append(value)
    for name, values in lists.items():
        if len(values) > 1 and name not in _REPEATABLE:
            raise OAuthError("invalid_request", f"The parameter {shown(name)} is given more than once.")
    return Parameters({name: [value for value in values if value] for name, values in lists.items()})


def shown(text: str) -> str:
    """Return text as an error may quote it (RFC 6749 section 5.2)."""
    return text if len(text) <= _LONGEST_NAME and _ASCII.fullmatch(text) else "with an unusable name"


def _check(name: str, value: str) -> None:
    if len(name) > _LONGEST_NAME or not _TEXT.fullmatch(name):
        raise OAuthError("invalid_request", "A parameter has an unusable name.")
    if len(value) > _LONGEST:
        raise OAuthError("invalid_request", f"The parameter {shown(name)} is too long.")
    if not _GRAMMAR.get(name, _TEXT).fullmatch(value):
        raise OAuthError("invalid_request", f"The parameter {shown(name)} has a character that it cannot hold.")


async def _body(request: web.Request) -> bytes:
    content = request.content
    if content.is_eof():  # as it is with most: nothing to wait for
        return content.read_nowait()
    parts, size = [], 0
    async for part in content.iter_any():
        size += len(part)
        if size > _LARGEST_BYTES:
            raise OAuthError("invalid_request", "The body is too large.", status=413)
        parts.append(part)
    return b"".join(parts)
