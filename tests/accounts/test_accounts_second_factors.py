"""Second factors: what counts, what does not, and what is good once."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pyotp
import pytest

from gateway.accounts.accounts import Accounts, build_accounts
from gateway.accounts.changes import Changes
from gateway.accounts.factors.factors import Step, methods_with
from gateway.accounts.factors.pending import LIFETIME, MOST_ATTEMPTS
from gateway.accounts.user import User
from gateway.config.settings import Settings
from gateway.errors import InvalidInput, NotFound, TooManyAttempts
from gateway.storage.database import Database
from gateway.tokens.master_key import MasterKey
from tests.fake_clock import FakeClock

HERE = "192.0.2.1"


def built(database: Database, clock: FakeClock, **settings: object) -> Accounts:
    values = {"passwords": {"bcrypt_cost": 4}, **settings}
    return build_accounts(Settings.model_validate(values), database, MasterKey(b"k" * 32), clock)


@pytest.fixture
def accounts(database: Database, clock: FakeClock) -> Accounts:
    return built(database, clock, second_factors={"required_roles": ["admin"]})


@pytest.fixture
async def ann(accounts: Accounts) -> User:
    return await accounts.users.create("ann", "ann@example.com", None)


async def enrolled(accounts: Accounts, user: User, clock: FakeClock) -> tuple[pyotp.TOTP, list[str]]:
    """Set up an app, as its owner does; the clock is at the next code afterwards."""
    begun = await accounts.second_factors.begin_totp(user, "Phone")
    app = pyotp.TOTP(begun.secret)
    proven = await accounts.second_factors.prove_totp(user, begun.id, app.at(clock.now()))
    assert proven is not None
    clock.advance(30)
    return app, list(proven.recovery_codes)


async def test_an_app_counts_once_its_first_code_was_right(accounts: Accounts, ann: User, clock: FakeClock) -> None:
    factors = accounts.second_factors
    begun = await factors.begin_totp(ann, "Phone")
    assert await factors.next_step(ann) is Step.NOTHING
    wrong = "000000" if pyotp.TOTP(begun.secret).at(clock.now()) != "000000" else "111111"
    assert await factors.prove_totp(ann, begun.id, wrong) is None
    assert await factors.next_step(ann) is Step.NOTHING
    proven = await factors.prove_totp(ann, begun.id, pyotp.TOTP(begun.secret).at(clock.now()), "Work phone")
    assert proven is not None
    assert len(set(proven.recovery_codes)) == 10
    assert await factors.next_step(ann) is Step.PROVE
    assert [app.name for app in await factors.totps.list_for(ann.id)] == ["Work phone"]
    with pytest.raises(NotFound):  # proven once
        await factors.prove_totp(ann, begun.id, pyotp.TOTP(begun.secret).at(clock.now()))


async def test_an_app_is_its_owner_s_alone_to_prove(accounts: Accounts, ann: User, clock: FakeClock) -> None:
    bob = await accounts.users.create("bob", "bob@example.com", None)
    begun = await accounts.second_factors.begin_totp(ann, "Phone")
    with pytest.raises(NotFound):
        await accounts.second_factors.prove_totp(bob, begun.id, pyotp.TOTP(begun.secret).at(clock.now()))
    clock.advance(timedelta(hours=1, seconds=1))
    with pytest.raises(NotFound):
        await accounts.second_factors.prove_totp(ann, begun.id, pyotp.TOTP(begun.secret).at(clock.now()))


@pytest.mark.parametrize(("steps_off", "taken"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)])
async def test_clocks_may_be_off_by_one_step(
    accounts: Accounts, ann: User, clock: FakeClock, steps_off: int, taken: bool
) -> None:
    app, _ = await enrolled(accounts, ann, clock)
    clock.advance(300)
    code = app.at(clock.now() + timedelta(seconds=30 * steps_off))
    assert await accounts.second_factors.verify(ann.id, code, HERE) is taken


async def test_a_code_is_good_once_and_no_older_one_after_it(accounts: Accounts, ann: User, clock: FakeClock) -> None:
    app, _ = await enrolled(accounts, ann, clock)
    clock.advance(300)
    code, before = app.at(clock.now()), app.at(clock.now() - timedelta(seconds=30))
    tried = await asyncio.gather(*(accounts.second_factors.verify(ann.id, code, HERE) for _ in range(5)))
    assert sum(tried) == 1
    assert not await accounts.second_factors.verify(ann.id, before, HERE)


@pytest.mark.parametrize("spelt", [str, str.upper, lambda code: f" {code.replace('-', ' ')} "])
async def test_a_recovery_code_is_good_once_however_it_is_spelt(
    accounts: Accounts, ann: User, clock: FakeClock, spelt: object
) -> None:
    assert callable(spelt)
    _, codes = await enrolled(accounts, ann, clock)
    bob = await accounts.users.create("bob", "bob@example.com", None)
    assert not await accounts.second_factors.verify(bob.id, codes[0], HERE)
    assert await accounts.second_factors.verify(ann.id, spelt(codes[0]), HERE)
    assert not await accounts.second_factors.verify(ann.id, codes[0], HERE)
    assert (await accounts.second_factors.of(ann.id)).recovery_codes == 9


async def test_new_recovery_codes_void_the_old_ones(accounts: Accounts, ann: User, clock: FakeClock) -> None:
    with pytest.raises(NotFound):
        await accounts.second_factors.renew_recovery_codes(ann.id)
    _, old = await enrolled(accounts, ann, clock)
    fresh = await accounts.second_factors.renew_recovery_codes(ann.id)
    assert not await accounts.second_factors.verify(ann.id, old[0], HERE)
    assert await accounts.second_factors.verify(ann.id, fresh[0], HERE)


@pytest.mark.parametrize("code", ["", "0", "\x00", "12345\uff16", "ab" * 5_000, "\ud800", "\u0661" * 6, "-" * 10])
async def test_strange_codes_are_wrong_codes(accounts: Accounts, ann: User, clock: FakeClock, code: str) -> None:
    await enrolled(accounts, ann, clock)
    assert not await accounts.second_factors.verify(ann.id, code, HERE)


async def test_guesses_are_counted_whichever_login_they_belong_to(
    accounts: Accounts, ann: User, clock: FakeClock
) -> None:
    app, _ = await enrolled(accounts, ann, clock)
    for _ in range(10):
        assert not await accounts.second_factors.verify(ann.id, "not-a-code", HERE)
    with pytest.raises(TooManyAttempts):
        await accounts.second_factors.verify(ann.id, app.at(clock.now()), HERE)


async def test_a_role_demands_a_factor_and_keeps_the_last_one(accounts: Accounts, clock: FakeClock) -> None:
    root = await accounts.users.create("root", "root@example.com", None, roles=["admin"])
    assert await accounts.second_factors.next_step(root) is Step.ENROL
    await enrolled(accounts, root, clock)
    assert await accounts.second_factors.next_step(root) is Step.PROVE
    app = (await accounts.second_factors.totps.list_for(root.id))[0]
    with pytest.raises(InvalidInput, match="demands a second factor"):
        await accounts.second_factors.remove_totp(root, app.id)
    assert (await accounts.second_factors.of(root.id)).totps == 1
    assert await accounts.second_factors.reset(root.id) == 1
    assert await accounts.second_factors.next_step(root) is Step.ENROL


async def test_the_last_factor_takes_its_recovery_codes_with_it(
    accounts: Accounts, ann: User, clock: FakeClock
) -> None:
    await enrolled(accounts, ann, clock)
    app = (await accounts.second_factors.totps.list_for(ann.id))[0]
    bob = await accounts.users.create("bob", "bob@example.com", None)
    with pytest.raises(NotFound):
        await accounts.second_factors.remove_totp(bob, app.id)
    assert await accounts.second_factors.remove_totp(ann, app.id) == "Phone"
    has = await accounts.second_factors.of(ann.id)
    assert (has.totps, has.recovery_codes) == (0, 0)


async def test_a_trusted_device_is_not_asked_until_its_time_or_a_new_factor(
    accounts: Accounts, ann: User, clock: FakeClock
) -> None:
    await enrolled(accounts, ann, clock)
    remembered = await accounts.devices.remember(
        ann.id, None, address=HERE, user_agent="Firefox", trusted_for=timedelta(days=30)
    )
    secret = remembered.secret
    assert await accounts.second_factors.next_step(ann, secret) is Step.NOTHING
    assert await accounts.second_factors.next_step(ann, "x" * 43) is Step.PROVE
    bob = await accounts.users.create("bob", "bob@example.com", None)
    await enrolled(accounts, bob, clock)
    assert await accounts.second_factors.next_step(bob, secret) is Step.PROVE
    clock.advance(timedelta(days=31))
    assert await accounts.second_factors.next_step(ann, secret) is Step.PROVE
    await accounts.devices.remember(ann.id, secret, address=HERE, user_agent="", trusted_for=timedelta(days=30))
    assert await accounts.second_factors.next_step(ann, secret) is Step.NOTHING
    await enrolled(accounts, ann, clock)
    assert await accounts.second_factors.next_step(ann, secret) is Step.PROVE


async def test_no_device_is_trusted_where_none_may_be(database: Database, clock: FakeClock) -> None:
    strict = built(database, clock, second_factors={"remember_for": "0s"})
    ann = await strict.users.create("ann", "ann@example.com", None)
    await enrolled(strict, ann, clock)
    remembered = await strict.devices.remember(ann.id, None, address=HERE, user_agent="", trusted_for=timedelta(days=1))
    assert await strict.second_factors.next_step(ann, remembered.secret) is Step.PROVE


async def test_a_login_waits_for_ten_minutes_and_is_finished_once(
    accounts: Accounts, ann: User, clock: FakeClock
) -> None:
    waiting = accounts.pending_logins
    secret = await waiting.begin(ann, ["pwd"], must_enrol=False, remembered=True)
    assert secret is not None
    assert await waiting.find(secret, for_api=True) is None
    assert await waiting.finish(secret, for_api=True) is None
    finished = await asyncio.gather(*(waiting.finish(secret) for _ in range(5)))
    (done,) = [each for each in finished if each is not None]
    assert (done.account_id, done.methods, done.remembered) == (ann.id, ("pwd",), True)
    late = await waiting.begin(ann, ["pwd"], must_enrol=False)
    assert late is not None
    clock.advance(LIFETIME)
    assert await waiting.find(late) is None
    assert await waiting.finish(late) is None
    clock.advance(1)
    assert await waiting.forget_expired() == 1


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(Changes(password="another good password"), id="password"),
        pytest.param(Changes(is_active=False), id="disabled"),
        pytest.param(Changes(roles=["user", "ops"]), id="roles"),
    ],
)
async def test_a_change_of_the_account_ends_its_waiting_logins(accounts: Accounts, ann: User, change: Changes) -> None:
    secret = await accounts.pending_logins.begin(ann, ["pwd"], must_enrol=False)
    assert secret is not None
    await accounts.users.change(ann.id, change)
    assert await accounts.pending_logins.find(secret) is None
    assert await accounts.pending_logins.finish(secret) is None
    assert await accounts.pending_logins.begin(ann, ["pwd"], must_enrol=False) is None


async def test_wrong_codes_end_a_waiting_login(accounts: Accounts, ann: User) -> None:
    secret = await accounts.pending_logins.begin(ann, ["pwd"], must_enrol=False)
    assert secret is not None
    assert [await accounts.pending_logins.fail(secret) for _ in range(MOST_ATTEMPTS)] == [True] * 4 + [False]
    assert await accounts.pending_logins.find(secret) is None


async def test_nothing_readable_is_stored(accounts: Accounts, ann: User, clock: FakeClock, database: Database) -> None:
    begun = await accounts.second_factors.begin_totp(ann, "Phone")
    proven = await accounts.second_factors.prove_totp(ann, begun.id, pyotp.TOTP(begun.secret).at(clock.now()))
    assert proven is not None
    stored = str(await database.fetch("select sealed_secret from totp"))
    stored += str(await database.fetch("select encode(code_hash, 'escape') from recovery_code"))
    assert begun.secret not in stored
    assert not any(code.replace("-", "") in stored for code in proven.recovery_codes)
    assert begun.secret not in repr(begun)
    assert proven.recovery_codes[0] not in repr(proven)


def test_methods_are_named_as_rfc_8176_does() -> None:
    assert methods_with(("pwd",), "otp") == ("pwd", "otp", "mfa")
    assert methods_with(("pwd", "otp", "mfa"), "otp") == ("pwd", "otp", "mfa")
