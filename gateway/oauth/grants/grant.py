"""What every grant has in common."""

from __future__ import annotations

import secrets
from typing import Any

from gateway.oauth.bridge import await_
from gateway.oauth.engine import EngineRequest
from gateway.oauth.issuing import Issue
from gateway.oauth.problem import OAuthError
from gateway.oauth.server import EngineParts
from gateway.oauth.state.client import Client
from gateway.oauth.state.families import Family


class Grant:
    """Mixed into Authlib's grants, before them."""

    request: EngineRequest
    server: Any

    @property
    def parts(self) -> EngineParts:
        parts: EngineParts = self.server.parts
        return parts

    @property
    def registered(self) -> Client:
        client: Client = self.request.client.client
        return client

    def issue(self, issue: Issue) -> dict[str, Any]:
        """Return the tokens of a grant that was checked."""
        return await_(self.parts.issuing.tokens(issue))

    def resources_of(self, family: Family) -> tuple[str, ...]:
        """Return what a token is wanted for, of what was granted. Raises OAuthError invalid_target."""
        return self.parts.audiences.narrowed(family.granted.resources, self.request.parameters.all("resource"))

    def tokens_of(self, family: Family) -> dict[str, Any]:
        """Return the first tokens of a family. Raises OAuthError when it has been revoked meanwhile."""
        resources, jti = self.resources_of(family), None
        if "refresh_token" in self.registered.grant_types:
            jti = secrets.token_urlsafe(32)
            if not await_(self.parts.families.first_token(family.id, jti)):
                raise OAuthError("invalid_grant", "What was granted has been revoked.")
        return self.issue(Issue(self.registered, family.scopes, resources, family, refresh_jti=jti))
