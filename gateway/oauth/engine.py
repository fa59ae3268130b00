"""What Authlib's engine sees of us: requests, clients and codes in the shape that it asks for."""

from __future__ import annotations

from collections.abc import Mapping

from authlib.oauth2.rfc6749 import ClientMixin, OAuth2Payload, OAuth2Request

from gateway.oauth.parameters import Parameters
from gateway.oauth.redirect_uri import is_redirect_uri
from gateway.oauth.state.client import Client
from gateway.oauth.state.codes import Code
from gateway.oauth.state.families import Family, Granted

# Every address that the engine writes is ours from the configuration; it only asks whether the transport is secure,
# which is judged where the server listens.
_SECURE = "https://localhost/"


class EnginePayload(OAuth2Payload):
    """Parameters that were read strictly."""

    def __init__(self, parameters: Parameters) -> None:
        self._parameters = parameters

    @property
    def data(self) -> Mapping[str, str]:
        return self._parameters

    @property
    def datalist(self) -> Mapping[str, list[str]]:
        return {name: list(self._parameters.all(name)) for name in self._parameters}


class EngineRequest(OAuth2Request):
    """One request to the engine; ``headers`` is read for the client's authentication, ``address`` counts its attempts.

    ``granted`` is what a person has agreed to, once they have; ``answered_at`` where the answer goes.
    """

    def __init__(
        self, method: str, parameters: Parameters, headers: Mapping[str, str] | None = None, address: str = ""
    ) -> None:
        super().__init__(method, _SECURE, headers=headers or {})
        self.payload = EnginePayload(parameters)
        self.parameters = parameters
        self.address = address
        self.granted: Granted | None = None
        self.answered_at = ""

    @property
    def args(self) -> Mapping[str, str]:
        return self.parameters

    @property
    def form(self) -> Mapping[str, str]:
        return self.parameters


class EngineClient(ClientMixin):
    """A client as the engine asks about one."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def get_client_id(self) -> str:
        return self.client.id

    def get_default_redirect_uri(self) -> str | None:
        uris = self.client.redirect_uris
        return uris[0] if len(uris) == 1 else None

    def get_allowed_scope(self, scope: str | None) -> str:
        return scope or ""  # judged before the engine is asked, by ScopePolicy

    def check_redirect_uri(self, redirect_uri: str) -> bool:
        return is_redirect_uri(self.client, redirect_uri)

    def check_response_type(self, response_type: str) -> bool:
        return frozenset(response_type.split()) in {frozenset(each.split()) for each in self.client.response_types}

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in self.client.grant_types


class EngineCode:
    """A code that was redeemed just now."""

    code_challenge_method = "S256"

    def __init__(self, code: Code) -> None:
        self.code = code
        self.code_challenge = code.bound.code_challenge

    def get_redirect_uri(self) -> str | None:
        return self.code.bound.redirect_uri if self.code.bound.redirect_uri_given else None

    def get_scope(self) -> str:
        return " ".join(self.code.family.scopes)


class EngineDevice:
    """A device whose code was redeemed just now."""

    def __init__(self, family: Family) -> None:
        self.family = family

    def get_client_id(self) -> str:
        return self.family.granted.client_id

    def get_scope(self) -> str:
        return " ".join(self.family.scopes)


class EngineRefreshToken:
    """A refresh token that has been consumed, or while it has no ``successor`` has only been looked at."""

    def __init__(self, jti: str, family: Family, successor: str | None = None) -> None:
        self.jti = jti
        self.family = family
        self.successor = successor

    def check_client(self, client: EngineClient) -> bool:
        return self.family.granted.client_id == client.client.id

    def get_scope(self) -> str:
        return " ".join(self.family.scopes)
