"""The module of OpenID's oidcc-config-certification-test-plan: what discovery promises, and that it holds."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import pytest
from jwcrypto.jwk import JWK

from tests.gateways import GatewayFactory, Running
from tests.oauth.op import Op, discovered

_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")  # RFC 6749 appendix A.4
# OpenID Discovery 1.0 section 3, RFC 8414 section 2, and the RFCs that registered more
KINDS: dict[str, type] = {
    **dict.fromkeys(
        (
            *("issuer", "authorization_endpoint", "token_endpoint", "userinfo_endpoint", "jwks_uri"),
            *("registration_endpoint", "revocation_endpoint", "introspection_endpoint", "end_session_endpoint"),
            *("device_authorization_endpoint", "pushed_authorization_request_endpoint", "service_documentation"),
        ),
        str,
    ),
    **dict.fromkeys(
        (
            *("scopes_supported", "response_types_supported", "response_modes_supported", "grant_types_supported"),
            *("acr_values_supported", "subject_types_supported", "id_token_signing_alg_values_supported"),
            *("token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported"),
            *("display_values_supported", "claim_types_supported", "claims_supported", "ui_locales_supported"),
            *("code_challenge_methods_supported", "revocation_endpoint_auth_methods_supported"),
            *("introspection_endpoint_auth_methods_supported", "prompt_values_supported", "claims_locales_supported"),
            *("userinfo_signing_alg_values_supported", "request_object_signing_alg_values_supported"),
            *("revocation_endpoint_auth_signing_alg_values_supported", "protected_resources"),
            "introspection_endpoint_auth_signing_alg_values_supported",
        ),
        list,
    ),
    **dict.fromkeys(
        (
            *("claims_parameter_supported", "request_parameter_supported", "request_uri_parameter_supported"),
            *("require_request_uri_registration", "authorization_response_iss_parameter_supported"),
            *("require_pushed_authorization_requests", "backchannel_logout_supported"),
            *("backchannel_logout_session_supported", "frontchannel_logout_supported"),
            "frontchannel_logout_session_supported",
        ),
        bool,
    ),
}
DOCUMENTS = ["openid-configuration", "oauth-authorization-server"]


async def test_oidcc_discovery_endpoint_verification(op: Op) -> None:
    answer = await op.running.get("/.well-known/openid-configuration")
    assert answer.status == 200
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    document = answer.json
    check_metadata(document, op.running.origin)
    assert "RS256" in document["id_token_signing_alg_values_supported"]
    assert "openid" in document["scopes_supported"]
    assert "public" in document["subject_types_supported"]
    assert document["response_types_supported"] == ["code"]
    assert document["response_modes_supported"] == ["query", "fragment"]
    assert {"client_secret_basic", "client_secret_post"} <= set(document["token_endpoint_auth_methods_supported"])
    assert {"sub", "iss", "auth_time", "acr"} <= set(document["claims_supported"])
    for name in ("userinfo_endpoint", "jwks_uri", "token_endpoint", "authorization_endpoint"):
        assert name in document


def check_metadata(document: dict[str, Any], origin: str) -> None:
    """Hold a metadata document to its kinds; nothing unknown, nothing empty, every address ours."""
    assert set(document) <= set(KINDS), set(document) - set(KINDS)
    for name, value in document.items():
        assert type(value) is KINDS[name], name
        if isinstance(value, list):
            assert value, f"{name} is empty"
            assert len(set(value)) == len(value), f"{name} has a value twice"
            assert all(isinstance(each, str) for each in value), name
        if name.endswith(("_endpoint", "_uri")):
            parts = urlsplit(value)
            assert f"{parts.scheme}://{parts.netloc}" == origin, name
            assert not parts.query, name
            assert not parts.fragment, name
    assert all(_SCOPE.fullmatch(scope) for scope in document["scopes_supported"])
    assert document["code_challenge_methods_supported"] == ["S256"]
    assert document["authorization_response_iss_parameter_supported"] is True
    assert not any("none" in values for name, values in document.items() if name.endswith("alg_values_supported"))


@pytest.mark.parametrize("name", DOCUMENTS)
async def test_every_endpoint_that_is_announced_answers(op: Op, name: str) -> None:
    document = (await op.running.get(f"/.well-known/{name}")).json
    endpoints = [key for key in document if key.endswith("_endpoint")]
    assert len(endpoints) >= 5
    for key in endpoints:
        path = urlsplit(document[key]).path
        assert (await op.running.post(path, data={})).status in {200, 303, 400, 401}, key


async def test_jwks_has_public_keys_only(op: Op) -> None:
    answer = await op.running.get(urlsplit(op.metadata["jwks_uri"]).path)
    assert answer.status == 200
    assert answer.headers["Content-Type"].partition(";")[0] in {"application/json", "application/jwk-set+json"}
    keys = answer.json["keys"]
    assert len({key["kid"] for key in keys}) == len(keys) > 0
    for key in keys:
        parsed = JWK(**key)
        assert not parsed.has_private
        assert not {"d", "p", "q", "dp", "dq", "qi", "k", "oth"} & set(key)
        assert key["use"] == "sig"
        assert key["alg"] in op.metadata["id_token_signing_alg_values_supported"]


async def test_jwks_has_a_key_of_every_algorithm_that_is_announced(op: Op) -> None:
    """A key is made at its first use; a client that verifies by it finds it then."""
    for algorithm in op.metadata["id_token_signing_alg_values_supported"]:
        rp = await op.client(algorithm, id_token_signed_response_alg=algorithm)
        tokens = await rp.flow(op.browser(), pkce=False)
        assert tokens.claims["aud"] == rp.client_id


async def test_the_two_documents_agree(op: Op) -> None:
    oidc, oauth = [(await op.running.get(f"/.well-known/{name}")).json for name in DOCUMENTS]
    assert oidc["issuer"] == oauth["issuer"]
    differing = [name for name in set(oidc) & set(oauth) if oidc[name] != oauth[name]]
    assert differing == []


async def test_documents_may_be_read_by_pages_of_any_origin(op: Op) -> None:
    for path in ("/.well-known/openid-configuration", "/.well-known/jwks.json", op.metadata["jwks_uri"]):
        answer = await op.running.get(urlsplit(path).path, headers={"Origin": "https://spa.example.com"})
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({"X-Forwarded-Host": "evil.example"}, id="forwarded-host"),
        pytest.param({"X-Forwarded-Proto": "https"}, id="forwarded-proto"),
        pytest.param({"Forwarded": "host=evil.example"}, id="forwarded"),
        pytest.param({"X-Original-URL": "https://evil.example/"}, id="original-url"),
    ],
)
async def test_addresses_never_come_from_the_request(op: Op, headers: dict[str, str]) -> None:
    answer = await op.running.get("/.well-known/openid-configuration", headers=headers)
    assert answer.json == op.metadata


async def test_a_prefix_is_in_every_address(gateway_factory: GatewayFactory) -> None:
    running: Running = await gateway_factory(SERVER__PREFIX="/auth")
    document = await discovered(running)
    assert document["issuer"] == f"{running.origin}/auth"
    for name, value in document.items():
        if name.endswith(("_endpoint", "_uri")):
            assert value.startswith(f"{running.origin}/auth/"), name
    # RFC 8414 section 3.1 puts the issuer's path behind the well-known name.
    answer = await running.get("/.well-known/oauth-authorization-server/auth")
    assert answer.status == 200
    assert answer.json["issuer"] == document["issuer"]
