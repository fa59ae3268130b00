"""Signing in by name and password: guesses are counted whatever the spelling, and no crowd gets more of them."""

from __future__ import annotations

import asyncio
import logging
import time
from datetime import timedelta

import bcrypt
import pytest

from gateway.accounts.changes import Changes
from gateway.accounts.throttle.subjects import account_subject, address_subject
from gateway.errors import InvalidInput, LoginRefused, Overloaded, TooManyAttempts
from tests.accounts.conftest import PASSWORD, Office, OfficeWith

HERE = "10.0.0.1"


async def refusal(office: Office, name: str, password: str = "wrong", address: str = HERE) -> str:
    with pytest.raises(LoginRefused) as caught:
        await office.login.authenticate(name, password, address)
    return caught.value.reason


async def lock(office: Office, name: str, *, address: str = HERE) -> None:
    for _ in range(3):
        assert await refusal(office, name, address=address) == "bad_credentials"


@pytest.mark.parametrize("name", ["ann", "ANN", " ann ", "ann@example.com", "Ann@Example.Com", "\uff41nn"])
async def test_every_spelling_of_a_name_signs_in(office: Office, name: str) -> None:
    ann = await office.add("ann")
    assert (await office.login.authenticate(name, PASSWORD, HERE)).id == ann.id
    found = await office.users.find("ann")
    assert found is not None
    assert found.last_login == office.clock.now()


@pytest.mark.parametrize("name", ["", "bob", "ann\0", "ann\n", "\ud800", "x" * 5000, "ann@", "' or true --", "%"])
async def test_an_unknown_name_is_a_wrong_password(office: Office, name: str) -> None:
    await office.add("ann")
    assert await refusal(office, name, PASSWORD) == "bad_credentials"
    assert await refusal(office, "ann") == "bad_credentials"


async def test_an_account_without_a_password_cannot_sign_in_by_one(office: Office) -> None:
    await office.add("ann", password=None)
    assert await refusal(office, "ann", "") == "bad_credentials"


async def test_only_the_right_password_learns_that_an_account_is_disabled(office: Office) -> None:
    ann = await office.add("ann")
    await office.users.change(ann.id, Changes(is_active=False))
    assert await refusal(office, "ann") == "bad_credentials"
    assert await refusal(office, "ann", PASSWORD) == "inactive"


@pytest.mark.parametrize("required", [True, False])
async def test_an_address_is_verified_where_that_is_required(office_with: OfficeWith, required: bool) -> None:
    office = office_with(registration={"require_verified_email": required})
    ann = await office.add("ann")
    if required:
        assert await refusal(office, "ann", PASSWORD) == "unverified"
        await office.users.change(ann.id, Changes(is_verified=True))
    assert (await office.login.authenticate("ann", PASSWORD, HERE)).id == ann.id


async def test_a_plain_bcrypt_hash_is_stored_anew_at_the_first_login(office: Office) -> None:
    await office.add("ann")
    plain = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    await office.database.execute("update account set password_hash = $1", plain)
    assert await refusal(office, "ann") == "bad_credentials"
    assert await office.database.fetchval("select password_hash from account") == plain
    await office.login.authenticate("ann", PASSWORD, HERE)
    stored = await office.database.fetchval("select password_hash from account")
    assert stored.startswith("$gw1$")
    await office.login.authenticate("ann", PASSWORD, HERE)
    assert await office.database.fetchval("select password_hash from account") == stored


async def test_a_password_that_changed_meanwhile_is_not_overwritten(office: Office) -> None:
    ann = await office.add("ann")
    await office.users.rehash(ann.id, "$2b$04$what.was.read.before", "an old password")
    await office.login.authenticate("ann", PASSWORD, HERE)


async def test_a_lockout_counts_all_spellings_together_and_holds_against_the_right_password(office: Office) -> None:
    await office.add("ann")
    for name in ("ann", "ANN@example.com", "\uff41nn"):
        assert await refusal(office, name) == "bad_credentials"
    for name in ("ann", "Ann", "ann@example.com"):
        with pytest.raises(TooManyAttempts):
            await office.login.authenticate(name, PASSWORD, "10.0.0.2")


async def test_a_lockout_ends_after_its_time_and_says_when(office: Office) -> None:
    await office.add("ann")
    await lock(office, "ann")
    office.clock.advance(timedelta(minutes=4, seconds=30.5))
    with pytest.raises(TooManyAttempts) as caught:
        await office.login.authenticate("ann", PASSWORD, HERE)
    assert caught.value.retry_after_seconds == 330
    office.clock.advance(329)
    assert await refusal(office, "ann", PASSWORD) == "too_many_attempts"
    office.clock.advance(1)
    await office.login.authenticate("ann", PASSWORD, HERE)


