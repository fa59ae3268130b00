"""Links in letters: each good once, for its time, and for one thing."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pyotp
import pytest

from gateway.accounts.accounts import Accounts, build_accounts
from gateway.accounts.changes import Changes
from gateway.accounts.recovery.links import LinkOver, Purpose
from gateway.accounts.sessions import Login
from gateway.accounts.user import User
from gateway.config.settings import Settings
from gateway.errors import InvalidInput, LoginRefused, TokenRejected, TooManyAttempts
from gateway.storage.database import Database
from gateway.tokens.master_key import MasterKey
from tests.fake_clock import FakeClock

HERE = "192.0.2.1"
OLD, NEW = "correct horse battery", "a new good password"
MAIL = {"url": "smtp://127.0.0.1:1?tls=none", "from": "wiki@example.com"}
TOKEN = re.compile(r"\?token=([A-Za-z0-9_-]{43})")


@pytest.fixture
async def accounts(database: Database, clock: FakeClock) -> AsyncIterator[Accounts]:
    values = {"passwords": {"bcrypt_cost": 4}, "mail": MAIL, "registration": {"require_verified_email": True}}

    async def at_once(_seconds: float) -> None:
        await asyncio.sleep(0)

    built = build_accounts(Settings.model_validate(values), database, MasterKey(b"k" * 32), clock, sleep=at_once)
    yield built
    built.hasher.close()


@pytest.fixture
async def ann(accounts: Accounts) -> User:
    return await accounts.users.create("ann", "ann@example.com", OLD, is_verified=True)


async def letters(accounts: Accounts) -> list[tuple[str, str]]:
    """Take every letter that waits: whom it goes to, and the secret of its link."""
    found = []
    for waiting in await accounts.recovery.postbox.take(100):
        assert waiting.letter is not None
        token = TOKEN.search(waiting.letter.text)
        assert TOKEN.findall(waiting.letter.html)[:1] == ([token[1]] if token else [])
        found.append((waiting.letter.to, token[1] if token else ""))
        await accounts.recovery.postbox.done(waiting)
    return found


async def forgot(accounts: Accounts, name: str = "ann") -> list[tuple[str, str]]:
    await accounts.recovery.forgotten.ask(name, HERE)
    await accounts.recovery.forgotten.settled()
    return await letters(accounts)


async def test_a_forgotten_password_is_set_anew_and_ends_what_was(
    accounts: Accounts, ann: User, clock: FakeClock
) -> None:
    secret, _ = await accounts.sessions.create(Login(ann.id, "localhost", clock.now()))
    await accounts.keys.ensure()
    pair = await accounts.refresh_tokens.start_family(ann.id)
    ((to, token),) = await forgot(accounts, "ANN@example.com")
    assert to == "ann@example.com"
    await accounts.recovery.forgotten.reset(token, NEW)
    assert await accounts.sessions.find(secret, "localhost") is None
    with pytest.raises(TokenRejected):
        await accounts.refresh_tokens.rotate(pair.refresh_token)
    assert (await accounts.login.authenticate("ann", NEW, HERE)).id == ann.id
    with pytest.raises(LoginRefused):
        await accounts.login.authenticate("ann", OLD, HERE)


async def test_a_link_is_good_once_even_when_both_come_at_once(accounts: Accounts, ann: User) -> None:
    ((_, token),) = await forgot(accounts)
    tried = await asyncio.gather(
        *(accounts.recovery.forgotten.reset(token, f"{NEW} {number}") for number in range(5)), return_exceptions=True
    )
    assert sum(isinstance(each, User) for each in tried) == 1
    assert sum(isinstance(each, LinkOver) for each in tried) == 4


async def test_a_bad_password_leaves_the_link_good(accounts: Accounts, ann: User) -> None:
    ((_, token),) = await forgot(accounts)
    with pytest.raises(InvalidInput):
        await accounts.recovery.forgotten.reset(token, "short")
    await accounts.recovery.forgotten.reset(token, NEW)


async def test_using_one_link_voids_those_sent_before(accounts: Accounts, ann: User) -> None:
    (first,), (second,) = await forgot(accounts), await forgot(accounts)
    await accounts.recovery.forgotten.reset(second[1], NEW)
    with pytest.raises(LinkOver):
        await accounts.recovery.forgotten.reset(first[1], NEW)


@pytest.mark.parametrize("how", ["late", "disabled", "new address", "deleted", "another purpose"])
async def test_a_link_is_over_when_its_reason_is(accounts: Accounts, ann: User, clock: FakeClock, how: str) -> None:
    ((_, token),) = await forgot(accounts)
    match how:
        case "late":
            clock.advance(timedelta(hours=1))
        case "disabled":
            await accounts.users.change(ann.id, Changes(is_active=False))
        case "new address":
            await accounts.users.change(ann.id, Changes(email="other@example.com"))
        case "deleted":
            await accounts.users.delete(ann.id)
        case _:
            with pytest.raises(LinkOver):
                await accounts.recovery.verification.confirm(token)
            return
    with pytest.raises(LinkOver):
        await accounts.recovery.forgotten.reset(token, NEW)


@pytest.mark.parametrize("token", ["", "x", "x" * 43, "\x00" * 43, "\ud800" * 43, "é" * 43])
async def test_made_up_links_are_none(accounts: Accounts, token: str) -> None:
    with pytest.raises(LinkOver):
        await accounts.recovery.forgotten.reset(token, NEW)
    with pytest.raises(LinkOver):
        await accounts.recovery.links.find(token, *Purpose)


@pytest.mark.parametrize("name", ["nobody", "nobody@example.com", "", "\x00", "a" * 500])
async def test_nobody_is_written_to_for_a_name_that_nobody_has(accounts: Accounts, ann: User, name: str) -> None:
    assert await forgot(accounts, name) == []


async def test_a_mailbox_is_not_flooded(accounts: Accounts, ann: User, clock: FakeClock) -> None:
    sent = [len(await forgot(accounts)) for _ in range(7)]
    assert sent == [1] * 5 + [0] * 2
    clock.advance(timedelta(hours=1, seconds=1))
    assert len(await forgot(accounts)) == 1


async def test_an_address_that_asks_too_often_waits_whoever_it_asks_for(accounts: Accounts) -> None:
    for number in range(100):
        await accounts.recovery.forgotten.ask(f"nobody{number}", HERE)
    with pytest.raises(TooManyAttempts):
        await accounts.recovery.forgotten.ask("somebody", HERE)
    await accounts.recovery.forgotten.ask("somebody", "198.51.100.7")
    await accounts.recovery.forgotten.settled()


async def test_a_reset_unlocks_an_account(accounts: Accounts, ann: User) -> None:
    for _ in range(10):
        with pytest.raises(LoginRefused):
            await accounts.login.authenticate("ann", "wrong", HERE)
    with pytest.raises(TooManyAttempts):
        await accounts.login.authenticate("ann", OLD, HERE)
    assert await letters(accounts) == [("ann@example.com", "")]  # the owner hears of it, once
    ((_, token),) = await forgot(accounts)
    await accounts.recovery.forgotten.reset(token, NEW)
    assert (await accounts.login.authenticate("ann", NEW, HERE)).id == ann.id


@pytest.mark.parametrize("was_confirmed", [True, False])
async def test_a_reset_takes_everything_off_an_account_that_nobody_had_confirmed(
    accounts: Accounts, database: Database, clock: FakeClock, was_confirmed: bool
) -> None:
    """Somebody else may have made it, and must have left no way in for when its owner comes."""
    await accounts.keys.ensure()
    user = await accounts.users.create("bea", "bea@example.com", OLD, is_verified=was_confirmed)
    enrolment = await accounts.second_factors.begin_totp(user, "Phone")
    await accounts.second_factors.prove_totp(user, enrolment.id, pyotp.TOTP(enrolment.secret).at(clock.now()))
    _, api_token = await accounts.api_tokens.create(user.id, "backup", [])
    device = (await accounts.devices.remember(user.id, None, address=HERE, user_agent="")).secret
    key = "insert into passkey (credential_id, account_id, name, public_key, sign_count, created_at) values "
    await database.execute(key + "('k', $1, 'Key', '', 0, now())", UUID(user.id))
    client = "insert into oauth_client (id, name, metadata, created_at, updated_at) values "
    await database.execute(client + "('wiki', 'Wiki', '{}', now(), now())")
    await database.execute(
        "insert into oauth_consent (account_id, client_id, scopes, resources, claims, created_at, updated_at) "
        "values ($1, 'wiki', '{}', '{}', '{}', now(), now())",
        UUID(user.id),
    )
    elsewhere = "insert into external_login (authority, subject, account_id, provider, created_at) values "
    await database.execute(elsewhere + "('https://id.example.com', 'u-1', $1, 'corp', now())", UUID(user.id))
    await letters(accounts)
    ((_, token),) = await forgot(accounts, "bea")
    await accounts.recovery.forgotten.reset(token, NEW)
    has = await accounts.second_factors.of(user.id)
    left = [
        has.totps,
        has.passkeys,
        await accounts.api_tokens.find(api_token) is not None,
        await accounts.devices.find(device, user.id) is not None,
        await database.fetchval("select count(*) from oauth_consent"),
        await database.fetchval("select count(*) from external_login"),
    ]
    assert [bool(each) for each in left] == [was_confirmed] * 6


async def test_a_new_account_is_confirmed_by_its_link(accounts: Accounts) -> None:
    bea = await accounts.recovery.registering.register("bea", "bea@example.com", OLD)
    assert bea is not None
    with pytest.raises(LoginRefused, match="unverified"):
        await accounts.login.authenticate("bea", OLD, HERE)
    ((to, token),) = await letters(accounts)
    assert to == "bea@example.com"
    assert (await accounts.recovery.verification.confirm(token)).is_verified
    assert (await accounts.login.authenticate("bea", OLD, HERE)).id == bea.id
    with pytest.raises(LinkOver):
        await accounts.recovery.verification.confirm(token)


async def test_registering_tells_nobody_who_has_an_account(accounts: Accounts, ann: User) -> None:
    assert await accounts.recovery.registering.register("bea", "Ann@example.com", OLD) is None
    ((to, token),) = await letters(accounts)
    assert (to, token) == ("ann@example.com", "")
    with pytest.raises(InvalidInput, match="username"):
        await accounts.recovery.registering.register("ann", "bea@example.com", OLD)


async def answer(accounts: Accounts, name: str, password: str = OLD) -> str:
    """Return how a login is refused."""
    with pytest.raises(LoginRefused) as refused:
        await accounts.login.authenticate(name, password, HERE)
    return refused.value.reason


@pytest.mark.parametrize("address", ["ann@example.com", "free@example.com"], ids=["taken", "free"])
async def test_nothing_that_a_registrant_tries_next_tells_whether_the_address_was_taken(
    accounts: Accounts, ann: User, address: str
) -> None:
    register = accounts.recovery.registering.register
    await register("mallory", address, NEW)
    assert await answer(accounts, "mallory", NEW) == "unverified"
    assert await answer(accounts, "MALLORY", NEW) == "unverified"
    assert await answer(accounts, "mallory", OLD + "x") == "bad_credentials"
    assert await answer(accounts, address, NEW) == "bad_credentials"
    with pytest.raises(InvalidInput, match="username: is taken"):
        await register("mallory", address, NEW)
    with pytest.raises(InvalidInput, match="username: is taken"):
        await register("Mallory", "other@example.com", NEW)


@pytest.mark.parametrize("address", ["ann@example.com", "free@example.com"], ids=["taken", "free"])
async def test_an_address_that_is_the_username_as_well_tells_nothing_either(
    accounts: Accounts, ann: User, address: str
) -> None:
    await accounts.recovery.registering.register(address, address, NEW)
    assert await answer(accounts, address, NEW) == "bad_credentials"


async def test_what_is_kept_of_a_registration_in_vain_is_forgotten_in_the_end(
    accounts: Accounts, ann: User, clock: FakeClock
) -> None:
    await accounts.recovery.registering.register("mallory", ann.email, NEW)
    clock.advance(timedelta(days=366))
    for clean in accounts.recovery.cleaning:
        await clean()
    assert await answer(accounts, "mallory", NEW) == "bad_credentials"


async def test_registering_again_and_again_floods_nobody(accounts: Accounts, ann: User, clock: FakeClock) -> None:
    for number in range(5):
        assert await accounts.recovery.registering.register(f"bea{number}", ann.email, OLD) is None
    assert len(await letters(accounts)) == 1
    clock.advance(timedelta(minutes=15, seconds=1))
    await accounts.recovery.registering.register("bea", ann.email, OLD)
    assert len(await letters(accounts)) == 1


async def test_an_old_link_does_not_confirm_a_new_address(accounts: Accounts) -> None:
    bea = await accounts.recovery.registering.register("bea", "bea@example.com", OLD)
    assert bea is not None
    ((_, token),) = await letters(accounts)
    await accounts.users.change(bea.id, Changes(email="else@example.com"))
    with pytest.raises(LinkOver):
        await accounts.recovery.verification.confirm(token)


@pytest.mark.parametrize("first", ["ann@example.com", "new@example.com"])
async def test_an_address_changes_once_both_have_answered(accounts: Accounts, ann: User, first: str) -> None:
    changes = accounts.recovery.email_changes
    await changes.begin(ann, "new@example.com")
    links = dict(await letters(accounts))
    assert set(links) == {"ann@example.com", "new@example.com"}
    assert not (await changes.confirm(links.pop(first))).done
    assert (await accounts.users.get(ann.id)).email == "ann@example.com"
    ((_, last),) = links.items()
    assert (await changes.confirm(last)).done
    changed = await accounts.users.get(ann.id)
    assert (changed.email, changed.is_verified) == ("new@example.com", True)
    assert [to for to, _ in await letters(accounts)] == ["ann@example.com"]  # the news of it
    assert await changes.waiting(ann.id) is None


async def test_an_address_that_was_never_confirmed_is_not_asked(accounts: Accounts) -> None:
    bea = await accounts.users.create("bea", "typo@exmaple.com", OLD)
    await accounts.recovery.email_changes.begin(bea, "bea@example.com")
    ((to, token),) = await letters(accounts)
    assert to == "bea@example.com"
    assert (await accounts.recovery.email_changes.confirm(token)).done


async def test_one_address_cannot_answer_for_both(accounts: Accounts, ann: User) -> None:
    changes = accounts.recovery.email_changes
    await changes.begin(ann, "new@example.com")
    links = dict(await letters(accounts))
    assert not (await changes.confirm(links["new@example.com"])).done
    with pytest.raises(LinkOver):
        await changes.confirm(links["new@example.com"])
    assert (await accounts.users.get(ann.id)).email == "ann@example.com"


@pytest.mark.parametrize("how", ["late", "given up", "begun anew", "taken"])
async def test_a_change_is_off(accounts: Accounts, ann: User, clock: FakeClock, how: str) -> None:
    changes = accounts.recovery.email_changes
    await changes.begin(ann, "new@example.com")
    links = dict(await letters(accounts))
    await changes.confirm(links["ann@example.com"])
    error: type[Exception] = LinkOver
    match how:
        case "late":
            clock.advance(timedelta(days=1))
        case "given up":
            await changes.give_up(ann.id)
        case "begun anew":
            await changes.begin(ann, "newer@example.com")
        case _:
            await accounts.users.create("eve", "new@example.com", OLD)
            error = InvalidInput
    with pytest.raises(error):
        await changes.confirm(links["new@example.com"])
    assert (await accounts.users.get(ann.id)).email == "ann@example.com"


@pytest.mark.parametrize("email", ["", "nobody", "ann@example.com", "ANN@example.com", "a\u200bb@example.com"])
async def test_a_bad_new_address_is_refused(accounts: Accounts, ann: User, email: str) -> None:
    with pytest.raises(InvalidInput, match="email"):
        await accounts.recovery.email_changes.begin(ann, email)
    assert await letters(accounts) == []


async def test_an_invitation_makes_one_account_with_its_roles(accounts: Accounts, ann: User) -> None:
    await accounts.users.change(ann.id, Changes(roles=["admin"]))
    made = await accounts.recovery.invitations.invite("bea@example.com", ["ops"], invited_by=ann.id)
    assert made.sent
    ((to, token),) = await letters(accounts)
    assert to == "bea@example.com"
    with pytest.raises(InvalidInput):
        await accounts.recovery.invitations.accept(token, "ann", OLD)
    bea = await accounts.recovery.invitations.accept(token, "bea", OLD)
    assert (bea.email, bea.roles, bea.is_verified) == ("bea@example.com", ("ops",), True)
    with pytest.raises(LinkOver):
        await accounts.recovery.invitations.accept(token, "bea2", OLD)


async def test_an_invitation_ends_with_who_sent_it_and_with_a_newer_one(accounts: Accounts, ann: User) -> None:
    await accounts.users.change(ann.id, Changes(roles=["admin"]))
    await accounts.recovery.invitations.invite("bea@example.com", invited_by=ann.id)
    await accounts.recovery.invitations.invite("bea@example.com", invited_by=ann.id)
    first, second = (token for _, token in await letters(accounts))
    with pytest.raises(LinkOver):
        await accounts.recovery.invitations.find(first)
    assert (await accounts.recovery.invitations.find(second)).email == "bea@example.com"
    await accounts.users.delete(ann.id, keep_an_admin=False)
    with pytest.raises(LinkOver):
        await accounts.recovery.invitations.find(second)


@pytest.mark.parametrize("taken", [Changes(roles=["user"]), Changes(is_active=False)], ids=["role", "account"])
async def test_an_invitation_ends_with_its_senders_right_to_send_it(
    accounts: Accounts, ann: User, taken: Changes
) -> None:
    await accounts.users.change(ann.id, Changes(roles=["admin"]))
    await accounts.recovery.invitations.invite("bea@example.com", ["admin"], invited_by=ann.id)
    ((_, token),) = await letters(accounts)
    assert (await accounts.recovery.invitations.find(token)).roles == ("admin",)
    await accounts.users.change(ann.id, taken, keep_an_admin=False)
    with pytest.raises(LinkOver):
        await accounts.recovery.invitations.accept(token, "bea", OLD)


async def test_only_hashes_of_links_are_stored(accounts: Accounts, ann: User, database: Database) -> None:
    ((_, token),) = await forgot(accounts)
    row = await database.fetchrow("select * from mail_link")
    assert token not in str(row)


@pytest.mark.parametrize("how", ["reset", "password", "confirmed", "by an administrator"])
async def test_a_change_that_was_begun_before_the_owner_came_is_off(accounts: Accounts, how: str) -> None:
    """Somebody makes an account in another's name and holds a link to an address of their own."""
    users, recovery = accounts.users, accounts.recovery
    account = await users.create("ann", "ann@example.com", OLD)
    await recovery.email_changes.begin(account, "eve@example.com")
    ((_, held),) = await letters(accounts)
    match how:
        case "reset":
            ((_, token),) = await forgot(accounts)
            await recovery.forgotten.reset(token, NEW)
        case "password":
            await users.change_password(account.id, OLD, NEW, None)
        case "confirmed":
            await recovery.verification.send(account)
            ((_, token),) = await letters(accounts)
            await recovery.verification.confirm(token)
        case _:
            await users.change(account.id, Changes(email="ann2@example.com"))
    with pytest.raises(LinkOver):
        await recovery.email_changes.confirm(held)
    assert await recovery.email_changes.waiting(account.id) is None
    assert (await users.get(account.id)).email.startswith("ann")


