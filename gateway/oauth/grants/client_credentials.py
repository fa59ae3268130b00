"""Client credentials: a program that stands for itself (RFC 6749 section 4.4)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import grants

from gateway.oauth.client_authentication import METHODS
from gateway.oauth.grants.grant import Grant
from gateway.oauth.issuing import Issue
from gateway.oauth.problem import OAuthError
from gateway.oauth.scopes import OFFLINE, OPENID


class ClientCredentials(Grant, grants.ClientCredentialsGrant):
    """Gives an access token to a client that has authenticated itself."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def validate_token_request(self) -> None:
        """Refuse clients that cannot authenticate, and scopes that speak of people."""
        super().validate_token_request()
        if self.registered.is_public:
            raise OAuthError("unauthorized_client", "A client without a secret of its own cannot stand for itself.")

    def generate_token(self, *, scope: str | None = None, **_: object) -> dict[str, Any]:
        scopes = self.parts.scopes.allowed(self.registered, scope, strict=scope is not None)
        if scope is not None and {OPENID, OFFLINE} & set(scopes):
            raise OAuthError("invalid_scope", "There is no person here to speak of.")
        scopes = tuple(each for each in scopes if each not in {OPENID, OFFLINE})
        resources = self.parts.audiences.requested(self.registered, self.request.parameters.all("resource"))
        return self.issue(Issue(self.registered, scopes, resources))
