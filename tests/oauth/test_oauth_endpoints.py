"""What clients ask besides tokens: revocation, introspection, userinfo, metadata."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import urlencode

import pytest
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc.discovery import OpenIDProviderMetadata

from gateway.oauth.state.client_metadata import checked_metadata
from gateway.oauth.state.registry import Registry, Rights
from tests.gateways import Answer
from tests.oauth.party import FORM, METADATA, Party, party

__all__ = ["party"]


async def tokens_of(party: Party, **asked: str) -> dict[str, Any]:
    answer = await party.redeem(await party.authorize(**asked))
    read: dict[str, Any] = answer.json
    return read


async def ask(party: Party, path: str, **form: str) -> Answer:
    data = urlencode({"client_id": party.client_id, "client_secret": party.issued.secret or "", **form})
    return await party.running.send("POST", path, headers=FORM, data=data)


async def another(party: Party, **rights: bool) -> Party:
    gateway = party.running.gateway
    registry = Registry(gateway.accounts.users._database, gateway.clock, gateway.feed)
    issued = await registry.create(checked_metadata(METADATA), Rights(first_party=True, **rights))
    return Party(party.running, issued, party.cookie)


async def test_userinfo_answers_by_scope(party: Party) -> None:
    tokens = await tokens_of(party, scope="openid email roles")
    answer = await party.running.get("/oauth/userinfo", token=tokens["access_token"])
    assert answer.status == 200, answer.text
    assert answer.json.keys() == {"sub", "email", "email_verified", "roles"}
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    form = urlencode({"access_token": tokens["access_token"]})
    posted = await party.running.send("POST", "/oauth/userinfo", headers=FORM, data=form)
    assert posted.json == answer.json


async def test_userinfo_answers_what_was_asked_for_by_name(party: Party) -> None:
    tokens = await tokens_of(party, scope="openid", claims='{"userinfo": {"name": {"essential": true}, "shoe": null}}')
    answer = await party.running.get("/oauth/userinfo", token=tokens["access_token"])
    assert answer.json.keys() == {"sub", "name"}


@pytest.mark.parametrize("scope", ["", "profile"])
async def test_userinfo_needs_the_scope_openid(party: Party, scope: str) -> None:
    tokens = await tokens_of(party, scope=scope)
    answer = await party.running.get("/oauth/userinfo", token=tokens["access_token"])
    assert answer.status in {401, 403}
    assert "error=" in answer.headers["WWW-Authenticate"]


async def test_userinfo_without_a_token_asks_for_one(party: Party) -> None:
    answer = await party.running.get("/oauth/userinfo")
    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="gateway"'
    in_address = await party.running.send("POST", "/oauth/userinfo?access_token=x", headers=FORM, data="")
    assert in_address.status in {400, 401}


@pytest.mark.parametrize("which", ["access_token", "refresh_token"])
async def test_a_revoked_token_ends_its_family(party: Party, which: str) -> None:
    tokens = await tokens_of(party)
    assert (await ask(party, "/oauth/introspect", token=tokens[which])).json["active"] is True
    assert (await ask(party, "/oauth/revoke", token=tokens[which])).status == 200
    for each in ("access_token", "refresh_token"):
        assert (await ask(party, "/oauth/introspect", token=tokens[each])).json == {"active": False}
    assert (await party.running.get("/oauth/userinfo", token=tokens["access_token"])).status == 401
    refreshed = await party.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refreshed.json["error"] == "invalid_grant"


async def test_a_program_revokes_its_token_alone(party: Party) -> None:
    one, two = [(await party.token(grant_type="client_credentials")).json["access_token"] for _ in range(2)]
    await ask(party, "/oauth/revoke", token=one, token_type_hint="refresh_token")
    assert (await ask(party, "/oauth/introspect", token=one)).json == {"active": False}
    assert (await ask(party, "/oauth/introspect", token=two)).json["active"] is True


async def test_clients_learn_nothing_about_tokens_of_others(party: Party) -> None:
    tokens = await tokens_of(party)
    stranger, resource = await another(party), await another(party, may_introspect=True)
    assert (await ask(stranger, "/oauth/introspect", token=tokens["access_token"])).json == {"active": False}
    assert (await ask(stranger, "/oauth/revoke", token=tokens["refresh_token"])).status == 400
    told = (await ask(resource, "/oauth/introspect", token=tokens["access_token"])).json
    assert (told["active"], told["client_id"], told["username"]) == (True, party.client_id, "ann")
    assert (await ask(party, "/oauth/introspect", token=tokens["refresh_token"])).json["active"] is True


@pytest.mark.parametrize("path", ["/oauth/introspect", "/oauth/revoke"])
async def test_a_client_must_authenticate(party: Party, path: str) -> None:
    wrong = await ask(party, path, token="x", client_secret="wrong")
    assert (wrong.status, wrong.json["error"]) == (401, "invalid_client")
    basic = base64.b64encode(f"{party.client_id}:{party.issued.secret}".encode()).decode()
    headers = {**FORM, "Authorization": f"Basic {basic}"}
    by_header = await party.running.send("POST", path, headers=headers, data="token=x")
    assert (by_header.status, by_header.headers["WWW-Authenticate"][:5]) == (401, "Basic")
    assert (await ask(party, path)).json["error"] == "invalid_request"
    assert (await ask(party, path, token="no token")).status == 200


async def test_the_metadata_is_valid_and_true(party: Party) -> None:
    answer = await party.running.get("/.well-known/openid-configuration")
    document = answer.json
    assert document == (await party.running.get("/.well-known/oauth-authorization-server")).json
    assert document["issuer"] == party.running.origin
    for validator in (OpenIDProviderMetadata, AuthorizationServerMetadata):
        checked = validator(document)
        for name in document:
            check = getattr(checked, f"validate_{name}", None)
            # Authlib takes nothing but https; this one listens on loopback.
            if check is not None and "endpoint" not in name and name not in {"issuer", "jwks_uri"}:
                check()
    tag = answer.headers["ETag"]
    again = await party.running.get("/.well-known/openid-configuration", headers={"If-None-Match": tag})
    assert again.status == 304
    for name in ("jwks_uri", "token_endpoint", "userinfo_endpoint", "revocation_endpoint", "introspection_endpoint"):
        path = document[name].removeprefix(party.running.origin)
        assert (await party.running.get(path)).status in {200, 401, 405}, name


async def test_a_preflight_is_answered(party: Party) -> None:
    headers = {"Origin": "https://spa.example.com", "Access-Control-Request-Method": "POST"}
    answer = await party.running.send("OPTIONS", "/oauth/token", headers=headers)
    assert (answer.status, answer.headers["Access-Control-Allow-Methods"]) == (204, "POST")
