"""Python's clients: Authlib and requests-oauthlib, both on top of requests."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import pytest
from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet
from jwcrypto.jwk import JWK
from oauthlib.oauth2 import BackendApplicationClient, InvalidGrantError
from requests_oauthlib import OAuth2Session as RequestsSession

from tests.gateways import GatewayFactory
from tests.oauth.op import Op, start_op
from tests.oauth.relying.person import Person
from tests.oauth.relying_party import CALLBACK

KEY = JWK.generate(kty="EC", crv="P-256", kid="k1", alg="ES256", use="sig")
REPORTS = "oauth: {scopes: {reports: Read reports}}"


@pytest.fixture(autouse=True)
def plain_http_is_let_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.mark.parametrize("auth_method", ["client_secret_basic", "client_secret_post", "none"])
async def test_authlib_signs_in_calls_the_api_and_renews(op: Op, auth_method: str) -> None:
    registered = await op.client(auth_method=auth_method, requires_pkce=True, opens_routes=True)
    renewed: list[dict[str, Any]] = []
    client = OAuth2Session(
        registered.client_id,
        registered.secret or None,
        token_endpoint_auth_method=auth_method,
        revocation_endpoint_auth_method=auth_method,
        scope="openid email profile offline_access",
        redirect_uri=CALLBACK,
        code_challenge_method="S256",
        token_endpoint=op.metadata["token_endpoint"],
        update_token=lambda token, **_: renewed.append(token),
    )
    verifier = "a-verifier-that-is-long-enough-for-rfc-7636-section-4-1"
    url, state = client.create_authorization_url(
        op.metadata["authorization_endpoint"], code_verifier=verifier, nonce="n1"
    )
    back = await Person(op.browser(), op.running.client).visit(url)

    def rest() -> None:
        token = client.fetch_token(authorization_response=back, state=state, code_verifier=verifier)
        keys = KeySet.import_key_set(client.get(op.metadata["jwks_uri"], withhold_token=True).json())
        parsed = jwt.decode(token["id_token"], keys, algorithms=["RS256"])
        params = {"client_id": registered.client_id, "nonce": "n1", "access_token": token["access_token"]}
        options = {"iss": {"values": [op.metadata["issuer"]]}}
        CodeIDToken(parsed.claims, parsed.header, options, params).validate()
        assert client.get(op.metadata["userinfo_endpoint"]).json()["sub"] == parsed.claims["sub"]
        assert client.get(f"{op.running.origin}/api/me").status_code == 200
        client.token = {**token, "expires_at": 1}
        assert client.get(op.metadata["userinfo_endpoint"]).json()["email"] == "ann@example.com"
        assert renewed[0]["access_token"] != token["access_token"]
        assert renewed[0]["refresh_token"] != token["refresh_token"]
        if registered.secret:
            told = client.introspect_token(op.metadata["introspection_endpoint"], client.token["access_token"])
            assert told.json()["active"] is True
        assert client.revoke_token(op.metadata["revocation_endpoint"], client.token["refresh_token"]).ok
        assert client.get(op.metadata["userinfo_endpoint"]).status_code == 401
        client.close()

    await asyncio.to_thread(rest)


async def test_authlib_authenticates_with_a_key(gateway_factory: GatewayFactory) -> None:
    op = await start_op(gateway_factory, REPORTS)
    registered = await op.client(
        auth_method="private_key_jwt",
        grants=["client_credentials"],
        redirect_uris=[],
        jwks={"keys": [KEY.export_public(as_dict=True)]},
    )

    def program() -> None:
        method = PrivateKeyJWT(op.metadata["token_endpoint"], headers={"kid": "k1"}, alg="ES256")
        with OAuth2Session(
            registered.client_id,
            ECKey.import_key(KEY.export_private(as_dict=True)),
            token_endpoint_auth_method=method,
        ) as client:
            client.register_client_auth_method(method)
            token = client.fetch_token(op.metadata["token_endpoint"], grant_type="client_credentials", scope="reports")
        assert token["scope"] == "reports"

    await asyncio.to_thread(program)


async def test_requests_oauthlib_signs_in_and_renews(op: Op) -> None:
    registered = await op.client(requires_pkce=True)
    client = RequestsSession(
        registered.client_id, redirect_uri=CALLBACK, scope=["openid", "email", "profile"], pkce="S256"
    )
    url, _ = client.authorization_url(op.metadata["authorization_endpoint"])
    back = await Person(op.browser(), op.running.client).visit(url)
    assert urlsplit(back).netloc == "rp.example.com"

    def rest() -> None:
        endpoint, own = op.metadata["token_endpoint"], (registered.client_id, registered.secret)
        first = client.fetch_token(endpoint, authorization_response=back, client_secret=registered.secret)
        assert client.get(op.metadata["userinfo_endpoint"]).json()["email"] == "ann@example.com"
        second = client.refresh_token(endpoint, auth=own)
        assert second["refresh_token"] != first["refresh_token"]
        with pytest.raises(InvalidGrantError):
            client.refresh_token(endpoint, refresh_token=first["refresh_token"], auth=own)
        # The old token came again, so everything that came of it has ended.
        assert client.get(op.metadata["userinfo_endpoint"]).status_code == 401
        client.close()

    await asyncio.to_thread(rest)


async def test_requests_oauthlib_is_a_program_of_its_own(gateway_factory: GatewayFactory) -> None:
    op = await start_op(gateway_factory, REPORTS)
    registered = await op.client(grants=["client_credentials"], redirect_uris=[])

    def program() -> None:
        with RequestsSession(client=BackendApplicationClient(registered.client_id, scope=["reports"])) as client:
            token = client.fetch_token(op.metadata["token_endpoint"], client_secret=registered.secret)
        assert token["scope"] == ["reports"]

    await asyncio.to_thread(program)
