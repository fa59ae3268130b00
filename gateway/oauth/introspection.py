"""The introspection endpoint (RFC 7662)."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from gateway.oauth.client_authentication import ClientAuthentication
from gateway.oauth.cors import endpoint
from gateway.oauth.parameters import read_parameters
from gateway.oauth.presented_token import PresentedToken, PresentedTokens
from gateway.oauth.problem import OAuthError, invalid_client, json_answer

_TOLD: Final = ("iss", "aud", "sub", "client_id", "exp", "iat", "jti", "scope", "auth_time", "amr", "acr")


class IntrospectionEndpoint:
    """Tells clients about their own tokens, and those that may about every client's."""

    def __init__(self, authentication: ClientAuthentication, tokens: PresentedTokens) -> None:
        self._authentication = authentication
        self._tokens = tokens

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return endpoint(f"{prefix}/oauth/introspect", self.introspect, "POST", cors=False)

    async def introspect(self, request: web.Request) -> web.Response:
        """Answer what a token says, or only that it is not active (section 2.2)."""
        parameters = await read_parameters(request)
        client = await self._authentication.authenticate(request.headers, parameters)
        if client.is_public:
            # Section 2.1: whoever can ask without a secret could scan for tokens.
            raise invalid_client("Introspection needs a client that authenticates.", by_header=False)
        if "token" not in parameters:
            raise OAuthError("invalid_request", "token is missing.")
        token = await self._tokens.find(parameters["token"])
        if token is None or not token.is_active or not (token.client_id == client.id or client.may_introspect):
            return json_answer({"active": False})
        return json_answer(_described(token))


def _described(token: PresentedToken) -> dict[str, Any]:
    described: dict[str, Any] = {"active": True, **{name: token.claims[name] for name in _TOLD if name in token.claims}}
    described["token_type"] = "refresh_token" if token.is_refresh else "Bearer"
    family = token.family
    if family is not None:
        described["username"] = family.user.username
        if token.is_refresh:
            # A refresh token names its family; the person's name for the client stands in access tokens.
            described.pop("sub", None)
            described["scope"] = " ".join(family.scopes)
    return described
