"""Pushed authorization requests (RFC 9126): a client says what it wants before any browser is involved."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from gateway.oauth.authorize import Authorization
from gateway.oauth.client_authentication import ClientAuthentication
from gateway.oauth.cors import endpoint
from gateway.oauth.parameters import Parameters, read_parameters
from gateway.oauth.problem import json_answer
from gateway.oauth.state.requests import PUSHED_LIFETIME, AuthorizationRequests
from gateway.oauth.strangers import Strangers

# What a client authenticates with is no part of what it asks for, and is not kept.
_CREDENTIALS: Final = frozenset({"client_secret", "client_assertion", "client_assertion_type"})


class PushedRequests:
    """``/oauth/par``."""

    def __init__(
        self,
        authentication: ClientAuthentication,
        authorization: Authorization,
        requests: AuthorizationRequests,
        strangers: Strangers,
    ) -> None:
        self._authentication = authentication
        self._authorization = authorization
        self._requests = requests
        self._strangers = strangers

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return endpoint(f"{prefix}/oauth/par", self.push, "POST")

    async def push(self, request: web.Request) -> web.Response:
        """Judge a request as the authorization endpoint would, and keep it (section 2). Raises OAuthError."""
        parameters = await read_parameters(request)
        client = await self._authentication.authenticate(request.headers, parameters)
        if client.is_anybodys:
            self._strangers.admit(request)
        kept = {name: value for name, value in parameters.values_by_name().items() if name not in _CREDENTIALS}
        # Whoever authenticates by a header or an assertion has said by that who it is.
        asked = Parameters({**kept, "client_id": client.id})
        await self._authorization.check(asked)
        request_uri = await self._requests.keep(client.id, asked.values_by_name(), pushed=True)
        answer = {"request_uri": request_uri, "expires_in": int(PUSHED_LIFETIME.total_seconds())}
        return json_answer(answer, web.HTTPCreated.status_code)