async def test_a_refused_attempt_does_not_lengthen_a_lockout(office: Office) -> None:
    await office.add("ann")
    await lock(office, "ann")
    office.clock.advance(timedelta(minutes=9))
    assert await refusal(office, "ann") == "too_many_attempts"
    office.clock.advance(timedelta(minutes=1))
    await office.login.authenticate("ann", PASSWORD, HERE)


async def test_after_a_lockout_one_more_failure_locks_again_while_the_window_lasts(office: Office) -> None:
    await office.add("ann")
    await lock(office, "ann")
    office.clock.advance(timedelta(minutes=10))
    assert await refusal(office, "ann") == "bad_credentials"
    assert await refusal(office, "ann", PASSWORD) == "too_many_attempts"


async def test_failures_outside_the_window_do_not_count(office: Office) -> None:
    await office.add("ann")
    for _ in range(6):
        assert await refusal(office, "ann") == "bad_credentials"
        office.clock.advance(timedelta(minutes=8))


async def test_a_success_clears_the_accounts_failures(office: Office) -> None:
    await office.add("ann")
    for _ in range(3):
        await refusal(office, "ann")
        await refusal(office, "ann")
        await office.login.authenticate("ann", PASSWORD, HERE)


async def test_a_name_that_nobody_has_is_locked_alike(office: Office) -> None:
    await lock(office, "nobody")
    assert await refusal(office, "NoBody") == "too_many_attempts"
    assert await refusal(office, "somebody") == "bad_credentials"


async def test_a_lockout_is_one_accounts_only(office: Office) -> None:
    await office.add("ann")
    await office.add("bob")
    await lock(office, "ann")
    await office.login.authenticate("bob", PASSWORD, HERE)


@pytest.mark.parametrize("name", ["ann", "nobody"])
async def test_a_crowd_gets_no_more_guesses_than_one(office: Office, name: str) -> None:
    await office.add("ann")
    answers = await asyncio.gather(*(refusal(office, name, address=f"10.0.1.{n}") for n in range(16)))
    assert sorted(answers) == ["bad_credentials"] * 3 + ["too_many_attempts"] * 13


async def test_a_crowd_from_one_address_gets_no_more_guesses_than_its_limit(office: Office) -> None:
    answers = await asyncio.gather(*(refusal(office, f"name{n}") for n in range(16)))
    assert sorted(answers) == ["bad_credentials"] * 8 + ["too_many_attempts"] * 8


async def test_an_address_is_limited_over_all_names(office: Office) -> None:
    await office.add("ann")
    for number in range(8):
        await refusal(office, f"name{number}")
        office.clock.advance(10)
    with pytest.raises(TooManyAttempts) as caught:
        await office.login.authenticate("ann", PASSWORD, HERE)
    assert (await office.login.authenticate("ann", PASSWORD, "10.0.0.2")).username == "ann"
    # Retry-After is the truth: not before then, and then.
    office.clock.advance(caught.value.retry_after_seconds - 1)
    assert await refusal(office, "ann", PASSWORD) == "too_many_attempts"
    office.clock.advance(1)
    await office.login.authenticate("ann", PASSWORD, HERE)


async def test_a_success_does_not_clear_an_addresses_failures(office: Office) -> None:
    await office.add("ann")
    for number in range(7):
        await refusal(office, f"name{number}")
    await office.login.authenticate("ann", PASSWORD, HERE)
    assert await refusal(office, "name8") == "bad_credentials"
    assert await refusal(office, "ann", PASSWORD) == "too_many_attempts"


@pytest.mark.parametrize(
    ("one", "other", "are_one"),
    [
        ("10.0.0.1", "10.0.0.2", False),
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:10.0.0.1", "10.0.0.1", True),
        ("fe80::1%eth0", "fe80::1%eth1", True),
        ("", "unix", True),
        ("010.0.0.1", "10.0.0.1\0", True),
    ],
)
def test_addresses_that_count_together(one: str, other: str, are_one: bool) -> None:
    assert (address_subject(one) == address_subject(other)) is are_one


def test_subjects_hold_no_name_and_do_not_collide() -> None:
    assert "ann" not in account_subject("ann", None)
    assert account_subject("\ud800", None) != account_subject("ann", None)
    assert account_subject(" ANN", None) == account_subject("ann", None)


