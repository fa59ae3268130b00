"""Forms that only our own pages can send: a signed token beside a cookie (signed double submit).

The token is bound to the form and to what the browser holds: the session's secret once there is one, before
that a cookie of its own. It is masked by a fresh nonce, so no two pages show the same one.
"""

from __future__ import annotations

import hmac
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from gateway.errors import TargetRejected
from gateway.policy.host import parse_authority
from gateway.web.cookies import Cookie

FIELD: Final = "csrf_token"
_NONCE_BYTES: Final = 16
_TOKEN_LENGTH: Final = 64  # nonce and MAC, 48 bytes, as base64url


@dataclass(frozen=True, slots=True)
class FormToken:
    """What a page puts into its form, and the cookie's value when the browser needs one first."""

    token: str = field(repr=False)
    fresh_cookie: str | None = field(default=None, repr=False)


class Csrf:
    """Makes and checks form tokens. ``key`` serves nothing else."""

    def __init__(self, key: bytes, cookie: Cookie) -> None:
        self._key = key
        self._cookie = cookie

    def before_login(self, request: web.BaseRequest, form: str) -> FormToken:
        """Return the token of a form for someone who is not signed in; the same cookie serves every tab."""
        held = self._cookie.read(request)
        value = held or secrets.token_urlsafe(32)
        return FormToken(self.token(form, value), None if held else value)

    def attach(self, response: web.StreamResponse, token: FormToken) -> None:
        """Set the cookie that belongs to the token, when the browser does not have it yet."""
        if token.fresh_cookie is not None:
            self._cookie.set(response, token.fresh_cookie)

    def came_from_us(self, request: web.BaseRequest, host: str, form: str, unverified_token: str) -> bool:
        """Tell whether a form of someone not signed in was sent by our page in the same browser."""
        held = self._cookie.read(request)
        return held is not None and self.holds(request, host, form, held, unverified_token)

    def token(self, form: str, binding: str) -> str:
        """Return a token for ``form`` bound to ``binding``, a secret that the browser holds."""
        nonce = secrets.token_bytes(_NONCE_BYTES)
        return urlsafe_b64encode(nonce + self._mac(form, binding, nonce)).decode()

    def holds(self, request: web.BaseRequest, host: str, form: str, binding: str, unverified_token: str) -> bool:
        """Tell whether the token fits form and binding, and the browser names no other origin as the sender."""
        if not sent_by(request, host) or len(unverified_token) != _TOKEN_LENGTH:
            return False
        try:
            raw = urlsafe_b64decode(unverified_token)
        except ValueError:
            return False
        nonce, mac = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
        return hmac.compare_digest(mac, self._mac(form, binding, nonce))

    def _mac(self, form: str, binding: str, nonce: bytes) -> bytes:
        return hmac.digest(self._key, b"\0".join((form.encode(), binding.encode(), nonce)), sha256)


def sent_by(request: web.BaseRequest, host: str) -> bool:
    """Tell whether the browser says that a page of ``host`` sent this, or says nothing.

    Ports are not compared: a proxy in front may drop them from Host, and cookies do not know them.
    """
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site in {"same-origin", "none"}
    origin = request.headers.get("Origin")
    if origin is None:
        return True
    try:
        return parse_authority(urlsplit(origin).netloc)[0] == host
    except (TargetRejected, ValueError):
        return False
