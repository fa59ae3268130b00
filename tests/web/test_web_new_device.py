"""A sign-in on a browser that an account was never seen on is told to its owner by mail."""

from __future__ import annotations

import aiohttp
import pytest

from tests.web.portal import PASSWORD, Browser, Portals, World

PHONE = {"User-Agent": "Mozilla/5.0 (iPhone; CPU iPhone OS 17 like Mac OS X) Version/17.0 Safari/604.1"}


@pytest.fixture
async def world(portals: Portals) -> World:
    return await portals.open(mail={"url": "smtp://127.0.0.1:1?tls=none", "from": "wiki@example.com"})


async def letters(world: World) -> list[str]:
    return [each.letter.text for each in await world.accounts.recovery.postbox.take(10) if each.letter]


async def test_the_owner_is_told_of_a_new_device_once(world: World, browser: Browser, stranger: Browser) -> None:
    await browser.sign_in()
    await browser.sign_in("/login?prompt=login")
    assert await letters(world) == []
    for _ in range(2):
        await stranger.submit("/login?prompt=login", {"username": "ann", "password": PASSWORD}, **PHONE)
    (letter,) = await letters(world)
    assert "Safari on iPhone" in letter
    assert "127.0.0.1" in letter


async def test_a_wrong_password_makes_no_device_known(world: World, client: aiohttp.ClientSession) -> None:
    await Browser(world, client).sign_in()
    await Browser(world, client).sign_in(password="wrong one entirely")
    assert await world.count("known_device") == 1
    assert await letters(world) == []
