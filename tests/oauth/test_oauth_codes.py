"""Codes as they are kept: consumed once, with the first refresh token in the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from gateway.oauth.state.codes import Code, Codes, NewCode
from gateway.oauth.state.families import Families, Granted, token_hash
from gateway.storage.database import Database
from tests.fake_clock import FakeClock

ACCOUNT = """
    insert into account (username, username_key, email, email_key, created_at, updated_at)
    values ('ann', 'ann', 'ann@example.com', 'ann@example.com', $1, $1) returning id
"""
CLIENT = "insert into oauth_client (id, name, metadata, created_at, updated_at) values ($1, $1, '{}', $2, $2)"
BOUND = NewCode("https://rp.example.com/callback", redirect_uri_given=True)


@pytest.fixture
def families(database: Database, clock: FakeClock) -> Families:
    return Families(database, clock)


@pytest.fixture
def codes(database: Database, families: Families, clock: FakeClock) -> Codes:
    return Codes(database, families, timedelta(seconds=60), clock)


@pytest.fixture
async def granted(database: Database, clock: FakeClock) -> Granted:
    now = clock.now()
    account = await database.fetchval(ACCOUNT, now)
    for client in ("wiki", "other"):
        await database.execute(CLIENT, client, now)
    return Granted(str(account), "wiki", ("openid",), now, ("pwd",), now + timedelta(days=30), offline=True)


async def issued(codes: Codes, granted: Granted) -> str:
    code = await codes.issue(granted, BOUND)
    assert code is not None
    return code


async def is_revoked(database: Database, family_id: str) -> bool:
    found = await database.fetchval("select revoked_at from refresh_family where id = $1", UUID(family_id))
    return found is not None


async def test_of_many_at_once_one_redeems_and_the_family_ends(
    database: Database, codes: Codes, granted: Granted
) -> None:
    code = await issued(codes, granted)
    results = await asyncio.gather(*(codes.redeem(code, "wiki", f"jti-{n}") for n in range(50)))
    (won,) = [result for result in results if isinstance(result, Code)]
    assert await database.fetchval("select count(*) from refresh_token") == 1
    assert await is_revoked(database, won.family.id)


async def test_the_first_refresh_token_is_there_with_the_redemption(
    codes: Codes, families: Families, granted: Granted
) -> None:
    redeemed = await codes.redeem(await issued(codes, granted), "wiki", "jti")
    assert redeemed is not None
    assert redeemed.bound == BOUND
    found = await families.of_refresh_token("jti", "wiki")
    assert found is not None
    assert found[0].id == redeemed.family.id


async def test_a_client_without_refresh_tokens_gets_none(database: Database, codes: Codes, granted: Granted) -> None:
    assert await codes.redeem(await issued(codes, granted), "wiki") is not None
    assert await database.fetchval("select count(*) from refresh_token") == 0


async def test_another_client_neither_redeems_nor_ends_anything(
    database: Database, codes: Codes, granted: Granted
) -> None:
    code = await issued(codes, granted)
    assert await codes.redeem(code, "other", "stolen") is None
    redeemed = await codes.redeem(code, "wiki", "jti")
    assert redeemed is not None
    assert await codes.redeem(code, "other", "stolen") is None
    assert not await is_revoked(database, redeemed.family.id)


async def test_a_code_is_over_after_its_time(
    database: Database, codes: Codes, granted: Granted, clock: FakeClock
) -> None:
    code = await issued(codes, granted)
    clock.advance(60)
    assert await codes.redeem(code, "wiki", "jti") is None
    assert await database.fetchval("select count(*) from refresh_token") == 0


# Refresh tokens, as families keep them


@pytest.fixture
async def family(codes: Codes, granted: Granted) -> str:
    """Return a family whose first refresh token is called ``first``."""
    redeemed = await codes.redeem(await issued(codes, granted), "wiki", "first")
    assert redeemed is not None
    return redeemed.family.id


NO_GRACE, GRACE = timedelta(0), timedelta(seconds=10)
WAITING = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"


async def test_of_many_at_once_one_rotates(families: Families, family: str, database: Database) -> None:
    results = await asyncio.gather(*(families.rotate("first", "wiki", NO_GRACE) for _ in range(50)))
    assert len([result for result in results if result]) == 1
    assert await database.fetchval("select count(*) from refresh_token") == 2


async def test_another_client_neither_rotates_nor_consumes(families: Families, family: str, clock: FakeClock) -> None:
    assert await families.rotate("first", "other", GRACE) is None
    rotated = await families.rotate("first", "wiki", NO_GRACE)
    assert rotated is not None
    assert rotated[1].id == family
    assert await families.rotate("first", "other", GRACE) is None


async def test_nothing_follows_once_its_time_is_over(families: Families, family: str, clock: FakeClock) -> None:
    clock.advance(timedelta(days=30))
    assert await families.rotate("first", "wiki", GRACE) is None


async def begun(codes: Codes, granted: Granted, names: Sequence[str]) -> None:
    """Begin a family for each name, which is its first refresh token's."""
    for name in names:
        assert await codes.redeem(await issued(codes, granted), "wiki", name)


