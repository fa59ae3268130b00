"""Authlib's authorization server, asking us for what it needs to know."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from authlib.oauth2.rfc6749 import AuthorizationServer

from gateway.accounts.factors.factors import SecondFactors
from gateway.accounts.login import PasswordLogin
from gateway.clock import Clock
from gateway.oauth.audience import Audiences
from gateway.oauth.bridge import await_
from gateway.oauth.client_authentication import ClientAuthentication
from gateway.oauth.engine import EngineClient, EngineRequest
from gateway.oauth.grants.old import OldGrants
from gateway.oauth.issuing import Issuing
from gateway.oauth.scopes import ScopePolicy
from gateway.oauth.state.clients import Clients
from gateway.oauth.state.codes import Codes
from gateway.oauth.state.device_codes import DeviceCodes
from gateway.oauth.state.families import Families
from gateway.tokens.sealed import SealedTokens


@dataclass(frozen=True, slots=True)
class EngineParts:
    """What grants work with."""

    clients: Clients
    authentication: ClientAuthentication
    families: Families
    codes: Codes
    devices: DeviceCodes
    issuing: Issuing
    refresh_tokens: SealedTokens
    scopes: ScopePolicy
    audiences: Audiences
    password_login: PasswordLogin
    second_factors: SecondFactors
    old_grants: OldGrants
    refresh_grace: timedelta
    refresh_lifetime: timedelta
    clock: Clock


@dataclass(frozen=True, slots=True)
class EngineAnswer:
    """What the engine answers: ``body`` is a JSON object, or nothing where ``location`` says where to go."""

    status: int
    body: Any
    headers: dict[str, str]

    @property
    def location(self) -> str:
        return self.headers.get("Location", "")


class Server(AuthorizationServer):
    """The engine. Its methods run inside of ``run_sync``."""

    def __init__(self, parts: EngineParts) -> None:
        super().__init__()
        self.parts = parts

    def query_client(self, client_id: str) -> EngineClient | None:
        client = await_(self.parts.clients.find(client_id))
        return None if client is None else EngineClient(client)

    def authenticate_client(
        self, request: EngineRequest, _methods: object = None, _endpoint: str = "token"
    ) -> EngineClient:
        """Authenticate by the one method that the client is registered for."""
        client = await_(self.parts.authentication.authenticate(request.headers, request.parameters))
        request.auth_method = client.auth_method
        return EngineClient(client)

    def validate_requested_scope(self, scope: str | None) -> None:
        """Do nothing: scopes are judged with their client, by ScopePolicy."""

    def save_token(self, token: dict[str, Any], request: EngineRequest) -> None:
        """Do nothing: what stands for a right is stored before it is signed."""

    def send_signal(self, name: str, *args: object, **kwargs: object) -> None:
        """Nobody listens."""

    def create_oauth2_request(self, request: EngineRequest) -> EngineRequest:
        return request

    def handle_response(self, status: int, body: Any, headers: list[tuple[str, str]]) -> EngineAnswer:
        return EngineAnswer(status, body, dict(headers))

    def handle_error_response(self, _request: EngineRequest | None, error: Exception) -> EngineAnswer:
        """Let errors out: one place turns them into answers."""
        raise error
