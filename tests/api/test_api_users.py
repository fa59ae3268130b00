"""The JSON API over users: exact shapes, and who may do what to whom."""

from __future__ import annotations

from typing import Any

import pytest

from tests.gateways import PASSWORD, GatewayFactory, Running

USER = {
    "id",
    "username",
    "email",
    "roles",
    "created_at",
    "updated_at",
    "last_login",
    "is_active",
    "is_verified",
    "is_admin",
}
NEW = {"username": "bob", "email": "bob@example.com", "password": "a long enough one"}


@pytest.fixture
async def gateway(gateway_factory: GatewayFactory) -> Running:
    return await gateway_factory()


async def test_registration_answers_with_the_user_and_tokens_that_work(gateway: Running) -> None:
    answer = await gateway.post("/api/v1/users/register", NEW)
    assert answer.status == 201
    assert set(answer.json) == {"user", "token", "refresh_token"}
    user = answer.json["user"]
    assert set(user) >= USER
    assert (user["username"], user["roles"], user["is_admin"]) == ("bob", ["user"], False)
    assert (user["is_active"], user["is_verified"], user["last_login"]) == (True, False, None)
    assert answer.headers["Cache-Control"] == "no-store"
    me = await gateway.get("/api/me", token=answer.json["token"])
    assert me.json["id"] == user["id"]


async def test_an_account_is_made_without_signing_it_in(gateway: Running) -> None:
    answer = await gateway.post("/api/v1/users/", NEW)
    assert answer.status == 201
    assert set(answer.json) >= USER
    assert "token" not in answer.json


@pytest.mark.parametrize("path", ["/api/v1/users/register", "/api/v1/users/"])
async def test_closed_registration_is_for_administrators(gateway_factory: GatewayFactory, path: str) -> None:
    gateway = await gateway_factory("registration: {enabled: false}")
    assert (await gateway.post(path, NEW)).status == 401
    ann = await gateway.user("ann")
    assert (await gateway.post(path, NEW, token=await gateway.token(ann))).status == 403
    root = await gateway.user("root", "admin")
    made = await gateway.post(path, {**NEW, "roles": ["staff"]}, token=await gateway.token(root))
    assert made.status == 201
    assert made.json.get("user", made.json)["roles"] == ["staff"]


async def test_nobody_chooses_their_own_roles(gateway: Running) -> None:
    ann = await gateway.user("ann")
    for token in ("", await gateway.token(ann), "broken"):
        answer = await gateway.post("/api/v1/users/register", {**NEW, "roles": ["admin"]}, token=token)
        assert (answer.status, answer.json["code"]) == (403, "forbidden")
    made = await gateway.post("/api/v1/users/register", {**NEW, "is_admin": True, "is_verified": True})
    assert (made.json["user"]["is_admin"], made.json["user"]["is_verified"]) == (False, False)


async def test_an_unverified_address_gets_no_tokens_where_it_must_be_verified(gateway_factory: GatewayFactory) -> None:
    gateway = await gateway_factory("registration: {require_verified_email: true}")
    answer = await gateway.post("/api/v1/users/register", NEW)
    assert answer.status == 201
    assert (answer.json["token"], answer.json["refresh_token"]) == (None, None)
    signing_in = {"username": "bob", "password": NEW["password"]}
    refused = await gateway.post("/api/v1/users/login", signing_in)
    assert (refused.status, refused.json["code"]) == (403, "unverified")
    root = await gateway.user("root", "admin")
    path = f"/api/v1/users/{answer.json['user']['id']}/verify"
    verified = await gateway.send("PUT", path, token=await gateway.token(root))
    assert (verified.status, verified.json["is_verified"]) == (200, True)
    assert (await gateway.post("/api/v1/users/login", signing_in)).status == 200


async def test_a_changed_address_must_be_verified_anew(gateway: Running) -> None:
    ann = await gateway.user("ann")
    root_token = await gateway.token(await gateway.user("root", "admin"))
    path = f"/api/v1/users/{ann.id}"
    await gateway.send("PUT", f"{path}/verify", token=root_token)
    token = await gateway.token(ann)
    same = await gateway.send("PUT", path, token=token, json={"email": "ann@example.com", "name": "Ann"})
    assert (same.json["is_verified"], same.json["name"]) == (True, "Ann")
    changed = await gateway.send("PUT", path, token=token, json={"email": "boss@example.com"})
    assert (changed.json["email"], changed.json["is_verified"]) == ("boss@example.com", False)
    by_admin = await gateway.send("PUT", path, token=root_token, json={"email": "a@example.com", "is_verified": True})
    assert by_admin.json["is_verified"] is True


