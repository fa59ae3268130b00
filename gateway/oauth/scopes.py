"""Which scopes there are, and which of them a client may have (RFC 6749 section 3.3)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from gateway.oauth.problem import OAuthError
from gateway.oauth.state.client import Client

OPENID: Final = "openid"
OFFLINE: Final = "offline_access"
# OpenID Connect Core 1.0 sections 5.4 and 11; what they mean to people stands with the consent page's words.
STANDARD: Final = frozenset({OPENID, "profile", "email", "address", "phone", "roles", OFFLINE})
# The gateway's own API, with all that its owner may do there: for clients that an administrator named it for.
OWN_API: Final = "gateway"


class ScopePolicy:
    """Judges what is asked for. ``more`` are the scopes that routes require and those that are configured."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self.offered = (STANDARD | frozenset(more)) - {OWN_API}

    def allowed(self, client: Client, requested: str | None, *, strict: bool = False) -> tuple[str, ...]:
        """Return the scopes that are granted of those asked for, in their order; without any, the registered ones.

        Raises OAuthError invalid_scope: when nothing is left, or with ``strict`` when anything is not allowed.
        """
        allowed = self.offered if client.scopes is None else client.scopes
        if requested is None:
            return tuple(sorted(client.scopes or ()))
        asked = tuple(dict.fromkeys(requested.split()))
        granted = tuple(scope for scope in asked if scope in allowed)
        if (strict and granted != asked) or (asked and not granted):
            raise OAuthError("invalid_scope", "The client may not have this scope.")
        return granted
