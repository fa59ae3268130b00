"""Device codes: one person decides, once; one device gets the tokens, once."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from gateway.oauth.state.device_codes import DeviceCodes, IssuedDeviceCode, NotYet, WaitingDevice, normal, shown
from gateway.oauth.state.families import Families, Family, Granted
from gateway.storage.database import Database
from tests.fake_clock import FakeClock

ANN = "00000000-0000-4000-8000-00000000000a"


class Desk:
    """One person, two clients and their devices."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database = database
        self.clock = clock
        self.families = Families(database, clock)
        self.codes = DeviceCodes(database, self.families, timedelta(minutes=10), clock)

    async def open(self) -> None:
        now = self.clock.now()
        await self.database.execute(
            "insert into account (id, username, username_key, email, email_key, created_at, updated_at)"
            " values ($1, 'ann', 'ann', 'ann@example.com', 'ann@example.com', $2, $2)",
            UUID(ANN),
            now,
        )
        for client in ("tv", "radio"):
            await self.database.execute(
                "insert into oauth_client (id, name, metadata, created_at, updated_at) values ($1, $1, '{}', $2, $2)",
                client,
                now,
            )

    async def issue(self, client: str = "tv") -> IssuedDeviceCode:
        return await self.codes.issue(client, ["openid"], [])

    async def waiting(self, issued: IssuedDeviceCode) -> WaitingDevice:
        device = await self.codes.find_waiting(issued.user_code)
        assert device is not None
        return device

    def granted(self, client: str = "tv") -> Granted:
        now = self.clock.now()
        return Granted(ANN, client, ("openid",), now, ("pwd",), now + timedelta(days=30), offline=True)

    async def poll(self, issued: IssuedDeviceCode, client: str = "tv", after: float = 6) -> Family | NotYet:
        self.clock.advance(after)
        return await self.codes.poll(issued.device_code, client)


@pytest.fixture
async def desk(database: Database, clock: FakeClock) -> Desk:
    opened = Desk(database, clock)
    await opened.open()
    return opened


async def test_device_gets_its_family_once(desk: Desk) -> None:
    issued = await desk.issue()
    assert await desk.poll(issued) is NotYet.PENDING
    assert await desk.codes.approve(await desk.waiting(issued), desk.granted())
    family = await desk.poll(issued)
    assert isinstance(family, Family)
    assert (family.user.username, family.scopes) == ("ann", ("openid",))
    assert await desk.poll(issued) is NotYet.UNKNOWN


async def test_of_many_polls_at_once_one_gets_the_family(desk: Desk) -> None:
    issued = await desk.issue()
    await desk.codes.approve(await desk.waiting(issued), desk.granted())
    await desk.database.execute("update device_code set interval_seconds = 0")  # so that none has to slow down
    got = await asyncio.gather(*(desk.codes.poll(issued.device_code, "tv") for _ in range(20)))
    assert sum(isinstance(each, Family) for each in got) == 1


async def test_decision_is_made_once(desk: Desk) -> None:
    issued = await desk.issue()
    device = await desk.waiting(issued)
    decided = await asyncio.gather(*(desk.codes.approve(device, desk.granted()) for _ in range(5)))
    assert sum(decided) == 1
    assert not await desk.codes.deny(device)
    assert await desk.codes.find_waiting(issued.user_code) is None
    assert await desk.database.fetchval("select count(*) from refresh_family") == 1


async def test_denied_device_is_told_so(desk: Desk) -> None:
    issued = await desk.issue()
    device = await desk.waiting(issued)
    assert await desk.codes.deny(device)
    assert not await desk.codes.approve(device, desk.granted())
    assert await desk.poll(issued) is NotYet.DENIED


async def test_account_that_is_over_approves_nothing(desk: Desk) -> None:
    issued = await desk.issue()
    await desk.database.execute("update account set is_active = false")
    assert not await desk.codes.approve(await desk.waiting(issued), desk.granted())
    assert await desk.poll(issued) is NotYet.PENDING


async def test_codes_expire_for_both(desk: Desk) -> None:
    issued = await desk.issue()
    device = await desk.waiting(issued)
    assert await desk.poll(issued, after=601) is NotYet.EXPIRED
    assert await desk.codes.find_waiting(issued.user_code) is None
    assert not await desk.codes.approve(device, desk.granted())
    assert not await desk.codes.deny(device)
    assert await desk.codes.forget_expired() == 1
    assert await desk.poll(issued) is NotYet.UNKNOWN


async def test_device_that_asks_too_often_has_to_slow_down(desk: Desk) -> None:
    issued = await desk.issue()
    assert await desk.poll(issued, after=0) is NotYet.PENDING
    assert await desk.poll(issued, after=4) is NotYet.SLOW_DOWN
    assert await desk.poll(issued, after=6) is NotYet.SLOW_DOWN  # ten seconds now, and fifteen from here
    assert await desk.poll(issued, after=16) is NotYet.PENDING
    await desk.codes.approve(await desk.waiting(issued), desk.granted())
    assert await desk.poll(issued, after=3) is NotYet.SLOW_DOWN
    assert isinstance(await desk.poll(issued, after=21), Family)


async def test_code_is_of_one_client(desk: Desk) -> None:
    issued = await desk.issue()
    await desk.codes.approve(await desk.waiting(issued), desk.granted())
    assert await desk.poll(issued, "radio") is NotYet.UNKNOWN
    assert isinstance(await desk.poll(issued), Family)


async def test_grant_for_another_client_approves_nothing(desk: Desk) -> None:
    issued = await desk.issue()
    assert not await desk.codes.approve(await desk.waiting(issued), desk.granted("radio"))


async def test_family_that_ended_before_the_device_came_is_none(desk: Desk) -> None:
    issued = await desk.issue()
    await desk.codes.approve(await desk.waiting(issued), desk.granted())
    await desk.database.execute("update refresh_family set revoked_at = $1", desk.clock.now())
    assert await desk.poll(issued) is NotYet.UNKNOWN


@pytest.mark.parametrize("typed", ["wdjb-mjht", "WDJBMJHT", " wdjb mjht ", "w-d-j-b-m-j-h-t", "WDJB\u2013MJHT"])
def test_code_can_be_typed_as_people_do(typed: str) -> None:
    assert normal(typed) == "WDJBMJHT"
    assert shown(normal(typed)) == "WDJB-MJHT"


@pytest.mark.parametrize("typed", ["", "\0", "ß" * 100, "x" * 100_000, "AEIOU-1234"])
async def test_typed_nonsense_finds_nothing(desk: Desk, typed: str) -> None:
    assert await desk.codes.find_waiting(typed) is None
