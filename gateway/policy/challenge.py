"""How a client is asked to sign in: where a browser goes, and what a program is told."""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import quote

from gateway.identity.identity import CredentialKind

RETURN_PARAMETER = "rd"


def login_url(base: str, return_to: str) -> str:
    """Return the login page under ``base`` (the portal's URL with its prefix) that leads back to ``return_to``."""
    return f"{base.rstrip('/')}/login?{RETURN_PARAMETER}={quote(return_to, safe='')}"


def challenge_header(kinds: Collection[CredentialKind], error: str | None = None) -> str:
    """Return the value of WWW-Authenticate, which each 401 must have (RFC 9110 section 15.5.2).

    ``error`` is a code of RFC 6750 section 3.1 and is given only when a credential was presented and bad.
    Basic is offered where a route takes it: browsers would ask with a window of their own otherwise.
    """
    bearer = 'Bearer realm="gateway"' + (f', error="{error}"' if error else "")
    if CredentialKind.BASIC in kinds:
        return f'{bearer}, Basic realm="gateway", charset="UTF-8"'
    return bearer
