"""The sessions page: who is signed in where, and signing them out."""

from __future__ import annotations

import re

import pytest

from tests.web.portal import Browser, World

PAGE = "/account/sessions"
LOGIN = re.compile(r'name="login" value="([^"]+)"')
PHONE = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17 like Mac OS X) Version/17.0 Safari/604.1"}


async def end(browser: Browser, what: str, **fields: str) -> str:
    page = await browser.get(PAGE)
    done = await browser.send("POST", f"{PAGE}/{what}", data={"csrf_token": page.token, **fields})
    assert done.status == 303
    return done.location


async def test_every_browser_is_listed_and_this_one_marked(browser: Browser, stranger: Browser) -> None:
    await stranger.submit("/login", {"username": "ann", "password": "correct horse battery"}, **PHONE)
    await browser.sign_in()
    text = (await browser.get(PAGE)).text
    assert [name in text for name in ("Firefox on Linux", "Safari on iPhone", "127.0.0.1")] == [True] * 3
    assert text.count("this one") == 1
    assert text.index("Firefox on Linux") < text.index("this one") < text.index("Safari on iPhone")


async def test_one_browser_is_signed_out_and_this_one_is_not(browser: Browser, stranger: Browser) -> None:
    await stranger.sign_in()
    await browser.sign_in()
    mine, theirs = LOGIN.findall((await browser.get(PAGE)).text)
    assert mine != theirs
    assert (await end(browser, "end", login=theirs)).endswith("done=one")
    assert (await stranger.get(PAGE)).status == 303
    assert (await browser.get(PAGE)).status == 200
    assert (await end(browser, "end", login=theirs)).endswith("done=none")


async def test_others_are_signed_out(browser: Browser, stranger: Browser) -> None:
    await stranger.sign_in()
    await browser.sign_in()
    await end(browser, "end-others")
    assert [(await each.get(PAGE)).status for each in (browser, stranger)] == [200, 303]


async def test_all_are_signed_out(browser: Browser, stranger: Browser) -> None:
    await stranger.sign_in()
    await browser.sign_in()
    assert await end(browser, "end-all") == "/login"
    assert [(await each.get(PAGE)).status for each in (browser, stranger)] == [303, 303]


@pytest.mark.parametrize("login", ["", "x", "\0", "00000000-0000-4000-8000-000000000000"])
async def test_what_is_no_login_ends_nothing(world: World, browser: Browser, login: str) -> None:
    await browser.sign_in()
    assert (await end(browser, "end", login=login)).endswith("done=none")
    assert await world.count() == 1


async def test_another_persons_login_is_not_ended(world: World, browser: Browser, stranger: Browser) -> None:
    await world.users.create("bob", "bob@example.com", "correct horse battery")
    await stranger.submit("/login", {"username": "bob", "password": "correct horse battery"})
    theirs = LOGIN.findall((await stranger.get(PAGE)).text)[0]
    await browser.sign_in()
    assert (await end(browser, "end", login=theirs)).endswith("done=none")
    assert (await stranger.get(PAGE)).status == 200


@pytest.mark.parametrize("what", ["end", "end-others", "end-all"])
async def test_a_form_of_another_site_ends_nothing(world: World, browser: Browser, what: str) -> None:
    await browser.sign_in()
    assert (await browser.send("POST", f"{PAGE}/{what}", data={"csrf_token": "x"})).status == 403
    assert await world.count() == 1