# What -> (administrator, oneself, somebody else, nobody). Deleting comes last.
TABLE: dict[tuple[str, str, Any], tuple[int, int, int, int]] = {
    ("GET", "/api/v1/users/", None): (200, 403, 403, 401),
    ("GET", "/api/v1/users/roles", None): (200, 200, 200, 401),
    ("GET", "/api/v1/users/{id}", None): (200, 200, 403, 401),
    ("GET", "/api/v1/users/ann", None): (200, 200, 403, 401),
    ("PUT", "/api/v1/users/{id}", '{"name": "Ann"}'): (200, 200, 403, 401),
    ("PUT", "/api/v1/users/{id}", '{"roles": ["user"]}'): (200, 403, 403, 401),
    ("PUT", "/api/v1/users/{id}", '{"roles": []}'): (200, 403, 403, 401),
    ("PUT", "/api/v1/users/{id}", '{"is_active": true}'): (200, 403, 403, 401),
    ("PUT", "/api/v1/users/{id}", '{"is_verified": true}'): (200, 403, 403, 401),
    ("PUT", "/api/v1/users/{id}", '{"is_admin": true, "is_admin": false}'): (400, 400, 403, 401),
    ("PUT", "/api/v1/users/{id}", '{"is_admin": false}'): (200, 403, 403, 401),
    ("PUT", "/api/v1/users/{id}/verify", None): (200, 403, 403, 401),
    ("GET", "/api/v1/users/{id}/api-tokens", None): (200, 200, 403, 401),
    ("POST", "/api/v1/users/{id}/api-tokens", '{"name": "ci", "scopes": []}'): (201, 201, 403, 401),
    ("DELETE", "/api/v1/users/{id}/api-tokens/nosuch", None): (404, 404, 403, 401),
    ("GET", "/api/v1/users/{id}/sessions", None): (200, 200, 403, 401),
    ("DELETE", "/api/v1/users/{id}/sessions/nosuch", None): (404, 404, 403, 401),
    ("DELETE", "/api/v1/users/{id}/sessions", None): (200, 200, 403, 401),
    ("DELETE", "/api/v1/users/{id}", None): (204, 204, 403, 401),
}


async def test_one_may_manage_oneself_and_an_administrator_anybody(gateway: Running) -> None:
    eve = await gateway.token(await gateway.user("eve"))
    root = await gateway.token(await gateway.user("root", "admin"))
    found = {}
    for method, path, body in TABLE:
        statuses = []
        for caller in ("root", "ann", "eve", "nobody"):
            known = await gateway.gateway.accounts.users.find("ann") or await gateway.user("ann")
            token = {"root": root, "ann": await gateway.token(known), "eve": eve, "nobody": ""}[caller]
            answer = await gateway.send(
                method,
                path.format(id=known.id),
                token=token,
                data=body,
                headers={"Content-Type": "application/json"} if body else (),
            )
            statuses.append(answer.status)
            if answer.status >= 400:
                assert answer.headers["Content-Type"] == "application/problem+json"
                assert answer.json["status"] == answer.status
        found[method, path, body] = tuple(statuses)
    assert found == TABLE


async def test_somebody_else_cannot_tell_who_exists(gateway: Running) -> None:
    await gateway.user("ann")
    token = await gateway.token(await gateway.user("eve"))
    there, not_there = [await gateway.get(f"/api/v1/users/{name}", token=token) for name in ("ann", "nobody")]
    documents = [{**answer.json, "request_id": ""} for answer in (there, not_there)]
    assert documents[0] == documents[1]
    assert there.status == 403


async def test_nobody_is_found_where_nobody_is(gateway: Running) -> None:
    root = await gateway.token(await gateway.user("root", "admin"))
    for name in ("nobody", "00000000-0000-0000-0000-000000000000", "%00", "%ED%A0%80", "a%20b"):
        answer = await gateway.get(f"/api/v1/users/{name}", token=root)
        assert answer.status in {400, 404}, name
        assert answer.headers["Content-Type"] == "application/problem+json"


