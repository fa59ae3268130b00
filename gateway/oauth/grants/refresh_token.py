"""Refresh tokens: each is good once, and one that comes back ends its family (RFC 9700 section 4.14.2)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from authlib.oauth2.rfc6749 import grants

from gateway.accounts.user import User
from gateway.errors import TokenRejected
from gateway.oauth.bridge import await_
from gateway.oauth.client_authentication import METHODS
from gateway.oauth.engine import EngineRefreshToken
from gateway.oauth.grants.grant import Grant
from gateway.oauth.issuing import Issue
from gateway.oauth.problem import OAuthError

_NO_GRACE: Final = timedelta(0)
_REUSED: Final = "refresh token reused"


class RefreshToken(Grant, grants.RefreshTokenGrant):
    """Exchanges a refresh token for its successor and an access token."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> EngineRefreshToken | None:
        """Consume a token; only look at it where the request may still turn out to want too much.

        That is the client's mistake, not a theft, and must not cost it the token.
        """
        try:
            jti = str(self.parts.refresh_tokens.open(refresh_token)["jti"])
        except TokenRejected:
            return None
        asked = self.request.parameters
        return self._looked_at(jti) if "scope" in asked or "resource" in asked else self._consumed(jti)

    def authenticate_user(self, refresh_token: EngineRefreshToken) -> User:
        return refresh_token.family.user

    def generate_token(self, *, scope: str = "", **_: object) -> dict[str, Any]:
        """Sign nothing before the token is consumed."""
        asked: EngineRefreshToken = self.request.refresh_token
        resources = self.resources_of(asked.family)
        token = asked if asked.successor is not None else self._consumed(asked.jti)
        if token is None:
            raise OAuthError("invalid_grant", "The refresh token is not good any more.")
        scopes = tuple(dict.fromkeys(scope.split()))
        return self.issue(Issue(self.registered, scopes, resources, token.family, refresh_jti=token.successor))

    def _consumed(self, jti: str) -> EngineRefreshToken | None:
        """Exchange a token. One that was used before ends its family: which of the two is the thief cannot be told."""
        families, client_id = self.parts.families, self.registered.id
        rotated = await_(families.rotate(jti, client_id, self.parts.refresh_grace))
        if rotated is not None:
            successor, family = rotated
            return EngineRefreshToken(jti, family, successor)
        found = await_(families.of_refresh_token(jti, client_id))
        if found is not None and found[1]:
            await_(families.revoke(found[0].id, _REUSED))
        return None

    def _looked_at(self, jti: str) -> EngineRefreshToken | None:
        found = await_(self.parts.families.of_refresh_token(jti, self.registered.id))
        if found is None:
            return None
        family, was_used = found
        if was_used and self.parts.refresh_grace == _NO_GRACE:
            await_(self.parts.families.revoke(family.id, _REUSED))
            return None
        return EngineRefreshToken(jti, family)

    def revoke_old_credential(self, refresh_token: EngineRefreshToken) -> None:
        """Do nothing: it was consumed before its successor was signed."""