async def test_wrong_passwords_are_answered_later_and_later(office_with: OfficeWith) -> None:
    office = office_with(login={"max_failures": 10, "per_ip": 100})
    await office.add("ann")
    for _ in range(8):
        await refusal(office, "ann")
    assert office.slept == [0.25, 0.5, 1.0, 2.0, 2.0]
    await office.login.authenticate("ann", PASSWORD, HERE)
    assert len(office.slept) == 5, "the right password is answered at once"
    for _ in range(8):
        await refusal(office, "nobody")
    assert office.slept[5:] == office.slept[:5], "as for a name that nobody has"


async def test_overload_is_nobodys_failure(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.add("ann")

    async def full(*_: object) -> tuple[bool, bool]:
        raise Overloaded

    monkeypatch.setattr(office.hasher, "verify", full)
    for _ in range(5):
        with pytest.raises(Overloaded):
            await office.login.authenticate("ann", PASSWORD, HERE)
    assert await office.count("login_failure") == 0


async def test_a_client_that_goes_away_leaves_no_failure(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    await office.add("ann")
    begun = asyncio.Event()

    async def slow(*_: object) -> tuple[bool, bool]:
        begun.set()
        await asyncio.sleep(60)
        return True, False

    monkeypatch.setattr(office.hasher, "verify", slow)
    attempt = asyncio.create_task(office.login.authenticate("ann", PASSWORD, HERE))
    await begun.wait()
    assert await office.count("login_failure") == 3
    attempt.cancel()
    with pytest.raises(asyncio.CancelledError):
        await attempt
    assert await office.count("login_failure") == 0


@pytest.mark.parametrize(("apart", "locked"), [(29, True), (30, False)], ids=["within", "beyond"])
async def test_a_lockout_longer_than_the_window_still_counts_within_the_window(
    office_with: OfficeWith, apart: int, locked: bool
) -> None:
    office = office_with(login={"window": "1m", "lockout": "1h"})
    await office.add("ann")
    for _ in range(2):
        await refusal(office, "ann")
        office.clock.advance(apart)
    await refusal(office, "ann")
    office.clock.advance(timedelta(minutes=59))
    if locked:
        assert await refusal(office, "ann", PASSWORD) == "too_many_attempts"
        assert await office.login.forget_old() == 0
        office.clock.advance(timedelta(minutes=1))
    assert (await office.login.authenticate("ann", PASSWORD, HERE)).username == "ann"


@pytest.mark.parametrize(
    "changes", [Changes(password="another good one"), Changes(is_active=False)], ids=["new password", "disabled"]
)
async def test_what_ends_while_a_password_is_checked_does_not_begin_anew(
    office: Office, monkeypatch: pytest.MonkeyPatch, changes: Changes
) -> None:
    ann = await office.add("ann")
    verify = office.hasher.verify

    async def overtaken(password: str, stored: str | None) -> tuple[bool, bool]:
        result = await verify(password, stored)
        await office.users.change(ann.id, changes)
        return result

    monkeypatch.setattr(office.hasher, "verify", overtaken)
    assert await refusal(office, "ann", PASSWORD) == "bad_credentials"
    assert (await office.users.get("ann")).last_login is None


async def test_a_right_password_signs_in_though_there_is_no_room_to_store_it_anew(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    await office.add("ann")
    plain = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    await office.database.execute("update account set password_hash = $1", plain)

    async def full(_: str) -> str:
        raise Overloaded

    monkeypatch.setattr(office.hasher, "hash", full)
    assert (await office.login.authenticate("ann", PASSWORD, HERE)).username == "ann"
    assert await office.database.fetchval("select password_hash from account") == plain


async def test_a_name_or_password_that_is_slow_to_normalize_is_not(office: Office) -> None:
    # Twice as many marks take four times as long, and no other thread runs meanwhile: this many took 0.8 s.
    marks = "a" + "\u0301\u0323" * 8000
    started = time.process_time()
    assert await refusal(office, marks, marks) == "bad_credentials"
    with pytest.raises(InvalidInput):
        await office.add(marks, email=f"{marks}@example.com", password=marks)
    assert time.process_time() - started < 0.2


async def test_old_failures_are_forgotten(office: Office) -> None:
    await refusal(office, "nobody")
    office.clock.advance(timedelta(minutes=25))  # a window, and the lockout that may rest on it
    assert await office.login.forget_old() == 0
    office.clock.advance(1)
    assert await office.login.forget_old() == 3


async def test_no_password_is_logged_or_shown(office: Office, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await office.add("ann")
    with pytest.raises(LoginRefused) as caught:
        await office.login.authenticate("ann", "a wrong secret", HERE)
    await office.login.authenticate("ann", PASSWORD, HERE)
    for secret in ("a wrong secret", PASSWORD):
        assert secret not in caplog.text + str(caught.value) + repr(caught.value)
