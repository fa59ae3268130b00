"""Portals to visit, and browsers to visit them with."""

from __future__ import annotations

from collections.abc import AsyncIterator

import aiohttp
import pytest
from playwright.async_api import Browser as Chromium

from gateway.storage.database import Database
from tests.fake_clock import FakeClock
from tests.web.chromium import chromium, opened
from tests.web.portal import Browser, Portals, World
from tests.web.walk.pictures import DESK
from tests.web.walk.walker import Walker, lived_in

__all__ = ["chromium"]


@pytest.fixture
async def portals(database: Database, clock: FakeClock) -> AsyncIterator[Portals]:
    """Open portals with settings of the test's own."""
    opened = Portals(database, clock)
    yield opened
    await opened.close()


@pytest.fixture
async def world(portals: Portals) -> World:
    return await portals.open()


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        yield session


@pytest.fixture
async def browser(world: World, client: aiohttp.ClientSession) -> Browser:
    return Browser(world, client)


@pytest.fixture
async def stranger(world: World, client: aiohttp.ClientSession) -> Browser:
    """Somebody else's browser."""
    return Browser(world, client)


@pytest.fixture
async def walker(portals: Portals, client: aiohttp.ClientSession, chromium: Chromium) -> AsyncIterator[Walker]:
    """Somebody in Chromium, in a portal that is lived in."""
    async with opened(chromium, viewport=DESK, reduced_motion="reduce") as page:
        yield await lived_in(portals, client, page)
