"""Signing keys: what is published, what signs, and when a key stops counting."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateway.config.settings import Settings
from gateway.errors import NotFound, StartupError, TokenRejected
from gateway.identity.identity import CredentialKind, Identity
from gateway.storage.database import Database
from gateway.tokens.access import AccessTokens
from gateway.tokens.jwt import VerifiedClaims
from gateway.tokens.keys import SigningKeys
from gateway.tokens.master_key import MasterKey
from tests.fake_clock import FakeClock
from tests.tokens.conftest import ISSUER, Mint

PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "k"}


def states(keys: SigningKeys) -> list[str]:
    return sorted(key.state for key in keys.list())


def kid_in(keys: SigningKeys, state: str) -> str:
    return next(key.kid for key in keys.list() if key.state == state)


def access_token(mint: Mint) -> str:
    return mint.access.issue(mint.ann, "family", authenticated_at=mint.clock.now(), methods=("pwd",))


def read_elsewhere(mint: Mint, keys: SigningKeys, token: str) -> VerifiedClaims:
    return AccessTokens(keys, ISSUER, timedelta(minutes=15), mint.clock).verify(token)


async def test_the_first_start_makes_an_active_key_and_the_next(mint: Mint) -> None:
    assert states(mint.keys) == ["active", "next"]
    before = mint.keys.jwks()
    await mint.keys.ensure()
    assert mint.keys.jwks() == before


async def test_processes_that_start_together_share_the_first_keys(
    database: Database, clock: FakeClock, master_key: MasterKey, settings_for: Callable[..., Settings]
) -> None:
    tokens = settings_for().tokens
    fleet = [SigningKeys(database, master_key, tokens, clock) for _ in range(4)]
    await asyncio.gather(*(keys.ensure() for keys in fleet))
    assert [states(keys) for keys in fleet] == [["active", "next"]] * 4
    assert len({kid_in(keys, "active") for keys in fleet}) == 1


async def test_a_scheduled_rotation_happens_once_in_a_fleet(mint: Mint) -> None:
    fleet = [mint.other_process() for _ in range(3)]
    upcoming = kid_in(mint.keys, "next")
    mint.clock.advance(timedelta(days=90))
    await asyncio.gather(*(keys.ensure() for keys in fleet))
    assert [kid_in(keys, "active") for keys in fleet] == [upcoming] * 3
    assert states(fleet[0]) == ["active", "next", "retired"]


async def test_a_key_is_published_before_it_signs_and_after_it_signed(mint: Mint) -> None:
    first, second = kid_in(mint.keys, "active"), kid_in(mint.keys, "next")
    old = access_token(mint)
    assert await mint.keys.rotate() == second
    assert {key["kid"] for key in mint.keys.jwks()["keys"]} >= {first, second}
    new = access_token(mint)
    assert mint.access.verify(old)["sub"] == mint.ann
    assert mint.access.verify(new)["sub"] == mint.ann
    assert await mint.events("key") == ["rotated", "rotated"]  # the first start, and this


async def test_keys_are_not_rotated_before_their_time(mint: Mint) -> None:
    active = kid_in(mint.keys, "active")
    mint.clock.advance(timedelta(days=90) - timedelta(seconds=1))
    await mint.keys.ensure()
    assert kid_in(mint.keys, "active") == active


async def test_a_retired_key_is_forgotten_when_its_last_token_has_expired(mint: Mint) -> None:
    first = kid_in(mint.keys, "active")
    await mint.keys.rotate()
    mint.clock.advance(timedelta(days=30))
    await mint.keys.ensure()
    assert mint.keys.find(first) is not None
    mint.clock.advance(timedelta(days=1, seconds=1))
    await mint.keys.ensure()
    assert mint.keys.find(first) is None


async def test_a_key_that_is_retired_by_hand_verifies_nothing_any_more(mint: Mint) -> None:
    first, token = kid_in(mint.keys, "active"), access_token(mint)
    await mint.keys.rotate()
    assert mint.access.verify(token)
    await mint.keys.retire(first)
    with pytest.raises(TokenRejected, match="unknown_key"):
        mint.access.verify(token)
    assert (await mint.events("key"))[-1] == first


async def test_a_next_key_that_is_retired_has_a_successor_before_it_signs(mint: Mint) -> None:
    upcoming = kid_in(mint.keys, "next")
    await mint.keys.retire(upcoming)
    assert states(mint.keys) == ["active", "next"]
    assert mint.keys.find(upcoming) is None
    published = {key["kid"] for key in mint.keys.jwks()["keys"]}
    assert await mint.keys.rotate() in published


@pytest.mark.parametrize("which", ["active", "unknown"])
async def test_the_active_key_is_rotated_out_before_it_is_retired(mint: Mint, which: str) -> None:
    kid = kid_in(mint.keys, "active") if which == "active" else "unknown"
    with pytest.raises(NotFound):
        await mint.keys.retire(kid)
    assert states(mint.keys) == ["active", "next"]


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
async def test_each_algorithm_signs_what_it_verifies(
    database: Database,
    clock: FakeClock,
    master_key: MasterKey,
    settings_for: Callable[..., Settings],
    algorithm: str,
) -> None:
    keys = SigningKeys(database, master_key, settings_for(f"tokens: {{algorithm: {algorithm}}}\n").tokens, clock)
    await keys.ensure()
    access = AccessTokens(keys, ISSUER, timedelta(minutes=15), clock)
    token = access.issue("u1", "f1", authenticated_at=clock.now(), methods=("pwd", "otp"), scopes=("b", "a"))
    claims = access.verify(token)
    assert (claims["sub"], claims["sid"], claims["scope"], claims["amr"]) == ("u1", "f1", "a b", ["pwd", "otp"])
    assert {key["alg"] for key in keys.jwks()["keys"]} == {algorithm}


async def test_another_algorithm_takes_over_at_the_next_rotation(
    mint: Mint, settings_for: Callable[..., Settings]
) -> None:
    token = access_token(mint)
    keys = SigningKeys(mint.database, mint.master_key, settings_for("tokens: {algorithm: EdDSA}\n").tokens, mint.clock)
    await keys.rotate()
    assert {key.algorithm for key in keys.list() if key.state != "retired"} == {"EdDSA"}
    assert read_elsewhere(mint, keys, token)


async def test_private_parts_are_stored_encrypted_and_never_published(mint: Mint) -> None:
    rows = await mint.database.fetch("select public_jwk::text as public, private_jwe from signing_key")
    for row in rows:
        assert not PRIVATE_MEMBERS & json.loads(row["public"]).keys()
        assert row["private_jwe"].count(".") == 4
        assert json.loads(base64.urlsafe_b64decode(row["private_jwe"].split(".")[0] + "==")) == {
            "alg": "dir",
            "enc": "A256GCM",
        }
    for key in mint.keys.jwks()["keys"]:
        assert not PRIVATE_MEMBERS & key.keys()
    assert all("private" not in repr(key) for key in mint.keys.list())


async def test_another_master_key_is_one_startup_error_that_says_what_to_do(mint: Mint) -> None:
    other = mint.other_process(MasterKey(b"x" * 32))
    with pytest.raises(StartupError) as caught:
        await other.ensure()
    assert "secret_key" in str(caught.value)
    assert "gateway keys rotate" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_a_lost_master_key_costs_a_rotation(mint: Mint) -> None:
    token = access_token(mint)
    other = mint.other_process(MasterKey(b"x" * 32))
    await other.rotate()
    assert read_elsewhere(mint, other, token)
    assert read_elsewhere(mint, other, other.sign({**mint.access.verify(token)}, "at+jwt"))
    # The next key is of this master key, too.
    await other.rotate()


async def test_a_sealed_key_that_was_tampered_with_is_refused(mint: Mint) -> None:
    await mint.database.execute("update signing_key set private_jwe = 'e30.AA.AA.AA.AA'")
    with pytest.raises(StartupError):
        await mint.keys.load()


async def test_without_a_key_nothing_is_signed(mint: Mint) -> None:
    with pytest.raises(StartupError):
        mint.other_process().sign({}, "at+jwt")


class SlowDatabase:
    """Holds the answer of the first query back until it is told to go on."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._first = True
        self.read, self.go_on = asyncio.Event(), asyncio.Event()

    async def fetch(self, sql: str, *args: object) -> Any:
        first, self._first = self._first, False
        rows = await self._database.fetch(sql, *args)
        if first:
            self.read.set()
            await self.go_on.wait()
        return rows


