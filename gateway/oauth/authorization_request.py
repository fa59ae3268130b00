"""An authorization request, read and judged (RFC 6749 section 4.1.1, OpenID Connect Core 1.0 section 3.1.2.1).

Pure: what a client and its redirect address may be is known before anything here is asked.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from gateway.oauth.audience import Audiences
from gateway.oauth.claims_parameter import RequestedClaims, read_claims
from gateway.oauth.issuing import ACR_VALUES
from gateway.oauth.parameters import Parameters
from gateway.oauth.problem import OAuthError
from gateway.oauth.scopes import OFFLINE, OPENID, ScopePolicy
from gateway.oauth.state.client import Client
from gateway.policy.challenge import ONE_FACTOR, TWO_FACTORS, acr_of

RESPONSE_MODES: Final = ("query", "fragment")
_PROMPTS: Final = frozenset({"none", "login", "consent", "select_account"})
_SECONDS: Final = re.compile(r"\d{1,9}", re.ASCII)


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What a client asks of a person. ``state`` comes back as it was sent."""

    client: Client
    redirect_uri: str
    response_types: frozenset[str]
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    prompts: frozenset[str]
    max_age_seconds: int | None
    claims: RequestedClaims
    parameters: Parameters = field(repr=False)

    @property
    def by_fragment(self) -> bool:
        """Whether the answer comes in the fragment (OAuth 2.0 Multiple Response Type Encoding Practices)."""
        return answers_by_fragment(self.parameters)

    @property
    def offline(self) -> bool:
        return OFFLINE in self.scopes

    @property
    def claim_names(self) -> tuple[str, ...]:
        """The claims that are asked for by name."""
        return tuple(name for member in (self.claims.names or {}).values() for name in member)


def read_authorization_request(
    client: Client, redirect_uri: str, parameters: Parameters, scopes: ScopePolicy, audiences: Audiences
) -> AuthorizationRequest:
    """Read the parameters of a known client. Raises OAuthError, which may be told to its redirect address."""
    if "request" in parameters:
        raise OAuthError("request_not_supported", "Request objects are not supported.")
    response_types = _response_types(client, parameters)
    granted = scopes.allowed(client, parameters.get("scope"))
    if "code" not in response_types:
        # Nothing that lasts comes without a code (OpenID Connect Core 1.0 section 11).
        granted = tuple(scope for scope in granted if scope != OFFLINE)
    if "id_token" in response_types and (OPENID not in granted or "nonce" not in parameters):
        raise OAuthError("invalid_request", "An ID token from here needs the scope openid and a nonce.")
    return AuthorizationRequest(
        client=client,
        redirect_uri=redirect_uri,
        response_types=response_types,
        scopes=granted,
        resources=audiences.requested(client, parameters.all("resource")),
        prompts=_prompts(parameters),
        max_age_seconds=_max_age(client, parameters),
        claims=read_claims(parameters.get("claims")),
        parameters=parameters,
    )


def answers_by_fragment(parameters: Parameters) -> bool:
    """Tell how a client expects the answer, an error included, whatever else its request says."""
    asked = set(parameters.get("response_type", "").split())
    return parameters.get("response_mode") == "fragment" or bool({"token", "id_token"} & asked)


def _response_types(client: Client, parameters: Parameters) -> frozenset[str]:
    asked = parameters.get("response_type")
    if asked is None:
        raise OAuthError("invalid_request", "response_type is missing.")
    response_types = frozenset(asked.split())
    if response_types - {"code", "token", "id_token"} or ("code" in response_types and len(response_types) > 1):
        raise OAuthError("unsupported_response_type", "The response_type is not supported.")
    if response_types not in {frozenset(each.split()) for each in client.response_types}:
        raise OAuthError("unauthorized_client", "The client is not registered for this response_type.")
    mode = parameters.get("response_mode")
    if mode is not None and (mode not in RESPONSE_MODES or (mode == "query" and response_types != {"code"})):
        raise OAuthError("invalid_request", "The response_mode is not supported here.")
    return response_types


def _prompts(parameters: Parameters) -> frozenset[str]:
    prompts = frozenset(parameters.get("prompt", "").split())
    if "none" in prompts and len(prompts) > 1:
        raise OAuthError("invalid_request", "prompt=none stands alone.")
    if unknown := prompts - _PROMPTS:
        raise OAuthError("invalid_request", f"prompt={min(unknown)} is not supported.")
    return prompts


def _max_age(client: Client, parameters: Parameters) -> int | None:
    asked = parameters.get("max_age")
    if asked is None:
        default = client.metadata.get("default_max_age")
        return None if default is None else int(default)
    if not _SECONDS.fullmatch(asked):
        raise OAuthError("invalid_request", "max_age is a number of seconds.")
    return int(asked)


def needs_second_factor(request: AuthorizationRequest, methods: Collection[str]) -> bool:
    """Say whether more factors are asked for than somebody has shown.

    An essential acr has to be met; of ``acr_values`` the first that is known here is what the client prefers (OpenID
    Connect Core 1.0 sections 3.1.2.1, 5.5.1.1). Whoever has none sets one up.
    """
    if acr_of(methods) == TWO_FACTORS:
        return False
    if request.claims.acr_values is not None:
        return ONE_FACTOR not in request.claims.acr_values
    preferred = [value for value in request.parameters.get("acr_values", "").split() if value in ACR_VALUES]
    return preferred[:1] == [TWO_FACTORS]
