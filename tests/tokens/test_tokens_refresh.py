"""Refresh tokens: used once, in families that end together."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from gateway.errors import LoginRefused, TokenRejected
from gateway.tokens.refresh import REFRESH_TYPE, RefreshTokens, TokenPair
from tests.tokens.conftest import ISSUER, Mint


async def is_good(mint: Mint, pair: TokenPair) -> bool:
    """Say whether an access token stands for anybody: its signature, its family and its account."""
    claims = mint.access.verify(pair.access_token)
    return await mint.refresh.identity_row(str(claims["sid"]), str(claims["sub"])) is not None


async def test_a_refresh_token_gives_a_new_pair_of_the_same_family(mint: Mint) -> None:
    first = await mint.refresh.start_family(mint.ann, methods=("pwd", "otp"), scopes=("wiki:read",))
    mint.clock.advance(timedelta(minutes=5))
    second = await mint.refresh.rotate(first.refresh_token)
    assert (second.account_id, second.family_id) == (mint.ann, first.family_id)
    before, after = mint.access.verify(first.access_token), mint.access.verify(second.access_token)
    # Neither the scopes nor the moment of authentication change by refreshing.
    for name in ("scope", "auth_time", "amr", "sid", "sub"):
        assert before[name] == after[name]
    assert after["exp"] == before["exp"] + 300
    assert second.expires_in_seconds == 900
    assert await is_good(mint, second)


async def test_a_family_has_an_end_that_refreshing_does_not_move(mint: Mint) -> None:
    pair = await mint.refresh.start_family(mint.ann)
    mint.clock.advance(timedelta(days=29))
    pair = await mint.refresh.rotate(pair.refresh_token)
    mint.clock.advance(timedelta(days=1))
    with pytest.raises(TokenRejected, match="expired"):
        await mint.refresh.rotate(pair.refresh_token)


async def test_a_reused_refresh_token_revokes_its_family_and_no_other(mint: Mint) -> None:
    first = await mint.refresh.start_family(mint.ann)
    other = await mint.refresh.start_family(mint.ann)
    second = await mint.refresh.rotate(first.refresh_token)
    assert await is_good(mint, second)
    with pytest.raises(TokenRejected, match="refresh_token_invalid"):
        await mint.refresh.rotate(first.refresh_token)
    assert not await is_good(mint, second)
    assert await mint.events("family") == [first.family_id]
    with pytest.raises(TokenRejected):
        await mint.refresh.rotate(second.refresh_token)
    assert await is_good(mint, await mint.refresh.rotate(other.refresh_token))


async def test_of_twenty_redemptions_at_once_one_wins(mint: Mint) -> None:
    first = await mint.refresh.start_family(mint.ann)
    answers = await asyncio.gather(
        *(mint.refresh.rotate(first.refresh_token) for _ in range(20)), return_exceptions=True
    )
    pairs = [answer for answer in answers if isinstance(answer, TokenPair)]
    refused = [answer for answer in answers if isinstance(answer, TokenRejected)]
    assert (len(pairs), len(refused)) == (1, 19)
    # Nineteen were reuse, so that not even the winner's tokens are good.
    assert not await is_good(mint, pairs[0])
    assert await mint.events("family") == [first.family_id]


async def test_a_revoked_family_ends_once_and_says_so_once(mint: Mint) -> None:
    pair = await mint.refresh.start_family(mint.ann)
    assert await mint.refresh.revoke_family(pair.family_id, "logout")
    assert not await mint.refresh.revoke_family(pair.family_id, "logout")
    assert await mint.events("family") == [pair.family_id]
    assert not await is_good(mint, pair)
    with pytest.raises(TokenRejected):
        await mint.refresh.rotate(pair.refresh_token)


async def test_all_families_of_an_account_end_together(mint: Mint) -> None:
    pairs = [await mint.refresh.start_family(mint.ann) for _ in range(3)]
    assert await mint.refresh.revoke_account(mint.ann, "logout") == 3
    assert await mint.refresh.revoke_account(mint.ann, "logout") == 0
    assert sorted(await mint.events("family")) == sorted(pair.family_id for pair in pairs)
    assert not any([await is_good(mint, pair) for pair in pairs])


async def test_a_disabled_account_gets_nothing_for_its_tokens(mint: Mint) -> None:
    pair = await mint.refresh.start_family(mint.ann)
    await mint.database.execute("update account set is_active = false")
    assert not await is_good(mint, pair)
    with pytest.raises(TokenRejected):
        await mint.refresh.rotate(pair.refresh_token)
    await mint.database.execute("update account set is_active = true")
    # A refused attempt consumes nothing.
    assert await is_good(mint, await mint.refresh.rotate(pair.refresh_token))


@pytest.mark.parametrize(
    "ending", ["update account set is_active = false", "delete from account"], ids=["disabled", "deleted"]
)
async def test_no_family_begins_for_an_account_that_ends_meanwhile(mint: Mint, ending: str) -> None:
    async with mint.database.transaction() as connection:
        await connection.execute(ending)
        login = asyncio.create_task(mint.refresh.start_family(mint.ann))
        await asyncio.sleep(0.1)
        assert not login.done(), "it waits to see how that ends"
    with pytest.raises(LoginRefused, match="inactive"):
        await login
    assert await mint.database.fetchval("select count(*) from refresh_family") == 0


async def test_the_longest_lifetime_that_can_be_configured_works(mint: Mint) -> None:
    lifetime = timedelta(days=3650)
    patient = RefreshTokens(mint.database, mint.keys, mint.access, issuer=ISSUER, lifetime=lifetime, clock=mint.clock)
    pair = await patient.start_family(mint.ann)
    assert (await patient.rotate(pair.refresh_token)).family_id == pair.family_id


@pytest.mark.parametrize("jti", [None, "", "unknown", 1, ["a"], "\ud800"], ids=repr)
async def test_a_jti_that_nobody_has_is_refused(mint: Mint, jti: Any) -> None:
    pair = await mint.refresh.start_family(mint.ann)
    claims = {**mint.access.verify(pair.access_token), "jti": jti}
    with pytest.raises(TokenRejected):
        await mint.refresh.rotate(mint.keys.sign(claims, REFRESH_TYPE))
    assert await is_good(mint, pair)


@pytest.mark.parametrize("family", ["", "x", "00000000-0000-0000-0000-000000000000", "' or true --"])
async def test_a_family_that_is_none_stands_for_nobody(mint: Mint, family: str) -> None:
    assert await mint.refresh.identity_row(family, mint.ann) is None
    pair = await mint.refresh.start_family(mint.ann)
    assert await mint.refresh.identity_row(pair.family_id, mint.ann) is not None
    # A family is its owner's only.
    assert await mint.refresh.identity_row(pair.family_id, "00000000-0000-0000-0000-000000000000") is None
    assert await mint.refresh.identity_row(pair.family_id, family) is None


async def test_a_refresh_token_of_another_issuer_or_key_is_refused(mint: Mint) -> None:
    pair = await mint.refresh.start_family(mint.ann)
    claims = {**mint.access.verify(pair.access_token), "iss": ISSUER + ".evil.example"}
    with pytest.raises(TokenRejected, match="wrong_issuer"):
        await mint.refresh.rotate(mint.keys.sign(claims, REFRESH_TYPE))


async def test_a_refresh_token_outlives_a_rotation_of_the_keys(mint: Mint) -> None:
    pair = await mint.refresh.start_family(mint.ann)
    await mint.keys.rotate()
    assert await is_good(mint, await mint.refresh.rotate(pair.refresh_token))


async def test_only_digests_are_stored_and_no_token_shows_in_a_repr(mint: Mint) -> None:
    pair = await mint.refresh.start_family(mint.ann)
    assert pair.access_token not in repr(pair)
    assert pair.refresh_token not in repr(pair)
    claims = mint.access.verify(pair.access_token)
    stored = str(await mint.database.fetch("select token_hash, family_id::text from refresh_token"))
    assert str(claims["jti"]) not in stored


async def test_what_ended_long_ago_is_forgotten(mint: Mint) -> None:
    await mint.refresh.start_family(mint.ann)
    mint.clock.advance(timedelta(days=31))
    assert await mint.refresh.forget_expired() == 0
    mint.clock.advance(timedelta(seconds=1))
    assert await mint.refresh.forget_expired() == 1
