"""The token endpoint (RFC 6749 section 3.2)."""

from __future__ import annotations

from typing import Final

from aiohttp import web
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE

from gateway.errors import TargetRejected
from gateway.oauth.bridge import run_sync
from gateway.oauth.cors import endpoint
from gateway.oauth.engine import EngineRequest
from gateway.oauth.parameters import read_parameters
from gateway.oauth.problem import OAuthError, json_answer
from gateway.oauth.server import EngineAnswer, Server
from gateway.observability.metrics import Metrics
from gateway.policy.client import TrustedProxies

_GRANT_NAMES: Final = {DEVICE_CODE_GRANT_TYPE: "device_code"}


class TokenEndpoint:
    """Gives out tokens for grants."""

    def __init__(self, server: Server, proxies: TrustedProxies, metrics: Metrics) -> None:
        self._server = server
        self._proxies = proxies
        self._metrics = metrics

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return endpoint(f"{prefix}/oauth/token", self.token, "POST")

    async def token(self, request: web.Request) -> web.Response:
        """Answer a token request. Raises OAuthError, OAuth2Error."""
        parameters = await read_parameters(request)
        if len(request.headers.getall("Authorization", ())) > 1:
            raise OAuthError("invalid_request", "There are two Authorization fields.")
        if "grant_type" not in parameters:
            raise OAuthError("invalid_request", "grant_type is missing.")
        engine_request = EngineRequest("POST", parameters, request.headers, self._address(request))
        answer: EngineAnswer = await run_sync(self._server.create_token_response, engine_request)
        grant = parameters["grant_type"]
        self._metrics.tokens[_GRANT_NAMES.get(grant, grant)] += 1
        return json_answer(answer.body, answer.status)

    def _address(self, request: web.Request) -> str:
        try:
            return self._proxies.client_of(request.remote, request.headers).address
        except TargetRejected as error:
            raise OAuthError("invalid_request", "The request's address has no single safe reading.") from error