async def test_a_changed_password_ends_links_to_a_new_one(accounts: Accounts, ann: User) -> None:
    ((_, token),) = await forgot(accounts)
    await accounts.users.change_password(ann.id, OLD, NEW, None)
    with pytest.raises(LinkOver):
        await accounts.recovery.forgotten.reset(token, "another good password")


async def test_the_last_answer_counts_with_the_change_or_not_at_all(accounts: Accounts, ann: User) -> None:
    changes = accounts.recovery.email_changes
    await changes.begin(ann, "new@example.com")
    links = dict(await letters(accounts))
    await changes.confirm(links["ann@example.com"])
    eve = await accounts.users.create("eve", "new@example.com", OLD)
    with pytest.raises(InvalidInput):
        await changes.confirm(links["new@example.com"])
    await accounts.users.delete(eve.id)
    assert (await changes.confirm(links["new@example.com"])).done


async def test_both_answers_at_once_make_one_change(accounts: Accounts, ann: User) -> None:
    changes = accounts.recovery.email_changes
    await changes.begin(ann, "new@example.com")
    links = [token for _, token in await letters(accounts)]
    answers = await asyncio.gather(*(changes.confirm(token) for token in links))
    assert sorted(each.done for each in answers) == [False, True]
    assert (await accounts.users.get(ann.id)).email == "new@example.com"


async def test_one_account_writes_to_few_addresses(accounts: Accounts, ann: User, clock: FakeClock) -> None:
    for number in range(5):
        await accounts.recovery.email_changes.begin(ann, f"stranger{number}@example.com")
    with pytest.raises(InvalidInput, match="email"):
        await accounts.recovery.email_changes.begin(ann, "stranger5@example.com")
    assert len(await letters(accounts)) == 10
    clock.advance(timedelta(hours=1, seconds=1))
    await accounts.recovery.email_changes.begin(ann, "stranger5@example.com")


async def test_a_mailbox_is_not_flooded_by_many_at_once(accounts: Accounts, ann: User) -> None:
    for _ in range(20):
        await accounts.recovery.forgotten.ask("ann", HERE)
    await accounts.recovery.forgotten.settled()
    assert len(await letters(accounts)) == 5
