"""Hints: ID tokens of ours that a client shows to say whom it means (OpenID Connect Core 1.0 section 3.1.2.1)."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

from gateway.clock import Clock
from gateway.errors import TokenRejected
from gateway.oauth.issuing import ID_TOKEN_TYPE
from gateway.oauth.problem import OAuthError
from gateway.oauth.state.client import Client
from gateway.oauth.subject import Subjects
from gateway.tokens.jwt import Expected, VerifiedClaims, verify
from gateway.tokens.keys import SigningKeys

# An expired token says whom it was about as well as a fresh one does.
_ANY_AGE_SECONDS: Final = 3650 * 86400


class IdTokenHints:
    """Reads hints."""

    def __init__(self, keys: SigningKeys, subjects: Subjects, issuer: str, clock: Clock) -> None:
        self._keys = keys
        self._subjects = subjects
        self._issuer = issuer
        self._clock = clock

    def claims(self, client: Client, unverified_token: str) -> VerifiedClaims:
        """Return the claims of an ID token that was given to the client, however old. Raises TokenRejected."""
        expected = Expected(ID_TOKEN_TYPE, self._issuer, client.id, _ANY_AGE_SECONDS)
        return verify(unverified_token, self._keys.find, expected, self._clock.now().timestamp())

    def subject(self, client: Client, unverified_token: str | None) -> str | None:
        """Return whom a hint is about; None without one. Raises OAuthError for one that is not ours."""
        if unverified_token is None:
            return None
        try:
            return str(self.claims(client, unverified_token)["sub"])
        except TokenRejected as error:
            raise OAuthError(
                "invalid_request", "The id_token_hint is not an ID token that the client got here."
            ) from error

    def names_somebody_else(self, client: Client, unverified_token: str | None, account_id: str) -> bool:
        """Tell whether a hint is about another account. Raises OAuthError for one that is not ours."""
        subject = self.subject(client, unverified_token)
        return subject is not None and subject != self._subjects.sub(client, account_id)

    def is_nobody_of(self, client: Client, subjects: Collection[str] | None, account_id: str) -> bool:
        """Tell whether an account is none of those that a request has to be about; None: it may be anybody."""
        return subjects is not None and self._subjects.sub(client, account_id) not in subjects
