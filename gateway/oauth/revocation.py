"""The revocation endpoint (RFC 7009)."""

from __future__ import annotations

from datetime import UTC, datetime

from aiohttp import web

from gateway.oauth.client_authentication import ClientAuthentication
from gateway.oauth.cors import endpoint
from gateway.oauth.parameters import read_parameters
from gateway.oauth.presented_token import PresentedToken, PresentedTokens
from gateway.oauth.problem import OAuthError, json_answer
from gateway.oauth.state.families import Families
from gateway.oauth.state.revoked import RevokedTokens


class RevocationEndpoint:
    """Ends tokens, and with one of a family all that was granted together with it."""

    def __init__(
        self,
        authentication: ClientAuthentication,
        tokens: PresentedTokens,
        families: Families,
        revoked: RevokedTokens,
    ) -> None:
        self._authentication = authentication
        self._tokens = tokens
        self._families = families
        self._revoked = revoked

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return endpoint(f"{prefix}/oauth/revoke", self.revoke, "POST")

    async def revoke(self, request: web.Request) -> web.Response:
        """Answer 200 for whatever is no token (any more): the client wanted it gone (section 2.2)."""
        parameters = await read_parameters(request)
        client = await self._authentication.authenticate(request.headers, parameters)
        if "token" not in parameters:
            raise OAuthError("invalid_request", "token is missing.")
        token = await self._tokens.find(parameters["token"])
        if token is not None:
            if token.client_id != client.id:
                raise OAuthError("invalid_request", "The token was given to another client.")
            await self._end(token)
        return json_answer({})

    async def _end(self, token: PresentedToken) -> None:
        if token.family_id is not None:
            await self._families.revoke(token.family_id, "revoked by its client")
        elif token.is_active:
            expires_at = datetime.fromtimestamp(float(token.claims["exp"]), UTC)
            await self._revoked.revoke(str(token.claims["jti"]), expires_at)
