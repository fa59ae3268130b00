"""Device codes: a device asks again and again until its person has decided elsewhere (RFC 8628 section 3.4)."""

from __future__ import annotations

from typing import Any

from authlib.oauth2.rfc8628 import DeviceCodeGrant

from gateway.accounts.user import User
from gateway.oauth.bridge import await_
from gateway.oauth.client_authentication import METHODS
from gateway.oauth.engine import EngineClient, EngineDevice
from gateway.oauth.grants.grant import Grant
from gateway.oauth.problem import OAuthError
from gateway.oauth.state.device_codes import NotYet


class DeviceCode(Grant, DeviceCodeGrant):
    """Gives tokens for a device code that somebody has approved, once."""

    TOKEN_ENDPOINT_AUTH_METHODS = METHODS

    def authenticate_token_endpoint_client(self) -> EngineClient:
        # Authlib looks for the code before it says whose request this is.
        client: EngineClient = super().authenticate_token_endpoint_client()
        self.request.client = client
        return client

    def query_device_credential(self, device_code: str) -> EngineDevice:
        """Consume the code. Raises OAuthError that says why the device gets nothing, or nothing yet (section 3.5)."""
        found = await_(self.parts.devices.poll(device_code, self.registered.id))
        if isinstance(found, NotYet):
            raise OAuthError(found.value, _WHY[found])
        return EngineDevice(found)

    def validate_device_credential(self, credential: EngineDevice) -> User:
        return credential.family.user

    def generate_token(self, **_: object) -> dict[str, Any]:
        return self.tokens_of(self.request.credential.family)


_WHY = {
    NotYet.PENDING: "Nobody has decided yet.",
    NotYet.SLOW_DOWN: "Too soon. From now on wait five seconds longer each time.",
    NotYet.DENIED: "The person did not agree.",
    NotYet.EXPIRED: "It took too long. Ask for a new code.",
    NotYet.UNKNOWN: "The device code is not good, or it was used.",
}
