"""API tokens on the account's pages: shown once, kept to routes and hosts, deleted."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest

from tests.web.portal import Answer, Browser, World

PAGE = "/account/tokens"
TEXT = re.compile(r"gwt_[0-9A-Za-z]+")


async def make(browser: Browser, **fields: str) -> Answer:
    return await browser.submit(f"{PAGE}/new", {"name": "backup", "lifetime": "30d", **fields})


async def test_a_token_is_shown_once_and_stands_for_its_owner(world: World, browser: Browser) -> None:
    await browser.sign_in()
    assert "No token yet" in (await browser.get(PAGE)).text
    made = await make(browser, scopes="wiki:read  gateway", hosts="Wiki.Example.com *.example.org")
    (text,) = TEXT.findall(made.text)
    owner = await world.accounts.api_tokens.find(text)
    assert owner is not None
    assert (owner.username, owner.scopes) == ("ann", frozenset({"wiki:read", "gateway"}))
    assert (owner.routes, owner.hosts) == (None, frozenset({"wiki.example.com", "*.example.org"}))
    assert owner.expires_at == world.clock.now() + timedelta(days=30)
    listed = (await browser.get(PAGE)).text
    assert TEXT.findall(listed) == []
    assert [word in listed for word in ("backup", "wiki:read", "wiki.example.com", "never used")] == [True] * 4


async def test_a_token_is_kept_to_a_route_that_there_is(world: World, browser: Browser) -> None:
    await browser.sign_in()
    name = world.rules.rules[0].name
    (text,) = TEXT.findall((await make(browser, routes=name)).text)
    owner = await world.accounts.api_tokens.find(text)
    assert owner is not None
    assert owner.routes == frozenset({name})


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"name": ""}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"scopes": 'a"b'}, "scopes"),
        ({"routes": "nosuch"}, "routes"),
        ({"hosts": "http://wiki"}, "hosts"),
        ({"hosts": "a@b"}, "hosts"),
        ({"lifetime": "100y"}, "lifetime"),
    ],
)
async def test_what_is_wrong_stands_beside_its_field(
    world: World, browser: Browser, fields: dict[str, str], field: str
) -> None:
    await browser.sign_in()
    answer = await make(browser, **fields)
    assert answer.status == 400
    assert f'id="{field}-error"' in answer.text
    assert await world.count("api_token") == 0


async def test_a_deleted_token_opens_nothing(world: World, browser: Browser) -> None:
    await browser.sign_in()
    (text,) = TEXT.findall((await make(browser)).text)
    page = await browser.get(PAGE)
    path = re.findall(rf'action="({PAGE}/[^"]+/delete)"', page.text)[0]
    done = await browser.send("POST", path, data={"csrf_token": page.token})
    assert done.location.endswith("done=deleted")
    assert await world.accounts.api_tokens.find(text) is None
    again = await browser.send("POST", path, data={"csrf_token": page.token})
    assert again.location.endswith("done=none")


async def test_another_persons_token_is_not_deleted(world: World, browser: Browser) -> None:
    bob = await world.users.create("bob", "bob@example.com", None)
    token, text = await world.accounts.api_tokens.create(bob.id, "his")
    await browser.sign_in()
    await make(browser)
    page = await browser.get(PAGE)
    done = await browser.send("POST", f"{PAGE}/{token.id}/delete", data={"csrf_token": page.token})
    assert done.location.endswith("done=none")
    assert await world.accounts.api_tokens.find(text) is not None


async def test_making_a_token_takes_a_recent_sign_in(world: World, browser: Browser) -> None:
    await browser.sign_in()
    page = await browser.get(f"{PAGE}/new")
    world.clock.advance(16 * 60)
    late = await browser.send("POST", f"{PAGE}/new", data={"csrf_token": page.token, "name": "late"})
    assert (late.status, "prompt=login" in late.location) == (303, True)
    assert await world.count("api_token") == 0