async def test_tokens_that_come_at_once_each_get_their_own_successor(
    families: Families, codes: Codes, granted: Granted, family: str
) -> None:
    names = [f"token-{number}" for number in range(20)]
    await begun(codes, granted, names)
    assert await families.revoke(family, "test")
    came = [*names, "first", names[3], "unknown", names[3]]
    before = [await families.of_refresh_token(name, "wiki") for name in names]
    rotated = await asyncio.gather(*(families.rotate(name, "wiki", NO_GRACE) for name in came))
    assert [each[1] for each in rotated if each] == [each[0] for each in before if each]
    assert rotated[20:] == [None] * 4
    for successor, family_then in [each for each in rotated if each]:
        assert await families.of_refresh_token(successor, "wiki") == (family_then, False)


async def test_processes_that_get_the_same_tokens_in_opposite_order_never_block_each_other(
    database: Database, codes: Codes, granted: Granted, clock: FakeClock
) -> None:
    names = [f"token-{number}" for number in range(8)]
    await begun(codes, granted, names)
    one, other = Families(database, clock), Families(database, clock)
    # Both are under way when they come to what somebody holds: each in its own order would have half of them.
    async with asyncio.TaskGroup() as group, database.transaction() as connection:
        held = "select 1 from refresh_token where token_hash = $1 for update"
        await connection.fetchval(held, token_hash("token-4"))
        forth = [group.create_task(one.rotate(name, "wiki", NO_GRACE)) for name in names]
        back = [group.create_task(other.rotate(name, "wiki", NO_GRACE)) for name in reversed(names)]
        while await database.fetchval(WAITING) < 2:
            await asyncio.sleep(0.01)
    won = [bool(a.result()) + bool(b.result()) for a, b in zip(forth, reversed(back), strict=True)]
    assert won == [1] * len(names)


async def test_a_family_that_is_being_ended_holds_nobody_up(
    database: Database, families: Families, codes: Codes, granted: Granted, family: str
) -> None:
    await begun(codes, granted, ["second"])
    async with asyncio.timeout(2), database.transaction() as connection:
        await connection.execute("update refresh_family set revoked_at = now() where id = $1", UUID(family))
        rotated = await asyncio.gather(*(families.rotate(name, "wiki", GRACE) for name in ("first", "second")))
        assert [each is not None for each in rotated] == [False, True]
    assert await families.of_refresh_token("first", "wiki") is None


async def test_tokens_that_are_being_deleted_hold_nobody_up(
    database: Database, families: Families, codes: Codes, granted: Granted
) -> None:
    """Who deletes a client holds one token and comes to the next: nobody may hold that and wait for the first."""
    low, high = sorted(("first", "second"), key=token_hash)
    await begun(codes, granted, ["first", "second"])
    delete = "delete from refresh_token where token_hash = $1"
    async with asyncio.TaskGroup() as group, database.transaction() as connection:
        await connection.execute(delete, token_hash(high))
        rotating = [group.create_task(families.rotate(name, "wiki", NO_GRACE)) for name in (low, high)]
        while not await database.fetchval(WAITING):
            await asyncio.sleep(0.01)
        await connection.execute(delete, token_hash(low))
    assert [each.result() is not None for each in rotating] in ([True, False], [False, False])


async def test_who_comes_second_to_a_token_waits_until_it_is_known_to_be_used(
    database: Database, families: Families, codes: Codes, granted: Granted
) -> None:
    """Else nobody would notice that two have it."""
    await begun(codes, granted, ["first"])
    async with asyncio.TaskGroup() as group, database.transaction() as connection:
        await connection.execute("update refresh_token set used_at = now() where token_hash = $1", token_hash("first"))
        second = group.create_task(families.rotate("first", "wiki", NO_GRACE))
        await asyncio.sleep(0.2)
        assert not second.done()
    assert second.result() is None
    found = await families.of_refresh_token("first", "wiki")
    assert found is not None
    assert found[1]


async def test_within_the_grace_the_same_successor_comes_again(
    families: Families, family: str, clock: FakeClock, database: Database
) -> None:
    second = await families.rotate("first", "wiki", GRACE)
    clock.advance(9)
    assert await families.rotate("first", "wiki", GRACE) == second is not None
    assert await database.fetchval("select count(*) from refresh_token") == 2, "no second branch"
    clock.advance(1)
    assert await families.rotate("first", "wiki", GRACE) is None


async def test_a_used_successor_ends_the_grace(families: Families, family: str) -> None:
    second = await families.rotate("first", "wiki", GRACE)
    assert second is not None
    assert await families.rotate(second[0], "wiki", GRACE)
    assert await families.rotate("first", "wiki", GRACE) is None


async def test_without_grace_there_is_no_second_time_even_when_clocks_differ(
    families: Families, family: str, clock: FakeClock
) -> None:
    assert await families.rotate("first", "wiki", NO_GRACE)
    clock.advance(-1)  # another machine's, or a request that was read earlier
    assert await families.rotate("first", "wiki", NO_GRACE) is None


@pytest.mark.parametrize("grace", [NO_GRACE, GRACE])
async def test_nothing_follows_in_a_family_that_ended(families: Families, family: str, grace: timedelta) -> None:
    assert await families.rotate("first", "wiki", GRACE)
    assert await families.revoke(family, "test")
    assert await families.rotate("first", "wiki", grace) is None