async def test_an_older_reading_does_not_bring_a_retired_key_back(mint: Mint) -> None:
    first = kid_in(mint.keys, "active")
    await mint.keys.rotate()
    slow = SlowDatabase(mint.database)
    keys = SigningKeys(slow, mint.master_key, mint.settings.tokens, mint.clock)  # type: ignore[arg-type]
    older = asyncio.create_task(keys.load())
    await slow.read.wait()
    await mint.keys.retire(first)
    newer = asyncio.create_task(keys.load())
    await asyncio.sleep(0.05)
    slow.go_on.set()
    await asyncio.gather(older, newer)
    assert keys.find(first) is None


def test_a_master_key_hides_itself_and_derives_one_key_for_each_purpose() -> None:
    key = MasterKey(b"m" * 32)
    assert "mmmm" not in repr(key) + str(key)
    assert key.derive("a") == key.derive("a") != key.derive("b")
    assert len(key.derive("a")) == 32
    with pytest.raises(ValueError, match="32 bytes"):
        MasterKey(b"m" * 31)


async def test_an_assertion_is_no_access_token(mint: Mint) -> None:
    identity = Identity(
        user_id=mint.ann,
        username="ann",
        email="ann@example.com",
        roles=("user",),
        kind=CredentialKind.SESSION,
        authenticated_at=datetime(2026, 1, 2, tzinfo=UTC),
    )
    # Even for an upstream that calls itself by our issuer's name.
    with pytest.raises(TokenRejected, match="wrong_type"):
        mint.access.verify(mint.access.assertion(identity, ISSUER))
    pair = await mint.refresh.start_family(mint.ann)
    with pytest.raises(TokenRejected, match="wrong_type"):
        mint.access.verify(pair.refresh_token)
    with pytest.raises(TokenRejected, match="wrong_type"):
        await mint.refresh.rotate(pair.access_token)


