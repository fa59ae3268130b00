"""What guessing costs, and whom it does not lock out."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from gateway.accounts.devices import KnownDevice
from gateway.accounts.throttle.failures import Failures
from gateway.accounts.throttle.locked import Locked
from gateway.accounts.throttle.subjects import address_subject, name_subject, network_subject
from gateway.errors import LoginRefused, TooManyAttempts
from tests.accounts.conftest import PASSWORD, Office, OfficeWith
from tests.fake_clock import FakeClock

HERE, THERE = "10.0.0.1", "192.0.2.9"


async def fail(office: Office, name: str = "ann", address: str = THERE, device: str | None = None) -> str:
    with pytest.raises(LoginRefused) as caught:
        await office.login.authenticate(name, "wrong", address, device)
    return caught.value.reason


async def lock(office: Office) -> None:
    assert [await fail(office) for _ in range(4)] == ["bad_credentials"] * 3 + ["too_many_attempts"]


async def known(office: Office, user_id: str) -> str:
    return (await office.devices.remember(user_id, None, address=HERE, user_agent="Firefox")).secret


async def test_strangers_do_not_lock_out_a_device_that_is_known(office: Office) -> None:
    ann = await office.add("ann")
    device = await known(office, ann.id)
    await lock(office)
    assert (await office.login.authenticate("ann", PASSWORD, HERE, device)).id == ann.id
    # Signing in there gives strangers no new tries.
    assert await fail(office, address="192.0.2.10") == "too_many_attempts"


async def test_a_known_device_has_a_limit_of_its_own_and_locks_nobody_else(office: Office) -> None:
    ann = await office.add("ann")
    device = await known(office, ann.id)
    assert [await fail(office, device=device) for _ in range(4)] == ["bad_credentials"] * 3 + ["too_many_attempts"]
    assert (await office.login.authenticate("ann", PASSWORD, HERE)).id == ann.id
    assert office.told == []


@pytest.mark.parametrize("device", ["x" * 43, "", "\ud800" * 43])
async def test_a_made_up_device_is_a_stranger(office: Office, device: str) -> None:
    await office.add("ann")
    await lock(office)
    assert await fail(office, address=HERE, device=device) == "too_many_attempts"


async def test_a_device_is_known_to_its_own_account_alone(office: Office) -> None:
    bob = await office.add("bob")
    await office.add("ann")
    device = await known(office, bob.id)
    await lock(office)
    assert await fail(office, address=HERE, device=device) == "too_many_attempts"


async def test_the_owner_is_told_once_a_lockout(office: Office) -> None:
    await office.add("ann")
    await lock(office)
    await fail(office)
    assert office.told == [("ann", THERE)]
    assert await fail(office, "nobody") == "bad_credentials"
    assert office.told == [("ann", THERE)]


async def test_what_is_known_to_be_locked_costs_the_database_nothing(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.add("ann")
    await lock(office)
    asked = []

    async def counting(*_: Any) -> None:
        asked.append(1)
        await asyncio.sleep(0)

    monkeypatch.setattr(office.users, "credentials", counting)
    for spelling in ("ann", "ANN", " ann "):
        assert await fail(office, spelling, "198.51.100.1") == "too_many_attempts"
    assert asked == []


async def test_the_memory_of_a_lockout_ends_with_it(office: Office) -> None:
    ann = await office.add("ann")
    await lock(office)
    office.clock.advance(timedelta(minutes=10, seconds=1))
    assert (await office.login.authenticate("ann", PASSWORD, HERE)).id == ann.id


async def test_unlocking_is_heard_at_once(office: Office) -> None:
    ann = await office.add("ann")
    device = await known(office, ann.id)
    await lock(office)
    for _ in range(4):
        await fail(office, device=device)
    await office.login.unlock(ann)
    assert ("unlock", ann.id) in await office.events()
    assert (await office.login.authenticate("ann", PASSWORD, HERE)).id == ann.id
    assert (await office.login.authenticate("ann", PASSWORD, HERE, device)).id == ann.id


async def test_a_network_is_limited_over_all_its_addresses(office_with: OfficeWith) -> None:
    office = office_with(login={"max_failures": 100, "per_network": 5})
    ann = await office.add("ann")
    for number in range(5):
        assert await fail(office, f"nobody{number}", f"192.0.2.{number}") == "bad_credentials"
    assert await fail(office, "somebody", "192.0.2.200") == "too_many_attempts"
    assert (await office.login.authenticate("ann", PASSWORD, HERE)).id == ann.id


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("192.0.2.1", "192.0.2.254", True),
        ("192.0.2.1", "192.0.3.1", False),
        ("2001:db8:1::1", "2001:db8:1:ffff::9", True),
        ("2001:db8:1::1", "2001:db8:2::1", False),
        ("::ffff:192.0.2.1", "192.0.2.9", True),
        ("unix", "", True),
    ],
)
def test_networks(one: str, other: str, alike: bool) -> None:
    assert (network_subject(one) == network_subject(other)) is alike


async def test_answers_that_wait_are_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each holds a connection: a flood of guesses must not hold them all."""
    await office.add("ann")
    for _ in range(2):
        await fail(office)
    monkeypatch.setattr(office.login, "_waiting", 200)
    await fail(office)
    assert office.slept == []


def test_the_memory_is_bounded(clock: FakeClock) -> None:
    locked = Locked(clock)
    for number in range(20_100):
        locked.hold(str(number), clock.now() + timedelta(minutes=1))
    assert locked.until("0") is None
    assert locked.until("20099") is not None
    clock.advance(60)
    assert locked.until("20099") is None


async def test_right_passwords_at_once_lock_nobody_out(office: Office) -> None:
    """While they are checked they count as failures, but nobody is to remember them as such."""
    ann = await office.add("ann")
    failures = Failures(office.database, office.settings.login, office.clock)
    subject, name = f"account:{ann.id}", name_subject("ann")
    under_way = [await failures.reserve(subject, HERE, name) for _ in range(3)]
    with pytest.raises(TooManyAttempts):
        await failures.reserve(subject, HERE, name)
    for each in under_way:
        await failures.forgive(each)
    office.clock.advance(5)
    failures.refuse_known(name, subject, address_subject(HERE))
    await failures.reserve(subject, HERE, name)


@pytest.mark.parametrize("name", ["ann", "nobody"])
async def test_a_device_is_looked_for_whoever_is_named(
    office: Office, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    await office.add("ann")
    found: list[str] = []
    find = office.devices.find

    async def noting(secret: str | None, account_id: str) -> KnownDevice | None:
        found.append(account_id)
        return await find(secret, account_id)

    monkeypatch.setattr(office.devices, "find", noting)
    await fail(office, name, device="x" * 43)
    assert len(found) == 1


async def test_a_crowd_of_guesses_gets_no_more_than_the_limit(office: Office) -> None:
    await office.add("ann")
    tried = await asyncio.gather(
        *(office.login.authenticate("ann", f"wrong {number}", f"198.51.{number}.1") for number in range(50)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, LoginRefused) and not isinstance(each, TooManyAttempts) for each in tried) == 3
