"""The userinfo endpoint (OpenID Connect Core 1.0 section 5.3)."""

from __future__ import annotations

from typing import Any, Final, NoReturn

from aiohttp import web

from gateway.clock import Clock
from gateway.errors import TokenRejected
from gateway.oauth.claims import claims_of
from gateway.oauth.cors import endpoint
from gateway.oauth.parameters import read_parameters
from gateway.oauth.problem import OAuthError, json_answer
from gateway.oauth.scopes import OPENID
from gateway.oauth.state.clients import Clients
from gateway.oauth.state.families import Families
from gateway.tokens.access import ACCESS_TYPE
from gateway.tokens.jwt import Expected, VerifiedClaims, verify
from gateway.tokens.keys import SigningKeys

_REALM: Final = 'Bearer realm="gateway"'


class UserinfoEndpoint:
    """Tells a client about the person that its token speaks of."""

    def __init__(
        self, keys: SigningKeys, clients: Clients, families: Families, *, issuer: str, audience: str, clock: Clock
    ) -> None:
        self._keys = keys
        self._clients = clients
        self._families = families
        self._issuer = issuer
        self._audience = audience
        self._clock = clock

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return endpoint(f"{prefix}/oauth/userinfo", self.userinfo, "GET", "POST")

    async def userinfo(self, request: web.Request) -> web.Response:
        """Answer the claims that scopes and the claims parameter give. Raises OAuthError."""
        claims = self._verified(await _token(request))
        scopes = str(claims.get("scope", "")).split()
        if OPENID not in scopes:
            challenge = f'{_REALM}, error="insufficient_scope", scope="{OPENID}"'
            raise OAuthError(
                "insufficient_scope",
                "The token lacks the scope openid.",
                status=403,
                headers={"WWW-Authenticate": challenge},
            )
        family = await self._families.find(str(claims.get("sid", "")))
        client = await self._clients.find(str(claims.get("client_id", "")))
        if family is None or client is None or family.granted.client_id != client.id:
            _invalid("The token has been revoked.")
        requested = (family.granted.claims or {}).get("userinfo")
        answer: dict[str, Any] = {"sub": claims["sub"], **claims_of(family.user, scopes, requested)}
        return json_answer(answer)

    def _verified(self, unverified_token: str) -> VerifiedClaims:
        expected = Expected(ACCESS_TYPE, self._issuer, self._audience)
        try:
            return verify(unverified_token, self._keys.find, expected, self._clock.now().timestamp())
        except TokenRejected as error:
            _invalid("The token is not good here, or not any more.", error)


async def _token(request: web.Request) -> str:
    """Return the token, from the header or from a form (RFC 6750 section 2), and from nowhere else."""
    fields = request.headers.getall("Authorization", ())
    if len(fields) > 1:
        raise OAuthError("invalid_request", "There are two Authorization fields.")
    if (
        request.method == "POST"
        and request.can_read_body
        and request.content_type == "application/x-www-form-urlencoded"
    ):
        parameters = await read_parameters(request)
        if "access_token" in parameters:
            if fields:
                raise OAuthError("invalid_request", "There are two tokens.")
            return parameters["access_token"]
    scheme, _, token = (fields[0] if fields else "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise OAuthError(
            "invalid_request",
            "A token is needed, in the Authorization field.",
            status=401,
            headers={"WWW-Authenticate": _REALM},
        )
    return token.strip()


def _invalid(description: str, cause: Exception | None = None) -> NoReturn:
    challenge = f'{_REALM}, error="invalid_token", error_description="{description}"'
    raise OAuthError("invalid_token", description, status=401, headers={"WWW-Authenticate": challenge}) from cause
