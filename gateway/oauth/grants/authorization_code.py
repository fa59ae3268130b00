"""Authorization code with PKCE (RFC 6749 section 4.1, RFC 7636)."""

from __future__ import annotations

import secrets
from typing import Any, Final

from authlib.oauth2.rfc6749 import grants
from authlib.oauth2.rfc7636 import CodeChallenge

from gateway.accounts.user import User
from gateway.oauth.authorization_request import answers_by_fragment
from gateway.oauth.bridge import await_
from gateway.oauth.client_authentication import METHODS
from gateway.oauth.engine import EngineClient, EngineCode
from gateway.oauth.grants.grant import Grant
from gateway.oauth.issuing import Issue
from gateway.oauth.problem import OAuthError
from gateway.oauth.redirect_uri import with_parameters
from gateway.oauth.state.codes import NewCode

Fields = list[tuple[str, str]]


class AuthorizationCode(Grant, grants.AuthorizationCodeGrant):
    """Gives a code to a browser, and tokens for the code."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS
    refresh_jti: str | None = None

    def create_authorization_response(self, redirect_uri: str, _grant_user: object) -> tuple[int, str, Fields]:
        """Answer with a code, in the query or, where the client asks for that, in the fragment."""
        parameters = self.request.parameters
        answer = [("code", self.generate_authorization_code())]
        if "state" in parameters:
            answer.append(("state", parameters["state"]))
        url = with_parameters(redirect_uri, answer, fragment=answers_by_fragment(parameters))
        return 302, "", [("Location", url)]

    def generate_authorization_code(self) -> str:
        """Store what was granted, and the code that it is fetched with."""
        request, parameters = self.request, self.request.parameters
        if request.granted is None:
            raise ValueError("nobody has granted anything")
        bound = NewCode(
            redirect_uri=request.answered_at,
            redirect_uri_given="redirect_uri" in parameters,
            nonce=parameters.get("nonce"),
            code_challenge=parameters.get("code_challenge"),
        )
        code = await_(self.parts.codes.issue(request.granted, bound))
        if code is None:
            raise OAuthError("access_denied", "The login has ended.")
        return code

    def query_authorization_code(self, code: str, client: EngineClient) -> EngineCode | None:
        """Consume the code, whatever else may be wrong with the request: who has it has one attempt."""
        renewable = client.check_grant_type("refresh_token")
        self.refresh_jti = secrets.token_urlsafe(32) if renewable else None
        redeemed = await_(self.parts.codes.redeem(code, client.client.id, self.refresh_jti))
        return None if redeemed is None else EngineCode(redeemed)

    def delete_authorization_code(self, authorization_code: EngineCode) -> None:
        """Do nothing: it was consumed as it was looked up."""

    def authenticate_user(self, authorization_code: EngineCode) -> User:
        return authorization_code.code.family.user

    def generate_token(self, **_: object) -> dict[str, Any]:
        code, client = self.request.authorization_code.code, self.registered
        resources = self.resources_of(code.family)
        return self.issue(Issue(client, code.family.scopes, resources, code.family, code.bound.nonce, self.refresh_jti))


class S256(CodeChallenge):
    """PKCE with S256 alone: required, but for confidential clients that were registered without it."""

    SUPPORTED_CODE_CHALLENGE_METHOD: Final = ["S256"]
    # Without a method a challenge is `plain` (RFC 7636 section 4.3), which is not taken.
    DEFAULT_CODE_CHALLENGE_METHOD: Final = "plain"

    def validate_code_challenge(self, grant: AuthorizationCode, redirect_uri: str) -> None:
        """Check the challenge of an authorization request. Raises OAuth2Error, OAuthError."""
        parameters, client = grant.request.parameters, grant.registered
        if "code_challenge" not in parameters and (client.requires_pkce or client.is_public):
            raise OAuthError("invalid_request", "code_challenge is missing: PKCE with S256 is required.")
        if "code_challenge" in parameters and parameters.get("code_challenge_method") != "S256":
            raise OAuthError("invalid_request", "code_challenge_method must be S256.")
        super().validate_code_challenge(grant, redirect_uri)
