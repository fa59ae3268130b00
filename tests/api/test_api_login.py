"""Signing in for tokens over JSON, refreshing them, signing out; and the keys that verify them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from jwcrypto import jwk, jwt

from tests.gateways import PASSWORD, GatewayFactory, Running

LOGIN = "/api/v1/users/login"
TOKEN = "/api/v1/auth/token"
ANN = {"username": "ann", "password": PASSWORD}


@pytest.fixture
async def gateway(gateway_factory: GatewayFactory) -> Running:
    return await gateway_factory()


async def test_login_answers_with_tokens_and_the_user(gateway: Running) -> None:
    ann = await gateway.user("ann", "staff")
    answer = await gateway.post(LOGIN, ANN)
    assert answer.status == 200
    assert set(answer.json) == {"token", "refresh_token", "user"}
    assert (answer.json["user"]["id"], answer.json["user"]["roles"]) == (ann.id, ["staff"])
    assert answer.json["user"]["last_login"] is not None
    assert (await gateway.get("/api/me", token=answer.json["token"])).status == 200
    by_address = await gateway.post(LOGIN, {"username": "ANN@example.com", "password": PASSWORD})
    assert by_address.status == 200


async def test_the_token_endpoint_speaks_as_oauth_does(gateway: Running) -> None:
    await gateway.user("ann")
    answer = await gateway.post(TOKEN, {**ANN, "grant_type": "password"})
    assert answer.status == 200
    assert set(answer.json) == {"access_token", "refresh_token", "token_type", "expires_in"}
    assert (answer.json["token_type"], answer.json["expires_in"]) == ("Bearer", 900)
    wrong = await gateway.post(TOKEN, {**ANN, "grant_type": "refresh_token"})
    assert (wrong.status, wrong.json["errors"][0]["field"]) == (400, "grant_type")
    assert (await gateway.post(TOKEN, {**ANN, "grant_type": 7})).status == 400
    assert (await gateway.post(TOKEN, {"grant_type": "password"})).status == 400


@pytest.mark.parametrize("path", [LOGIN, TOKEN])
async def test_who_may_not_sign_in_is_told_so(gateway: Running, path: str) -> None:
    ann = await gateway.user("ann")
    wrong = await gateway.post(path, {"username": "ann", "password": "not the right one"})
    unknown = await gateway.post(path, {"username": "nobody", "password": "not the right one"})
    for answer in (wrong, unknown):
        assert (answer.status, answer.json["code"]) == (401, "bad_credentials")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert {**wrong.json, "request_id": ""} == {**unknown.json, "request_id": ""}
    root = await gateway.token(await gateway.user("root", "admin"))
    await gateway.send("PUT", f"/api/v1/users/{ann.id}", token=root, json={"is_active": False})
    disabled = await gateway.post(path, ANN)
    assert (disabled.status, disabled.json["code"]) == (403, "inactive")
    # Only the right password learns that the account is disabled.
    assert (await gateway.post(path, {**ANN, "password": "not the right one"})).status == 401


async def test_too_many_failures_close_the_account_to_every_spelling(gateway_factory: GatewayFactory) -> None:
    gateway = await gateway_factory("login: {max_failures: 3}")
    await gateway.user("ann")
    for name in ("ann", "ANN", "ann@example.com"):
        assert (await gateway.post(LOGIN, {"username": name, "password": "wrong"})).status == 401
        await gateway.post(LOGIN, {"username": "nobody", "password": "wrong"})
    for name, password in (("ann", PASSWORD), ("Ann@Example.com", PASSWORD), ("nobody", "wrong")):
        answer = await gateway.post(TOKEN, {"username": name, "password": password})
        assert (answer.status, answer.json["code"]) == (429, "too_many_attempts")
        assert 0 < int(answer.headers["Retry-After"]) <= 15 * 60
    bob = await gateway.user("bob")
    assert (await gateway.post(LOGIN, {"username": "bob", "password": PASSWORD})).json["user"]["id"] == bob.id


async def test_a_refresh_token_is_good_once(gateway: Running) -> None:
    await gateway.user("ann")
    first = (await gateway.post(LOGIN, ANN)).json
    second = await gateway.post("/api/v1/users/token-refresh", {"refresh_token": first["refresh_token"]})
    assert (second.status, set(second.json)) == (200, {"token", "refresh_token"})
    document = {"refresh_token": second.json["refresh_token"], "grant_type": "refresh_token"}
    third = await gateway.post("/api/v1/auth/refresh", document)
    assert (third.status, set(third.json)) == (200, {"access_token", "refresh_token", "token_type", "expires_in"})
    assert (await gateway.get("/api/me", token=third.json["access_token"])).status == 200
    again = await gateway.post("/api/v1/auth/refresh", document)
    assert again.status == 401
    # It has leaked: whoever holds the newest one is out as well.
    assert (await gateway.get("/api/me", token=third.json["access_token"])).status == 401
    newest = await gateway.post("/api/v1/auth/refresh", {"refresh_token": third.json["refresh_token"]})
    assert newest.status == 401


async def test_of_two_refreshes_at_once_one_fails(gateway: Running) -> None:
    await gateway.user("ann")
    document = {"refresh_token": (await gateway.post(LOGIN, ANN)).json["refresh_token"]}
    answers = await asyncio.gather(*[gateway.post("/api/v1/auth/refresh", document) for _ in range(4)])
    assert sorted(answer.status for answer in answers) == [200, 401, 401, 401]


async def test_a_refresh_token_is_no_access_token_nor_the_other_way_round(gateway: Running) -> None:
    await gateway.user("ann")
    pair = (await gateway.post(LOGIN, ANN)).json
    assert (await gateway.get("/api/me", token=pair["refresh_token"])).status == 401
    assert (await gateway.post("/api/v1/auth/refresh", {"refresh_token": pair["token"]})).status == 401


async def test_logout_counts_and_ends_every_family(gateway: Running) -> None:
    await gateway.user("ann")
    one, other = [(await gateway.post(LOGIN, ANN)).json for _ in range(2)]
    answer = await gateway.post("/api/v1/auth/logout", token=one["token"])
    assert (answer.status, answer.json["invalidated_tokens"]) == (200, 2)
    assert isinstance(answer.json["message"], str)
    for pair in (one, other):
        assert (await gateway.get("/api/me", token=pair["token"])).status == 401
        assert (await gateway.post("/api/v1/auth/refresh", {"refresh_token": pair["refresh_token"]})).status == 401
    assert (await gateway.post("/api/v1/auth/logout", token=one["token"])).status == 401
    assert (await gateway.post("/api/v1/auth/logout")).status == 401


async def test_logout_by_session_ends_the_login_on_every_host(gateway: Running) -> None:
    ann = await gateway.user("ann")
    cookie = await gateway.session(ann)
    assert (await gateway.get("/api/me", cookie=cookie)).status == 200
    assert (await gateway.post("/api/v1/auth/logout", cookie=cookie)).status == 200
    assert (await gateway.get("/api/me", cookie=cookie)).status == 401


async def test_a_session_is_good_on_its_own_host_only(gateway: Running) -> None:
    cookie = await gateway.session(await gateway.user("ann"), host="app.localhost")
    assert (await gateway.get("/api/me", cookie=cookie)).status == 401


ORIGINS: dict[str, tuple[dict[str, str], int]] = {
    "no browser": ({}, 200),
    "own origin": ({"Origin": "{origin}"}, 200),
    "own page": ({"Sec-Fetch-Site": "same-origin"}, 200),
    "other site": ({"Origin": "http://evil.example"}, 403),
    "sandbox": ({"Origin": "null"}, 403),
    "other port": ({"Origin": "http://localhost"}, 403),
    "suffix": ({"Origin": "{origin}.evil.example"}, 403),
    "contradiction": ({"Origin": "{origin}", "Sec-Fetch-Site": "cross-site"}, 403),
    "sibling host": ({"Sec-Fetch-Site": "same-site"}, 403),
    "cross-site": ({"Sec-Fetch-Site": "cross-site"}, 403),
}


async def test_other_sites_cannot_use_a_persons_cookie(gateway: Running) -> None:
    ann = await gateway.user("ann")
    cookie, token = await gateway.session(ann), await gateway.token(ann)
    path = f"/api/v1/users/{ann.id}"
    for name, (headers, status) in ORIGINS.items():
        sent = {key: value.format(origin=gateway.origin) for key, value in headers.items()}
        changed = await gateway.send("PUT", path, cookie=cookie, headers=sent, json={"name": "Mallory"})
        assert changed.status == status, name
        # A token that a program sends itself is no cookie.
        by_token = await gateway.send("PUT", path, token=token, headers=sent, json={"name": "Ann"})
        assert by_token.status == 200, name


async def test_bad_credentials_are_refused_wherever_one_is_needed(gateway: Running) -> None:
    ann = await gateway.user("ann")
    good = await gateway.token(ann)
    head, _, signature = good.rpartition(".")
    absent = await gateway.get("/api/me")
    assert (absent.status, absent.json["code"]) == (401, "unauthenticated")
    assert "error=" not in absent.headers["WWW-Authenticate"]
    for token in ("x", f"{head}.", f"{head}.{signature[::-1]}", "gwt_abc", "a.b.c", "\xff", good + "=", "." * 4000):
        answer = await gateway.get("/api/me", token=token)
        assert (answer.status, answer.json["code"]) == (401, "invalid_credential"), token
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
    beside: list[tuple[str, str]] = [("Cookie", "gateway=" + "x" * 43)]
    assert (await gateway.get("/api/me", token=good, headers=beside)).status == 401
    twice = await gateway.get("/api/me", headers=[("Authorization", f"Bearer {good}")] * 2)
    assert twice.status == 400


async def test_the_published_keys_verify_an_access_token(gateway: Running) -> None:
    ann = await gateway.user("ann")
    token = await gateway.token(ann)
    for path in ("/.well-known/jwks.json", "/oauth/jwks"):
        answer = await gateway.get(path)
        assert answer.headers["Content-Type"].startswith("application/json")
        keys: dict[str, Any] = answer.json
        assert all(not {"d", "p", "q", "k"} & set(key) and key["alg"] == "ES256" for key in keys["keys"])
        verified = jwt.JWT(jwt=token, key=jwk.JWKSet.from_json(answer.text), algs=["ES256"])
        assert ann.id in verified.claims
    other_host = await gateway.get("/.well-known/jwks.json", host="other.localhost")
    assert other_host.status == 404


async def test_api_tokens_are_shown_once_and_end_when_deleted(gateway: Running) -> None:
    ann = await gateway.user("ann")
    bearer = await gateway.token(ann)
    path = "/api/v1/users/ann/api-tokens"
    made = await gateway.post(path, {"name": "ci", "scopes": ["wiki:read"], "expires_in": 3600}, token=bearer)
    assert made.status == 201
    assert set(made.json) >= {"id", "name", "scopes", "token", "created_at", "expires_at"}
    assert (made.json["name"], made.json["scopes"]) == ("ci", ["wiki:read"])
    listed = await gateway.get(path, token=bearer)
    assert [token["id"] for token in listed.json] == [made.json["id"]]
    assert made.json["token"] not in listed.text
    assert "token" not in listed.json[0]
    for headers in (
        {"Authorization": f"Bearer {made.json['token']}"},
        {"Authorization": f"Token {made.json['token']}"},
        {"X-API-Key": made.json["token"]},
    ):
        assert (await gateway.get("/api/me", headers=headers)).json["username"] == "ann"
    deleted = await gateway.send("DELETE", f"{path}/{made.json['id']}", token=bearer)
    assert (deleted.status, deleted.json) == (200, {"success": True})
    assert (await gateway.get("/api/me", token=made.json["token"])).status == 401
    assert (await gateway.send("DELETE", f"{path}/{made.json['id']}", token=bearer)).status == 404


async def test_a_token_with_other_scopes_only_says_whom_it_stands_for(gateway: Running) -> None:
    ann = await gateway.user("ann", "admin")
    _, narrow = await gateway.api_token(ann, "wiki:read")
    _, wide = await gateway.api_token(ann, "gateway")
    assert (await gateway.get("/api/me", token=narrow)).status == 200
    tried = {
        ("GET", "/api/v1/users/"): None,
        ("GET", f"/api/v1/users/{ann.id}"): None,
        ("PUT", f"/api/v1/users/{ann.id}"): {"password": "taken over by a token"},
        ("POST", "/api/v1/users/me/api-tokens"): {"name": "wider", "scopes": ["gateway"]},
        ("POST", "/api/v1/auth/logout"): None,
    }
    for (method, path), document in tried.items():
        answer = await gateway.send(method, path, token=narrow, json=document)
        assert (answer.status, answer.json["code"]) == (403, "insufficient_scope"), path
    assert (await gateway.get("/api/v1/users/", token=wide)).status == 200


UNFIT: tuple[tuple[dict[str, Any], str], ...] = (
    ({"scopes": []}, "name"),
    ({"name": "", "scopes": []}, "name"),
    ({"name": "x" * 101}, "name"),
    ({"name": "ci", "scopes": "all"}, "scopes"),
    ({"name": "ci", "scopes": ["two words"]}, "scopes"),
    ({"name": "ci", "scopes": [7]}, "scopes"),
    ({"name": "ci", "scopes": ["s"] * 99 + [""]}, "scopes"),
    ({"name": "ci", "expires_in": 0}, "expires_in"),
    ({"name": "ci", "expires_in": -5}, "expires_in"),
    ({"name": "ci", "expires_in": "90d"}, "expires_in"),
    ({"name": "ci", "expires_in": 1.5}, "expires_in"),
    ({"name": "ci", "expires_in": True}, "expires_in"),
    ({"name": "ci", "expires_in": 10**15}, "expires_in"),
)


async def test_an_unfit_api_token_is_refused_by_its_field(gateway: Running) -> None:
    token = await gateway.token(await gateway.user("ann"))
    for document, field in UNFIT:
        answer = await gateway.post("/api/v1/users/me/api-tokens", document, token=token)
        assert (answer.status, [error["field"] for error in answer.json["errors"]]) == (400, [field]), document
