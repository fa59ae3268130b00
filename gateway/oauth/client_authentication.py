"""Which client asks (RFC 6749 section 2.3): by the one method that it is registered for, and no other."""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote_plus

from gateway.clock import Clock
from gateway.oauth.client_assertion import ASSERTION_TYPE, ClientAssertions
from gateway.oauth.parameters import Parameters
from gateway.oauth.problem import OAuthError, invalid_client
from gateway.oauth.state.client import Client
from gateway.oauth.state.clients import Clients

METHODS: Final = ("client_secret_basic", "client_secret_post", "private_key_jwt", "none")
_NOT_BASIC: Final = "The Authorization field is not Basic with a client's name and secret."
_FAILED: Final = "The client is not known, or it did not authenticate as it is registered."


class ClientAuthentication:
    """Authenticates clients at every endpoint that they call themselves."""

    def __init__(self, clients: Clients, assertions: ClientAssertions, clock: Clock) -> None:
        self._clients = clients
        self._assertions = assertions
        self._clock = clock

    async def authenticate(self, headers: Mapping[str, str], parameters: Parameters) -> Client:
        """Return the client. Raises OAuthError invalid_client or invalid_request, StorageError."""
        method, client_id, secret = _presented(headers, parameters)
        by_header = method == "client_secret_basic"
        if method == "private_key_jwt":
            client_id = self._assertions.unverified_client_id(secret)
        if parameters.get("client_id", client_id) != client_id:
            raise OAuthError("invalid_request", "Two clients are named.")
        client = await self._clients.find(client_id)
        if client is None or client.auth_method != method or not await self._holds(client, method, secret):
            raise invalid_client(_FAILED, by_header=by_header)
        return client

    async def _holds(self, client: Client, method: str, secret: str) -> bool:
        if method == "none":
            return True
        if method == "private_key_jwt":
            return await self._assertions.holds(client, secret)
        return client.has_secret(secret, self._clock.now())


def _presented(headers: Mapping[str, str], parameters: Parameters) -> tuple[str, str, str]:
    """Return the method, the client's name and its secret, none of them verified.

    Several methods in one request are refused (RFC 6749 section 2.3).
    """
    found = []
    authorization = headers.get("Authorization")
    if authorization is not None:
        found.append(("client_secret_basic", *_basic(authorization)))
    if "client_secret" in parameters:
        found.append(("client_secret_post", parameters.get("client_id", ""), parameters["client_secret"]))
    if "client_assertion" in parameters or "client_assertion_type" in parameters:
        if parameters.get("client_assertion_type") != ASSERTION_TYPE:
            raise OAuthError("invalid_request", "The client_assertion_type is not supported.")
        found.append(("private_key_jwt", "", parameters.get("client_assertion", "")))
    if len(found) > 1:
        raise OAuthError("invalid_request", "The client authenticates in more than one way.")
    if found:
        return found[0]
    if "client_id" not in parameters:
        raise invalid_client("The client does not say who it is.", by_header=True)
    return "none", parameters["client_id"], ""


def _basic(authorization: str) -> tuple[str, str]:
    """Return name and secret, both form-encoded before they were put together (RFC 6749 section 2.3.1)."""
    scheme, _, encoded = authorization.partition(" ")
    if scheme.lower() != "basic":
        raise invalid_client(_NOT_BASIC, by_header=True)
    try:
        name, colon, secret = b64decode(encoded.strip(), validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise invalid_client(_NOT_BASIC, by_header=True) from error
    if not colon or not name or not secret:
        raise invalid_client(_NOT_BASIC, by_header=True)
    return unquote_plus(name), unquote_plus(secret)
