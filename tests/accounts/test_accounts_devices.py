"""Browsers that are known: whose cookie is believed, and which login is news."""

from __future__ import annotations

from datetime import timedelta

import pytest

from gateway.accounts.devices import KNOWN_FOR, KnownDevices, Remembered
from gateway.storage.database import Database
from tests.accounts.conftest import Office
from tests.fake_clock import FakeClock


@pytest.fixture
def devices(database: Database, clock: FakeClock) -> KnownDevices:
    return KnownDevices(database, clock)


async def login(devices: KnownDevices, account_id: str, secret: str | None = None) -> Remembered:
    return await devices.remember(account_id, secret, address="10.0.0.7", user_agent="Firefox")


async def test_another_browser_is_news_and_the_first_one_is_not(office: Office, devices: KnownDevices) -> None:
    ann, bob = await office.add("ann"), await office.add("bob")
    first = await login(devices, ann.id)
    assert not first.is_news
    assert not (await login(devices, ann.id, first.secret)).is_news
    assert (await login(devices, ann.id)).is_news
    assert not (await login(devices, bob.id)).is_news


async def test_a_browser_keeps_its_cookie(office: Office, devices: KnownDevices) -> None:
    ann = await office.add("ann")
    first = await login(devices, ann.id)
    assert (await login(devices, ann.id, first.secret)).secret == first.secret


@pytest.mark.parametrize("planted", ["x" * 43, "", "\0", "\ud800"])
async def test_a_cookie_that_the_account_was_not_known_by_is_not_taken_over(
    office: Office, devices: KnownDevices, planted: str
) -> None:
    """Who planted it would be known to the account as well, and could guess its password where strangers cannot."""
    ann = await office.add("ann")
    assert (await login(devices, ann.id, planted)).secret != planted
    assert await devices.find(planted, ann.id) is None


async def test_a_cookie_of_somebody_else_s_login_is_not_taken_over(office: Office, devices: KnownDevices) -> None:
    ann, mallory = await office.add("ann"), await office.add("mallory")
    planted = (await login(devices, mallory.id)).secret
    given = (await login(devices, ann.id, planted)).secret
    assert await devices.find(planted, ann.id) is None
    assert await devices.find(given, ann.id) is not None
    # People who share a browser stay known there.
    assert await devices.find(given, mallory.id) is not None


async def test_a_browser_that_was_not_seen_for_long_is_as_a_new_one(
    office: Office, devices: KnownDevices, clock: FakeClock
) -> None:
    ann = await office.add("ann")
    old = (await login(devices, ann.id)).secret
    clock.advance(KNOWN_FOR + timedelta(days=1))
    again = await login(devices, ann.id, old)
    assert again.secret != old
    assert again.is_news
