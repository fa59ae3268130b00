"""Browser sessions over JSON: listed by login, ended one by one or all at once."""

from __future__ import annotations

import pytest

from tests.gateways import GatewayFactory, Running

SESSIONS = "/api/v1/users/me/sessions"


@pytest.fixture
async def gateway(gateway_factory: GatewayFactory) -> Running:
    return await gateway_factory()


async def test_logins_are_listed_and_the_callers_own_is_marked(gateway: Running) -> None:
    ann = await gateway.user()
    cookie, _ = await gateway.session(ann), await gateway.session(ann)
    items = (await gateway.get(SESSIONS, cookie=cookie)).json
    assert sorted(item["is_current"] for item in items) == [False, True]
    assert (items[0]["hosts"], items[0]["methods"], items[0]["browser"]) == (
        ["localhost"],
        ["pwd"],
        "An unknown browser",
    )
    assert "secret" not in str(items)
    items = (await gateway.get(SESSIONS, token=await gateway.token(ann))).json
    assert [item["is_current"] for item in items] == [False, False]


async def test_one_login_ends_at_once_and_the_other_goes_on(gateway: Running) -> None:
    ann = await gateway.user()
    mine, other = await gateway.session(ann), await gateway.session(ann)
    ended = next(item for item in (await gateway.get(SESSIONS, cookie=mine)).json if not item["is_current"])
    assert (await gateway.get("/api/me", cookie=other)).status == 200
    answer = await gateway.send("DELETE", f"{SESSIONS}/{ended['id']}", cookie=mine)
    assert (answer.status, answer.json) == (200, {"success": True})
    assert [(await gateway.get("/api/me", cookie=each)).status for each in (mine, other)] == [200, 401]
    assert (await gateway.send("DELETE", f"{SESSIONS}/{ended['id']}", cookie=mine)).status == 404


async def test_another_persons_login_is_not_found_under_ones_own_name(gateway: Running) -> None:
    ann, bob = await gateway.user(), await gateway.user("bob")
    theirs = await gateway.session(bob)
    (item,) = (await gateway.get(SESSIONS, cookie=theirs)).json
    answer = await gateway.send("DELETE", f"{SESSIONS}/{item['id']}", token=await gateway.token(ann))
    assert answer.status == 404
    assert (await gateway.get("/api/me", cookie=theirs)).status == 200


async def test_all_logins_end_and_are_counted(gateway: Running) -> None:
    ann = await gateway.user()
    cookies = [await gateway.session(ann) for _ in range(3)]
    answer = await gateway.send("DELETE", SESSIONS, token=await gateway.token(ann))
    assert answer.json == {"success": True, "ended": 3}
    assert [(await gateway.get("/api/me", cookie=each)).status for each in cookies] == [401] * 3
