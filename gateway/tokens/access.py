"""Access tokens (RFC 9068) and the assertion that upstreams receive."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, Final

from gateway.clock import Clock
from gateway.errors import TokenRejected
from gateway.identity.identity import Identity
from gateway.tokens.jwt import Expected, VerifiedClaims, verify
from gateway.tokens.keys import SigningKeys

ACCESS_TYPE: Final = "at+jwt"
ASSERTION_TYPE: Final = "gateway-assertion+jwt"
ASSERTION_LIFETIME: Final = timedelta(minutes=5)
_LAST_SECOND: Final = 253402300799  # the last that datetime knows


class AccessTokens:
    """Issues and verifies what the gateway signs for itself and for its upstreams."""

    def __init__(self, keys: SigningKeys, issuer: str, lifetime: timedelta, clock: Clock) -> None:
        self._keys = keys
        self._issuer = issuer
        self._clock = clock
        self._expected = Expected(ACCESS_TYPE, issuer, None)
        self.lifetime_seconds = int(lifetime.total_seconds())

    def issue(
        self,
        account_id: str,
        family_id: str,
        *,
        authenticated_at: datetime,
        methods: Iterable[str],
        scopes: Iterable[str] | None = None,
    ) -> str:
        """Return a signed access token for our own audience (RFC 9068 section 2.2). ``scopes`` None: not limited."""
        now = int(self._clock.now().timestamp())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": account_id,
            "sid": family_id,
            "iat": now,
            "exp": now + self.lifetime_seconds,
            "jti": secrets.token_urlsafe(16),
            "auth_time": int(authenticated_at.timestamp()),
            "amr": list(methods),
        }
        if scopes is not None:
            claims["scope"] = " ".join(sorted(scopes))
        return self._keys.sign(claims, ACCESS_TYPE)

    def verify(self, unverified_token: str) -> VerifiedClaims:
        """Return the claims of an access token of ours, whomever it is for. Raises TokenRejected.

        A route and the API each take the tokens that name them: ``Identity.audiences`` carries on what this one names.
        """
        claims = verify(unverified_token, self._keys.find, self._expected, self._clock.now().timestamp())
        if not _says_how(claims):
            raise TokenRejected("malformed")
        return claims

    def assertion(self, identity: Identity, audience: str) -> str:
        """Return the statement of who asks, for one upstream (``X-Gateway-Assertion``); good for five minutes."""
        now = int(self._clock.now().timestamp())
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": audience,
            "sub": identity.user_id,
            "preferred_username": identity.username,
            "email": identity.email,
            "roles": list(identity.roles),
            "iat": now,
            "exp": now + int(ASSERTION_LIFETIME.total_seconds()),
            "jti": secrets.token_urlsafe(12),
            "auth_time": int(identity.authenticated_at.timestamp()),
            "amr": list(identity.methods),
        }
        if identity.scopes is not None:
            claims["scope"] = " ".join(sorted(identity.scopes))
        return self._keys.sign(claims, ASSERTION_TYPE)


def _says_how(claims: VerifiedClaims) -> bool:
    """Say whether the claims that only we add are what we write: what reads them need not look again."""
    sid, auth_time, amr = claims.get("sid"), claims.get("auth_time"), claims.get("amr")
    if sid is None:  # a client that stands for itself: nobody has signed in
        client_id, jti = claims.get("client_id"), claims.get("jti")
        return isinstance(client_id, str) and claims["sub"] == client_id and isinstance(jti, str)
    if not isinstance(sid, str) or isinstance(auth_time, bool) or not isinstance(auth_time, int):
        return False
    return 0 <= auth_time <= _LAST_SECOND and isinstance(amr, list) and all(isinstance(each, str) for each in amr)
