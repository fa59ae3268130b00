"""Everybody's accounts, on the pages of administrators and nobody else's."""

from __future__ import annotations

import re

import pytest

from gateway.accounts.changes import Changes
from gateway.accounts.user import User
from tests.web.portal import PASSWORD, Browser, World

PAGE = "/admin/users"
ACTS = ("roles", "disable", "enable", "verify", "sign-out", "unlock")


@pytest.fixture
async def bob(world: World) -> User:
    return await world.users.create("bob", "bob@example.com", PASSWORD)


@pytest.fixture
async def admin(world: World, browser: Browser) -> Browser:
    await world.users.change(world.ann.id, Changes(roles=["admin"]))
    await browser.sign_in()
    return browser


async def act(admin: Browser, user: User, what: str, **fields: str) -> str:
    page = await admin.get(f"{PAGE}/{user.id}")
    done = await admin.send("POST", f"{PAGE}/{user.id}/{what}", data={"csrf_token": page.token, **fields})
    assert done.status == 303, done.text
    return done.location.partition("done=")[2]


async def test_users_are_listed_and_searched(admin: Browser, bob: User) -> None:
    listed = (await admin.get(PAGE)).text
    assert [f'href="{PAGE}/{bob.id}"' in listed, "ann@example.com" in listed] == [True, True]
    found = (await admin.get(f"{PAGE}?search=BOB")).text
    assert ["bob@example.com" in found, "ann@example.com" in found] == [True, False]
    for odd in ("%00", "%ED%A0%80", "%25", "'", "x" * 5000):
        assert "Nobody is called that" in (await admin.get(f"{PAGE}?search={odd}")).text


@pytest.mark.parametrize("path", ["", "/{id}"])
async def test_pages_are_closed_to_others(world: World, browser: Browser, bob: User, path: str) -> None:
    url = PAGE + path.format(id=bob.id)
    assert (await browser.get(url)).status == 303
    await browser.sign_in()
    assert (await browser.get(url)).status == 403


async def test_nothing_is_done_by_others(world: World, browser: Browser, bob: User) -> None:
    await browser.sign_in()
    for what in (*(f"{bob.id}/{each}" for each in ACTS), "invite"):
        answer = await browser.send("POST", f"{PAGE}/{what}", data={"csrf_token": "x", "roles": "admin"})
        assert answer.status == 403, what
    assert await world.users.get("bob") == bob


async def test_roles_are_given_and_taken(world: World, admin: Browser, bob: User) -> None:
    assert await act(admin, bob, "roles", roles="ops, admin,, ops") == "roles"
    assert (await world.users.get("bob")).roles == ("admin", "ops")
    await act(admin, bob, "roles", roles="")
    assert (await world.users.get("bob")).roles == ()


async def test_a_disabled_account_is_signed_out_and_comes_back(
    world: World, admin: Browser, stranger: Browser, bob: User
) -> None:
    form = {"username": "bob", "password": PASSWORD}
    await stranger.submit("/login", form)
    assert (await stranger.get("/account")).status == 200
    assert await act(admin, bob, "disable") == "disabled"
    assert (await stranger.get("/account")).status == 303
    assert (await stranger.submit("/login", form)).status == 403
    assert await act(admin, bob, "enable") == "enabled"
    assert (await stranger.submit("/login", form)).status == 303


async def test_somebody_is_signed_out_and_their_address_confirmed(
    world: World, admin: Browser, stranger: Browser, bob: User
) -> None:
    await stranger.submit("/login", {"username": "bob", "password": PASSWORD})
    assert await act(admin, bob, "sign-out") == "signed_out"
    assert (await stranger.get("/account")).status == 303
    assert await act(admin, bob, "verify") == "verified"
    assert (await world.users.get("bob")).is_verified


async def test_a_locked_account_is_unlocked(world: World, admin: Browser, stranger: Browser, bob: User) -> None:
    for _ in range(world.settings.login.max_failures):
        await stranger.submit("/login", {"username": "bob", "password": "wrong"})
    right = {"username": "bob", "password": PASSWORD}
    assert (await stranger.submit("/login", right)).status == 429
    assert await act(admin, bob, "unlock") == "unlocked"
    assert (await stranger.submit("/login", right)).status == 303


@pytest.mark.parametrize("what", ["disable", "roles"])
async def test_the_last_administrator_stays(world: World, admin: Browser, what: str) -> None:
    page = await admin.get(f"{PAGE}/{world.ann.id}")
    answer = await admin.send("POST", f"{PAGE}/{world.ann.id}/{what}", data={"csrf_token": page.token})
    assert (answer.status, "last active administrator" in answer.text) == (400, True)
    assert (await world.users.get("ann")).is_admin


async def test_an_invitation_is_shown_once_where_no_mail_is_sent(admin: Browser) -> None:
    page = await admin.get(PAGE)
    form = {"csrf_token": page.token, "email": "eve@example.com", "roles": "ops"}
    made = await admin.send("POST", f"{PAGE}/invite", data=form)
    assert re.search(r'<code id="link">http[^<]+</code>', made.text)
    wrong = await admin.send("POST", f"{PAGE}/invite", data={**form, "email": "x"})
    assert (wrong.status, 'id="email-error"' in wrong.text) == (400, True)


async def test_what_administrators_do_takes_a_recent_sign_in(world: World, admin: Browser, bob: User) -> None:
    token = (await admin.get(PAGE)).token
    world.clock.advance(16 * 60)
    for what in (*(f"{bob.id}/{each}" for each in ACTS), "invite"):
        late = await admin.send("POST", f"{PAGE}/{what}", data={"csrf_token": token})
        assert (late.status, "prompt=login" in late.location) == (303, True), what
    assert await world.users.get("bob") == bob