@pytest.mark.parametrize("name", ["sid", "auth_time", "amr"])
@pytest.mark.parametrize("value", [None, {}, "x" * 3, True, 10**400, float(10**12)], ids=lambda value: str(value)[:8])
async def test_an_access_token_says_how_its_owner_authenticated(mint: Mint, name: str, value: Any) -> None:
    claims = dict(mint.access.verify(access_token(mint)))
    assert mint.access.verify(mint.keys.sign(claims, "at+jwt"))
    if name == "sid" and isinstance(value, str):
        return  # a text is what it should be; whether such a family exists is asked of the database
    with pytest.raises(TokenRejected, match="malformed"):
        mint.access.verify(mint.keys.sign({**claims, name: value}, "at+jwt"))


async def test_another_algorithm_is_prepared_once_and_rotates_with_the_rest(mint: Mint) -> None:
    with pytest.raises(StartupError):
        mint.keys.sign({"sub": "ann"}, "JWT", "RS256")
    await asyncio.gather(mint.keys.prepare("RS256"), mint.keys.prepare("RS256"))
    assert sorted((key.algorithm, key.state) for key in mint.keys.list()) == [
        ("ES256", "active"),
        ("ES256", "next"),
        ("RS256", "active"),
        ("RS256", "next"),
    ]
    upcoming = {key.algorithm: key.kid for key in mint.keys.list() if key.state == "next"}
    mint.clock.advance(timedelta(days=91))
    await mint.keys.ensure()
    assert {key.algorithm: key.kid for key in mint.keys.list() if key.state == "active"} == upcoming
    header = mint.keys.sign({"sub": "ann"}, "JWT", "RS256").partition(".")[0]
    assert json.loads(base64.urlsafe_b64decode(header + "==")) == {
        "alg": "RS256",
        "kid": upcoming["RS256"],
        "typ": "JWT",
    }
