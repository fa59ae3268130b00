"""What every answer of the gateway's own says to browsers: pages, JSON, redirects and errors alike.

Only a default: what draws a page or hands out a public document says more, or something else, by itself. Answers of
upstreams are theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiohttp import web
from yarl import URL

_FIELDS: Final[Mapping[str, str]] = {
    # aiohttp would tell its version and Python's.
    "Server": "gateway",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "same-origin",
}
_A_YEAR: Final = "max-age=31536000"
_HTTPS_PORT: Final = 443


class OwnFields:
    """Adds them. The portal's host is told to be asked by https alone, where that is all that it answers (RFC 6797)."""

    def __init__(self, public_origin: str) -> None:
        origin = URL(public_origin)
        # It counts for every port of the host: with a port in the address, something else may well answer on 80.
        strict = origin.scheme == "https" and origin.port == _HTTPS_PORT
        self._of_portal = {**_FIELDS, "Strict-Transport-Security": _A_YEAR} if strict else _FIELDS

    def on(self, response: web.StreamResponse, *, portal: bool) -> web.StreamResponse:
        """Return ``response`` with what it does not say yet; ``portal`` tells that the portal's host was asked."""
        headers = response.headers
        for name, value in (self._of_portal if portal else _FIELDS).items():
            headers.setdefault(name, value)
        return response