async def test_the_list_is_paged_and_searched(gateway: Running) -> None:
    root = await gateway.token(await gateway.user("root", "admin"))
    for name in ("ann", "anna", "bob"):
        await gateway.user(name)
    page = await gateway.get("/api/v1/users/?limit=1&offset=1&search=ann", token=root)
    assert set(page.json) == {"items", "total", "limit", "offset"}
    assert [user["username"] for user in page.json["items"]] == ["anna"]
    assert (page.json["total"], page.json["limit"], page.json["offset"]) == (2, 1, 1)
    assert (await gateway.get("/api/v1/users/?search=%25", token=root)).json["total"] == 0
    assert (await gateway.get("/api/v1/users/?search=%00", token=root)).json["total"] == 0
    for bad in ("limit=-1", "limit=x", "limit=201", "offset=99999999999", "limit=%D9%A1"):
        answer = await gateway.get(f"/api/v1/users/?{bad}", token=root)
        assert answer.status == 400, bad
        assert answer.json["errors"][0]["field"] == bad.partition("=")[0]


async def test_roles_are_listed_as_names(gateway: Running) -> None:
    token = await gateway.token(await gateway.user("ann", "staff"))
    assert (await gateway.get("/api/v1/users/roles", token=token)).json == ["admin", "staff", "user"]


async def test_taken_and_unfit_values_are_named_by_their_fields(gateway: Running) -> None:
    await gateway.user("ann")
    cases: dict[str, dict[str, Any]] = {
        "username": {**NEW, "username": "ANN"},
        "email": {**NEW, "email": "ann@EXAMPLE.com"},
        "password": {**NEW, "password": "short"},
    }
    for field, document in cases.items():
        answer = await gateway.post("/api/v1/users/register", document)
        assert (answer.status, answer.json["code"]) == (400, "invalid_input")
        assert [error["field"] for error in answer.json["errors"]] == [field]
    missing = await gateway.post("/api/v1/users/register", {})
    assert [error["field"] for error in missing.json["errors"]] == ["username", "email", "password"]
    assert set(missing.json) == {"type", "title", "status", "detail", "code", "request_id", "errors"}
    assert missing.json["request_id"] == missing.headers["X-Request-Id"]


async def test_the_last_administrator_stays(gateway: Running) -> None:
    root = await gateway.user("root", "admin", "user")
    token = await gateway.token(root)
    path = f"/api/v1/users/{root.id}"
    for change in ({"roles": ["user"]}, {"is_active": False}, {"is_admin": False}):
        answer = await gateway.send("PUT", path, token=token, json=change)
        assert (answer.status, answer.json["code"]) == (409, "last_administrator"), change
        assert answer.json["errors"][0]["field"] == "roles"
    assert (await gateway.send("DELETE", path, token=token)).status == 409
    await gateway.user("other", "admin")
    demoted = await gateway.send("PUT", path, token=token, json={"is_admin": False})
    assert (demoted.status, demoted.json["roles"], demoted.json["is_admin"]) == (200, ["user"], False)
    assert (await gateway.get("/api/v1/users/", token=token)).status == 403


async def test_one_is_found_under_me_and_the_profile(gateway: Running) -> None:
    ann = await gateway.user("ann")
    token = await gateway.token(ann)
    own = await gateway.get("/api/v1/users/me", token=token)
    assert set(own.json) >= USER
    assert (await gateway.get("/api/me", token=token)).json == own.json
    assert (await gateway.get("/api/v1/users/login/profile", token=token)).json == {"user": own.json}
    changed = await gateway.send("PUT", "/api/v1/users/me", token=token, json={"name": "Ann"})
    assert changed.json["name"] == "Ann"


async def test_a_changed_password_is_the_one_that_signs_in(gateway: Running) -> None:
    ann = await gateway.user("ann")
    token = await gateway.token(ann)
    changed = await gateway.send("PUT", f"/api/v1/users/{ann.id}", token=token, json={"password": "another good one"})
    assert changed.status == 200
    assert (await gateway.get("/api/me", token=token)).status == 401
    old, new = [
        await gateway.post("/api/v1/users/login", {"username": "ann", "password": password})
        for password in (PASSWORD, "another good one")
    ]
    assert (old.status, new.status) == (401, 200)


async def test_one_address_does_not_register_without_end(gateway_factory: GatewayFactory) -> None:
    running = await gateway_factory("login: {per_ip: 2}")

    async def register(number: int, **headers: str) -> int:
        account = {"username": f"n{number}", "email": f"n{number}@example.com", "password": PASSWORD}
        return (await running.post("/api/v1/users/register", account, headers=headers)).status

    assert [await register(number) for number in range(3)] == [201, 201, 429]
    assert await register(3, **{"X-Forwarded-For": "192.0.2.7"}) == 429


async def test_a_new_gateway_has_no_account_at_all(gateway_factory: GatewayFactory) -> None:
    running = await gateway_factory()
    assert await running.gateway.accounts.users.is_empty()
