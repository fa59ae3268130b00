"""The device authorization endpoint (RFC 8628 section 3.1): a device without a browser asks for its two codes."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web
from authlib.oauth2.rfc6749 import UnauthorizedClientError
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE, DeviceAuthorizationEndpoint

from gateway.oauth.bridge import await_, run_sync
from gateway.oauth.client_authentication import METHODS
from gateway.oauth.cors import endpoint
from gateway.oauth.engine import EngineClient, EngineRequest
from gateway.oauth.parameters import read_parameters
from gateway.oauth.problem import json_answer
from gateway.oauth.server import Server
from gateway.oauth.state.device_codes import IssuedDeviceCode
from gateway.oauth.strangers import Strangers
from gateway.policy.rate_limit import RateLimit

# A public client's name is known to everybody, and where registration is open anybody has a client; each code that
# waits is one more to be guessed (section 5.1).
PER_ADDRESS: Final = RateLimit(requests=100, seconds=600, by_user=False)


class DeviceAuthorization:
    """``/oauth/device_authorization``. People type the code at ``verification_uri``."""

    def __init__(self, server: Server, strangers: Strangers, *, verification_uri: str) -> None:
        self._server = server
        self._strangers = strangers
        self._verification_uri = verification_uri

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return endpoint(f"{prefix}/oauth/device_authorization", self.authorize, "POST")

    async def authorize(self, request: web.Request) -> web.Response:
        """Answer the codes (section 3.2). Raises OAuthError, OAuth2Error."""
        parameters = await read_parameters(request)
        asked = EngineRequest("POST", parameters, request.headers)
        client = await run_sync(self._server.authenticate_client, asked)
        if client.client.is_anybodys:
            self._strangers.admit(request)
        engine = _Engine(self._server, asked, client, self._verification_uri)
        status, document, _ = await run_sync(engine, asked)
        return json_answer(document, status)


class _Engine(DeviceAuthorizationEndpoint):
    """Authlib's endpoint for one request, whose client has been authenticated."""

    CLIENT_AUTH_METHODS = METHODS

    def __init__(self, server: Server, asked: EngineRequest, client: EngineClient, verification_uri: str) -> None:
        super().__init__(server)
        self._asked = asked
        self._client = client
        self._verification_uri = verification_uri
        self._user_code = ""

    def authenticate_client(self, request: EngineRequest) -> EngineClient:
        """Refuse clients that are not registered for the grant."""
        if not self._client.check_grant_type(DEVICE_CODE_GRANT_TYPE):
            raise UnauthorizedClientError("The client is not registered for device codes.")
        request.client = self._client
        return self._client

    def generate_device_code(self) -> str:
        """Judge what is asked for, and store both codes."""
        parts, parameters, client = self.server.parts, self._asked.parameters, self._client.client
        scopes = parts.scopes.allowed(client, parameters.get("scope"))
        resources = parts.audiences.requested(client, parameters.all("resource"))
        issued: IssuedDeviceCode = await_(parts.devices.issue(client.id, scopes, resources))
        self._user_code = issued.user_code
        self.INTERVAL = issued.interval_seconds
        self.EXPIRES_IN = int(parts.devices.lifetime.total_seconds())
        return issued.device_code

    def generate_user_code(self) -> str:
        return self._user_code

    def get_verification_uri(self) -> str:
        return self._verification_uri

    def save_device_credential(self, client_id: str, scope: str | None, data: dict[str, Any]) -> None:
        """Do nothing: the codes were stored as they were made."""
