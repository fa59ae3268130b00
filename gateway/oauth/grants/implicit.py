"""Tokens in the answer to an authorization request (RFC 6749 section 4.2, OpenID Connect Core 1.0 section 3.2)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc6749 import InvalidClientError, grants

from gateway.oauth.bridge import await_
from gateway.oauth.engine import EngineClient
from gateway.oauth.grants.grant import Grant
from gateway.oauth.issuing import Issue
from gateway.oauth.problem import OAuthError
from gateway.oauth.state.families import Granted


class Implicit(Grant, grants.ImplicitGrant):
    """Gives an access token, an ID token, or both to a browser, in the fragment; never a refresh token."""

    RESPONSE_TYPES = frozenset({"token", "id_token", "id_token token", "token id_token"})

    def authenticate_token_endpoint_client(self) -> EngineClient:
        """Return who is named: nobody authenticates at the authorization endpoint."""
        client: EngineClient | None = self.server.query_client(self.request.parameters.get("client_id", ""))
        if client is None:
            raise InvalidClientError
        return client

    def generate_token(self, **_: object) -> dict[str, Any]:
        """Begin the family, then sign what is asked for; both tokens name each other (section 3.2.2.10)."""
        granted: Granted | None = self.request.granted
        if granted is None:
            raise ValueError("nobody has granted anything")
        self.parts.old_grants.note("implicit", self.registered.id)
        family = await_(self.parts.families.start(granted))
        if family is None:
            raise OAuthError("access_denied", "The login has ended.")
        parameters, issuing = self.request.parameters, self.parts.issuing
        asked = parameters["response_type"].split()
        issue = Issue(self.registered, family.scopes, granted.resources, family, parameters.get("nonce"))
        answer: dict[str, Any] = {}
        if "token" in asked:
            answer = issuing.access_answer(issue)
        if "id_token" in asked:
            answer["id_token"] = await_(issuing.id_token(issue, answer.get("access_token")))
        return answer
