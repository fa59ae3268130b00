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


class RefreshToken(Grant, grants.RefreshTokenGrant):
    """Exchanges a refresh token for its successor and an access token."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    INCLUDE_NEW_REFRESH_TOKEN = True

    def authenticate_refresh_token(self, refresh_token: str) -> EngineRefreshToken | None:
        """Look at a token without consuming it: a scope that is too wide is the client's mistake, not a theft."""
        try:
            claims = self.parts.refresh_tokens.open(refresh_token)
        except TokenRejected:
            return None
        jti = str(claims["jti"])
        found = await_(self.parts.families.of_refresh_token(jti, self.registered.id))
        if found is None:
            return None
        family, was_used = found
        if was_used and self.parts.refresh_grace == _NO_GRACE:
            await_(self.parts.families.revoke(family.id, "refresh token reused"))
            return None
        return EngineRefreshToken(jti, family)

    def authenticate_user(self, refresh_token: EngineRefreshToken) -> User:
        return refresh_token.family.user

    def generate_token(self, *, scope: str = "", **_: object) -> dict[str, Any]:
        """Consume the token, and only then sign anything."""
        token, parts = self.request.refresh_token, self.parts
        resources = self.resources_of(token.family)
        successor = await_(parts.families.rotate(token.jti, parts.refresh_grace))
        if successor is None:
            # Used by somebody else, just now or too long ago: which of the two is the thief cannot be told.
            await_(parts.families.revoke(token.family.id, "refresh token reused"))
            raise OAuthError("invalid_grant", "The refresh token is not good any more.")
        scopes = tuple(dict.fromkeys(scope.split()))
        return self.issue(Issue(self.registered, scopes, resources, token.family, refresh_jti=successor))

    def revoke_old_credential(self, refresh_token: EngineRefreshToken) -> None:
        """Do nothing: it was consumed before its successor was signed."""
