"""Connected applications: what they may do is said, and taken back with one click that only their person can make."""

from __future__ import annotations

import re
from html import unescape

from tests.web.asking import decide, register, told
from tests.web.portal import Answer, Browser, World

PATH = "/account/applications"


async def connect(world: World, browser: Browser, name: str = "Wiki") -> str:
    """Allow an application what it asks for, to the end. Returns its client_id."""
    asking = await register(world, name)
    allowed = await decide(browser, asking.url("openid email"), "allow")
    assert told((await browser.get(allowed.location)).location)["code"]
    return asking.client.id


async def take_back(browser: Browser, client_id: str, **changes: str) -> Answer:
    page = await browser.get(PATH)
    return await browser.send("POST", PATH, {}, {"csrf_token": page.token, "client_id": client_id, **changes})


async def test_empty_page_says_what_would_be_here(browser: Browser) -> None:
    await browser.sign_in()
    assert "No application uses your account." in (await browser.get(PATH)).text


async def test_page_tells_what_each_application_may_do(world: World, browser: Browser) -> None:
    await browser.sign_in()
    await connect(world, browser)
    world.clock.advance(3 * 3600)
    page = (await browser.get(PATH)).text
    words = " ".join(unescape(re.sub(r"<[^>]+>", " ", page)).split())
    assert "Wiki" in words
    assert "See your e-mail address" in words
    assert "Allowed 3 hours ago · last used 3 hours ago" in words


async def test_taking_back_ends_the_tokens_and_asks_again(world: World, browser: Browser) -> None:
    await browser.sign_in()
    wiki, blog = await connect(world, browser), await connect(world, browser, "Blog")
    done = await take_back(browser, wiki)
    assert done.location == f"{PATH}?revoked=yes"
    page = (await browser.get(done.location)).text
    assert "The application can no longer use your account." in page
    assert (">Wiki<" in page, ">Blog<" in page) == (False, True)
    rows = await world.database.fetch("select client_id from refresh_family where revoked_at is null")
    assert [row["client_id"] for row in rows] == [blog]
    assert (await take_back(browser, wiki)).location == f"{PATH}?revoked=no"


async def test_nobody_takes_back_for_somebody_else(world: World, browser: Browser, stranger: Browser) -> None:
    await browser.sign_in()
    wiki = await connect(world, browser)
    await world.users.create("bea", "bea@example.com", "correct horse battery")
    await stranger.submit("/login", {"username": "bea", "password": "correct horse battery"})
    # bea's page has a form only for an application of hers
    page = await connect(world, stranger, "Blog")
    assert (await take_back(stranger, wiki)).location == f"{PATH}?revoked=no"
    assert (await take_back(stranger, page)).location == f"{PATH}?revoked=yes"
    assert await world.database.fetchval("select count(*) from oauth_consent") == 1


async def test_form_of_another_session_takes_nothing_back(world: World, browser: Browser) -> None:
    await browser.sign_in()
    wiki = await connect(world, browser)
    token = (await browser.get("/logout")).token
    for changes in ({"csrf_token": token}, {"csrf_token": ""}):
        assert (await take_back(browser, wiki, **changes)).status == 403
    assert await world.count("oauth_consent") == 1


async def test_unusable_client_id_is_no_error(world: World, browser: Browser) -> None:
    await browser.sign_in()
    await connect(world, browser)
    for client_id in ("", "\0", "x" * 9000, "\ud800"):
        assert (await take_back(browser, client_id.encode("utf-8", "replace").decode())).status == 303
