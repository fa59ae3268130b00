"""A page speaks the language of its reader."""

from __future__ import annotations

import aiohttp
import pytest

from gateway.accounts.changes import Changes
from tests.web.portal import Browser, Portals, World

GERMAN = {"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}


@pytest.mark.parametrize(
    ("asked", "language", "says"),
    [
        ({}, "en", "Sign in"),
        (GERMAN, "de", "Anmelden"),
        ({"Accept-Language": "fr"}, "en", "Sign in"),
    ],
    ids=["nothing", "german", "unknown"],
)
async def test_a_page_speaks_the_browser_s_language(
    browser: Browser, asked: dict[str, str], language: str, says: str
) -> None:
    page = await browser.get("/login", **asked)
    assert f'<html lang="{language}"' in page.text
    assert says in page.text


async def test_an_account_s_language_goes_before_the_browser_s(browser: Browser) -> None:
    await browser.sign_in()
    await browser.submit("/account/profile", {"name": "Ann", "username": "ann", "language": "de"})
    assert '<html lang="de"' in (await browser.get("/account", **{"Accept-Language": "en"})).text


async def test_an_account_without_a_language_follows_the_browser(browser: Browser) -> None:
    await browser.sign_in()
    assert '<html lang="de"' in (await browser.get("/account", **GERMAN)).text
    assert '<html lang="en"' in (await browser.get("/account")).text


async def test_what_is_wrong_is_said_in_the_reader_s_language(browser: Browser) -> None:
    page = await browser.get("/register", **GERMAN)
    fields = {"csrf_token": page.token, "username": "?", "email": "bob@example.com", "password": "short"}
    answer = await browser.send("POST", "/register", GERMAN, fields)
    assert answer.status == 400
    assert "Zeichen" in answer.text
    assert "must" not in answer.text


@pytest.mark.parametrize("path", ["/login", "/register", "/error/403/forbidden", "/error/502/bad_gateway"])
async def test_a_message_with_a_mark_in_a_value_is_no_markup(world: World, browser: Browser, path: str) -> None:
    """Values are escaped before they are put into a translation."""
    page = await browser.get(f"{path}?rd=%3Cscript%3Ealert(1)", **GERMAN)
    assert "<script>alert" not in page.text


@pytest.mark.parametrize(("chosen", "says"), [("", "Wählen Sie ein neues Passwort"), ("en", "Choose a new password")])
async def test_a_letter_speaks_the_language_of_its_account_or_of_the_page_that_sent_it(
    portals: Portals, client: aiohttp.ClientSession, chosen: str, says: str
) -> None:
    world = await portals.open(mail={"url": "smtp://127.0.0.1:1?tls=none", "from": "wiki@example.com"})
    if chosen:
        await world.users.change(world.ann.id, Changes(language=chosen))
    await Browser(world, client).submit("/forgot", {"username": "ann"}, **GERMAN)
    await world.accounts.recovery.forgotten.settled()
    (waiting,) = await world.accounts.recovery.postbox.take(2)
    assert waiting.letter is not None
    assert says in waiting.letter.subject
