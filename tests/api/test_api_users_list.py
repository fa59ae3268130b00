"""The list of users, two editors at once, and scripts of other origins."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.gateways import PASSWORD, GatewayFactory, Running

USERS = "/api/v1/users/"
APP = "https://app.example.com"


@pytest.fixture
async def running(gateway_factory: GatewayFactory) -> Running:
    return await gateway_factory(f"cors: {{allow_origins: {APP}}}")


async def admin(running: Running) -> str:
    return await running.token(await running.user("root", "admin"))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["ann", "bea", "cid", "root"]),
        ("?sort=-username", ["root", "cid", "bea", "ann"]),
        ("?sort=email", ["ann", "bea", "cid", "root"]),
        ("?sort=created_at", ["root", "cid", "ann", "bea"]),
        ("?sort=-created_at", ["bea", "ann", "cid", "root"]),
        ("?sort=-last_login", ["cid", "ann", "bea", "root"]),
        ("?sort=last_login", ["ann", "bea", "root", "cid"]),
        ("?limit=2&offset=1", ["bea", "cid"]),
        ("?search=EXAMPLE.com&limit=1", ["ann"]),
        ("?search=b", ["bea"]),
        ("?search=%25", []),
        ("?search=%00", []),
        ("?offset=10", []),
    ],
)
async def test_the_list_is_sorted_searched_and_paged(running: Running, query: str, names: list[str]) -> None:
    token = await admin(running)
    for name in ("cid", "ann", "bea"):
        await running.user(name)
    assert (await running.post("/api/v1/users/login", {"username": "cid", "password": PASSWORD})).status == 200
    answer = await running.get(f"{USERS}{query}", token=token)
    assert answer.status == 200
    assert [user["username"] for user in answer.json["items"]] == names
    assert set(answer.json) == {"items", "total", "limit", "offset"}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("sort=password_hash", "sort"),
        ("sort=", "sort"),
        ("sort=--email", "sort"),
        ("limit=-1", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("offset=99999999999", "offset"),
        ("offset=%D9%A1", "offset"),
    ],
)
async def test_a_bad_question_names_its_field(running: Running, query: str, field: str) -> None:
    answer = await running.get(f"{USERS}?{query}", token=await admin(running))
    assert (answer.status, answer.json["errors"][0]["field"]) == (400, field)


async def test_two_editors_notice_each_other(running: Running) -> None:
    token, ann = await admin(running), await running.user()
    path = f"{USERS}{ann.id}"
    tag = (await running.get(path, token=token)).headers["ETag"]
    tries = [
        running.send("PUT", path, token=token, json={"name": name}, headers={"If-Match": tag})
        for name in ("One", "Two")
    ]
    statuses = sorted(answer.status for answer in await asyncio.gather(*tries))
    assert statuses == [200, 412]
    late = await running.send("DELETE", path, token=token, headers={"If-Match": tag})
    assert (late.status, late.json["code"]) == (412, "outdated")
    fresh = (await running.get(path, token=token)).headers["ETag"]
    assert fresh != tag
    assert (await running.send("DELETE", path, token=token, headers={"If-Match": fresh})).status == 204


@pytest.mark.parametrize(
    ("tag", "status"),
    [
        ('"1"', 200),
        ("*", 200),
        ('"7", "1"', 200),
        ('"7"', 412),
        ('W/"1"', 412),
        ("1", 412),
        ("", 412),
        ('"99999999999999999999"', 412),
        ('"\u0661"', 412),
    ],
)
async def test_tags_are_compared_strictly(running: Running, tag: str, status: int) -> None:
    token, ann = await admin(running), await running.user()
    answer = await running.send("PUT", f"{USERS}{ann.id}", token=token, json={"name": "Ann"}, headers={"If-Match": tag})
    assert answer.status == status


@pytest.mark.parametrize(("origin", "allowed"), [(APP, True), ("https://evil.example", False), ("null", False)])
async def test_scripts_of_named_origins_may_use_the_api(running: Running, origin: str, allowed: bool) -> None:
    asks = {"Origin": origin, "Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization"}
    preflight = await running.send("OPTIONS", "/api/v1/users/me", headers=asks)
    assert preflight.status == (204 if allowed else 403)
    told = preflight.headers.get("Access-Control-Allow-Origin")
    assert told == (APP if allowed else None)
    token = await running.token(await running.user())
    for sent, status in ((token, 200), ("wrong", 401)):
        answer = await running.get("/api/me", token=sent, headers={"Origin": origin})
        assert answer.status == status
        assert answer.headers.get("Access-Control-Allow-Origin") == (APP if allowed else None)
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert "Origin" in answer.headers["Vary"]


async def test_pages_are_nobody_else_s_to_read(running: Running) -> None:
    answer = await running.get("/login", headers={"Origin": APP})
    assert "Access-Control-Allow-Origin" not in answer.headers


async def test_without_cors_no_other_origin_may(gateway_factory: GatewayFactory) -> None:
    running = await gateway_factory()
    asks: dict[str, Any] = {"Origin": APP, "Access-Control-Request-Method": "GET"}
    answer = await running.send("OPTIONS", "/api/me", headers=asks)
    assert answer.status == 405
    assert "Access-Control-Allow-Origin" not in answer.headers
