"""What this server can do (RFC 8414, OpenID Connect Discovery 1.0), and the keys that it signs with."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlsplit

from aiohttp import web

from gateway.oauth.authorization_request import RESPONSE_MODES
from gateway.oauth.claims import CLAIMS
from gateway.oauth.client_authentication import METHODS
from gateway.oauth.cors import endpoint
from gateway.oauth.issuing import ACR_VALUES
from gateway.tokens.keys import SigningKeys
from gateway.tokens.signature import ALGORITHMS

_KEPT_SECONDS: Final = 300
_CONFIDENTIAL: Final = tuple(method for method in METHODS if method != "none")
_IN_EVERY_ID_TOKEN: Final = (
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "iat",
    "auth_time",
    "acr",
    "amr",
    "nonce",
    "at_hash",
    "sid",
)


class Discovery:
    """The metadata documents and the key set; public, and kept by clients for five minutes."""

    def __init__(
        self,
        keys: SigningKeys,
        *,
        issuer: str,
        portal: str,
        grants: Sequence[str],
        scopes: Sequence[str],
        registration: bool,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._metadata = metadata(issuer, portal, grants, scopes, registration=registration)

    def routes(self, prefix: str) -> list[web.RouteDef]:
        path = urlsplit(self._issuer).path.rstrip("/")
        # RFC 8414 section 3.1 puts the issuer's path behind the well-known one, OpenID Connect before it.
        documents = {"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"}
        documents |= {f"{document}{path}" for document in documents}
        documents.add(f"{path}/.well-known/openid-configuration")
        keys = {f"{prefix}/oauth/jwks", "/.well-known/jwks.json"}
        return [
            *(route for each in sorted(documents) for route in endpoint(each, self.document, "GET")),
            *(route for each in sorted(keys) for route in endpoint(each, self.jwks, "GET")),
        ]

    async def document(self, request: web.Request) -> web.Response:
        return _cached(request, lambda: self._metadata)

    async def jwks(self, request: web.Request) -> web.Response:
        """Answer the public keys (RFC 7517); short-lived in caches, so that a new key is known before it signs."""
        return _cached(request, self._keys.jwks)


def metadata(
    issuer: str, portal: str, grants: Sequence[str], scopes: Sequence[str], *, registration: bool
) -> dict[str, Any]:
    """Return the document: all that is supported, and nothing else."""
    algorithms = sorted(ALGORITHMS)
    document: dict[str, Any] = {
        "issuer": issuer,
        "authorization_endpoint": f"{portal}/oauth/authorize",
        "token_endpoint": f"{portal}/oauth/token",
        "userinfo_endpoint": f"{portal}/oauth/userinfo",
        "jwks_uri": f"{portal}/oauth/jwks",
        "revocation_endpoint": f"{portal}/oauth/revoke",
        "introspection_endpoint": f"{portal}/oauth/introspect",
        "pushed_authorization_request_endpoint": f"{portal}/oauth/par",
        "device_authorization_endpoint": f"{portal}/oauth/device_authorization",
        "end_session_endpoint": f"{portal}/oauth/logout",
        "backchannel_logout_supported": True,
        "backchannel_logout_session_supported": True,
        "scopes_supported": list(scopes),
        "response_types_supported": ["code"],
        "response_modes_supported": list(RESPONSE_MODES),
        "grant_types_supported": list(grants),
        "subject_types_supported": ["public", "pairwise"],
        "acr_values_supported": sorted(ACR_VALUES),
        "id_token_signing_alg_values_supported": algorithms,
        "token_endpoint_auth_methods_supported": list(METHODS),
        "token_endpoint_auth_signing_alg_values_supported": algorithms,
        "revocation_endpoint_auth_methods_supported": list(METHODS),
        "revocation_endpoint_auth_signing_alg_values_supported": algorithms,
        "introspection_endpoint_auth_methods_supported": list(_CONFIDENTIAL),
        "introspection_endpoint_auth_signing_alg_values_supported": algorithms,
        "display_values_supported": ["page"],
        "prompt_values_supported": ["none", "login", "consent", "select_account"],
        "claim_types_supported": ["normal"],
        "claims_supported": [*_IN_EVERY_ID_TOKEN, *CLAIMS],
        "claims_parameter_supported": True,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": True,
    }
    if registration:
        document["registration_endpoint"] = f"{portal}/oauth/register"
    return document


def _cached(request: web.Request, document: Callable[[], Mapping[str, Any]]) -> web.Response:
    body = json.dumps(document(), separators=(",", ":")).encode()
    tag = f'"{sha256(body).hexdigest()[:32]}"'
    headers = {"Cache-Control": f"public, max-age={_KEPT_SECONDS}", "ETag": tag, "X-Content-Type-Options": "nosniff"}
    if any(each.value == tag.strip('"') for each in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type="application/json", headers=headers)
