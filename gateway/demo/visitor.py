"""Who the gateway says is asking: what an application reads from the request."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

# What the gateway adds to a request, in the order in which the page shows it.
SHOWN = (
    "X-Forwarded-User",
    "X-Forwarded-Preferred-Username",
    "X-Forwarded-Email",
    "X-Forwarded-Groups",
    "X-Gateway-Assertion",
    "X-Forwarded-For",
    "X-Forwarded-Proto",
    "X-Forwarded-Host",
    "X-Forwarded-Port",
    "X-Real-IP",
    "X-Request-Id",
)


@dataclass(frozen=True, slots=True)
class Visitor:
    """The person behind a request; ``user`` is empty when the gateway let the request through unnamed."""

    user: str
    email: str
    roles: tuple[str, ...]
    claims: dict[str, object]
    headers: dict[str, str]


def visitor_from(headers: Mapping[str, str]) -> Visitor:
    """Read the identity headers. Values are percent-encoded where they could not stand in a header."""
    groups = headers.get("X-Forwarded-Groups", "")
    return Visitor(
        user=unquote(headers.get("X-Forwarded-User", "")),
        email=unquote(headers.get("X-Forwarded-Email", "")),
        roles=tuple(unquote(role) for role in groups.split(",") if role),
        claims=_claims(headers.get("X-Gateway-Assertion", "")),
        headers={name: headers[name] for name in SHOWN if name in headers},
    )


def _claims(assertion: str) -> dict[str, object]:
    """Return what the assertion says, for display only.

    An application that can be reached by others than the gateway must verify it with the gateway's
    ``/.well-known/jwks.json``; this one cannot.
    """
    parts = assertion.split(".")
    if len(parts) != 3:  # noqa: PLR2004 - RFC 7515, section 7.1: header, payload, signature
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=="))
    except (binascii.Error, ValueError):
        return {}
    return claims if isinstance(claims, dict) else {}
