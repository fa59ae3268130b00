"""One's own account on its pages: profile, password, a copy of the data, and the end of it."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from gateway.accounts.changes import Changes
from tests.web.portal import PASSWORD, Answer, Browser, Portals, World

PROFILE, CHANGED, DATA = "/account/profile", "/account/password", "/account/data"
MAIL: dict[str, Any] = {"mail": {"url": "smtp://127.0.0.1:1?tls=none", "from": "wiki@example.com"}}
NEW = "another good passphrase"


async def change(browser: Browser, current: str = PASSWORD, new: str = NEW) -> Answer:
    return await browser.submit(CHANGED, {"current": current, "password": new})


async def test_name_and_language_are_saved(world: World, browser: Browser) -> None:
    await browser.sign_in()
    saved = await browser.submit(PROFILE, {"name": "Ann <3", "username": "ann", "language": "en"})
    assert saved.location == f"{PROFILE}?done=saved"
    user = await world.users.get("ann")
    assert (user.name, user.language) == ("Ann <3", "en")
    assert "Ann &lt;3" in (await browser.get(PROFILE)).text


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"username": "a b"}, "username"),
        ({"username": "bob"}, "username"),
        ({"username": "x\0"}, "username"),
        ({"name": "a\0b"}, "name"),
        ({"name": "x" * 201}, "name"),
        ({"language": "tlh"}, "language"),
        ({"language": "\0"}, "language"),
    ],
)
async def test_what_is_wrong_in_a_profile_stands_beside_its_field(
    world: World, browser: Browser, fields: dict[str, str], field: str
) -> None:
    await world.users.create("bob", "bob@example.com", None)
    await browser.sign_in()
    answer = await browser.submit(PROFILE, {"name": "", "username": "ann", "language": "", **fields})
    assert answer.status == 400
    assert f'id="{field}-error"' in answer.text
    assert (await world.users.get("ann")).name == ""


async def test_a_profile_gives_nobody_a_right(world: World, browser: Browser) -> None:
    await browser.sign_in()
    await browser.submit(
        PROFILE, {"name": "A", "username": "ann", "language": "", "roles": "admin", "is_admin": "true"}
    )
    assert not (await world.users.get("ann")).is_admin


async def test_an_address_without_mail_counts_at_once_and_is_not_confirmed(world: World, browser: Browser) -> None:
    await world.users.change(world.ann.id, Changes(is_verified=True))
    await browser.sign_in()
    page = await browser.get(PROFILE)
    form = {"csrf_token": page.token, "email": "ann@example.org"}
    assert (await browser.send("POST", f"{PROFILE}/email", data=form)).location == f"{PROFILE}?done=saved"
    user = await world.users.get("ann")
    assert (user.email, user.is_verified) == ("ann@example.org", False)
    assert (await browser.send("POST", f"{PROFILE}/email", data={**form, "email": "x"})).status == 400
    world.clock.advance(16 * 60)
    late = await browser.send("POST", f"{PROFILE}/email", data={**form, "email": "thief@example.org"})
    assert "prompt=login" in late.location
    assert (await world.users.get("ann")).email == "ann@example.org"


async def test_an_address_with_mail_counts_once_it_is_answered(portals: Portals, client: aiohttp.ClientSession) -> None:
    world = await portals.open(**MAIL)
    browser = Browser(world, client)
    await browser.sign_in()
    page = await browser.get(PROFILE)
    form = {"csrf_token": page.token, "email": "new@example.com"}
    assert (await browser.send("POST", f"{PROFILE}/email", data=form)).location == f"{PROFILE}?done=written"
    waiting = await browser.get(PROFILE)
    assert "The change to new@example.com waits" in waiting.text
    assert (await world.users.get("ann")).email == "ann@example.com"
    await browser.send("POST", f"{PROFILE}/email/keep", data={"csrf_token": waiting.token})
    assert "waits" not in (await browser.get(PROFILE)).text


async def test_who_has_no_password_sets_one_and_then_needs_it(world: World, browser: Browser) -> None:
    await browser.sign_in()
    await world.database.execute("update account set password_hash = null")
    page = await browser.get(CHANGED)
    assert 'name="current"' not in page.text
    done = await browser.send("POST", CHANGED, data={"csrf_token": page.token, "password": NEW})
    assert done.location == f"{CHANGED}?done=changed"
    assert (await change(browser, "wrong")).status == 400
    assert (await change(browser, NEW, "yet another passphrase")).status == 303


async def test_a_new_password_lets_no_device_do_without_the_second_factor(world: World, browser: Browser) -> None:
    await browser.sign_in()
    await world.database.execute("update known_device set second_factor_until = expires_at")
    assert await world.accounts.devices.trusted_count(world.ann.id) == 1
    await change(browser)
    assert await world.accounts.devices.trusted_count(world.ann.id) == 0


async def test_a_new_password_ends_other_sessions_and_keeps_this_one(
    world: World, browser: Browser, stranger: Browser
) -> None:
    await stranger.sign_in()
    await browser.sign_in()
    assert (await change(browser)).location == f"{CHANGED}?done=changed"
    assert [(await each.get("/account")).status for each in (browser, stranger)] == [200, 303]
    assert (await stranger.sign_in()).status in {400, 401}
    assert (await stranger.sign_in(password=NEW)).status == 303


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [("wrong", NEW, "current"), ("", NEW, "current"), ("\0", NEW, "current"), (PASSWORD, "short", "password")],
)
async def test_a_password_is_not_changed(
    world: World, browser: Browser, stranger: Browser, current: str, new: str, field: str
) -> None:
    await stranger.sign_in()
    await browser.sign_in()
    answer = await change(browser, current, new)
    assert (answer.status, f'id="{field}-error"' in answer.text) == (400, True)
    assert PASSWORD not in answer.text
    assert (await stranger.get("/account")).status == 200


async def test_guesses_at_the_present_password_are_counted(world: World, browser: Browser) -> None:
    await browser.sign_in()
    for _ in range(world.settings.login.max_failures):
        assert (await change(browser, "guess")).status == 400
    assert (await change(browser)).status == 429


async def test_the_copy_holds_the_account_and_no_secret(world: World, browser: Browser) -> None:
    await world.users.create("bob", "bob@example.com", None)
    _, text = await world.accounts.api_tokens.create(world.ann.id, "backup", ["wiki:read"])
    elsewhere = "insert into external_login (authority, subject, account_id, provider, created_at) values "
    await world.database.execute(elsewhere + "('https://id.example.com', 'u-1', $1, 'corp', now())", UUID(world.ann.id))
    await browser.sign_in()
    page = await browser.get(DATA)
    copy = await browser.send("POST", f"{DATA}/export", data={"csrf_token": page.token})
    assert copy.headers["Content-Disposition"].startswith("attachment")
    document = json.loads(copy.text)
    assert document["account"]["email"] == "ann@example.com"
    assert [each["name"] for each in document["api_tokens"]] == ["backup"]
    assert document["api_tokens"][0]["scopes"] == ["wiki:read"]
    assert len(document["sessions"]) == 1
    assert [each["issuer"] for each in document["linked_accounts"]] == ["https://id.example.com"]
    assert [each["user_agent"] for each in document["known_devices"]] == ["Firefox on Linux"]
    for secret in (text, text[20:63], browser.secret() or "", "$2b$", "bob"):
        assert secret not in copy.text


async def test_an_account_is_deleted_by_its_typed_name(world: World, browser: Browser) -> None:
    await browser.sign_in()
    wrong = await browser.submit(f"{DATA}/delete", {"username": "bob"})
    assert (wrong.status, 'id="username-error"' in wrong.text) == (400, True)
    assert await world.users.find("ann") is not None
    done = await browser.submit(f"{DATA}/delete", {"username": "Ann"})
    assert done.location == "/login"
    assert await world.users.find("ann") is None
    assert (await browser.get("/account")).status == 303


async def test_the_last_administrator_is_not_deleted(world: World, browser: Browser) -> None:
    await world.users.change(world.ann.id, Changes(roles=["admin"]))
    await browser.sign_in()
    answer = await browser.submit(f"{DATA}/delete", {"username": "ann"})
    assert (answer.status, "last active administrator" in answer.text) == (400, True)
    assert await world.users.find("ann") is not None


@pytest.mark.parametrize("path", [f"{DATA}/delete", f"{DATA}/export", CHANGED])
async def test_what_matters_takes_a_recent_sign_in(world: World, browser: Browser, path: str) -> None:
    await browser.sign_in()
    token = (await browser.get(DATA)).token
    world.clock.advance(timedelta(minutes=16).total_seconds())
    late = await browser.send("POST", path, data={"csrf_token": token, "username": "ann"})
    assert (late.status, "prompt=login" in late.location) == (303, True)
    assert await world.users.find("ann") is not None
