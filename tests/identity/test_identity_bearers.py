"""Access tokens of one login: what is asked of the database for the second, and what ends them all."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.accounts.changes import Changes
from gateway.errors import CredentialRejected
from gateway.identity.presented import Headers
from gateway.tokens.refresh import TokenPair
from tests.identity.credentials import bearer
from tests.identity.reception import Reception, open_reception

__all__ = ["open_reception"]


class Asked:
    """Counts what the database is asked about logins."""

    def __init__(self, right: Callable[..., Awaitable[Any]]) -> None:
        self.right = right
        self.times = 0

    async def __call__(self, *arguments: Any) -> Any:
        self.times += 1
        return await self.right(*arguments)


@pytest.fixture
def asked(reception: Reception, monkeypatch: pytest.MonkeyPatch) -> Asked:
    tokens = reception.accounts.refresh_tokens
    counting = Asked(tokens.identity_row)
    monkeypatch.setattr(tokens, "identity_row", counting)
    return counting


async def login(reception: Reception) -> tuple[TokenPair, Headers]:
    pair = await reception.accounts.refresh_tokens.start_family(reception.ann.id)
    return pair, bearer(pair.access_token)


def another(reception: Reception, pair: TokenPair, **given: Any) -> Headers:
    """Return one more token of the same login, which nobody has seen."""
    said = {"authenticated_at": reception.clock.now(), "methods": ("pwd",), **given}
    return bearer(reception.accounts.access_tokens.issue(reception.ann.id, pair.family_id, **said))


async def test_another_token_of_a_known_login_asks_nothing(reception: Reception, asked: Asked) -> None:
    pair, first = await login(reception)
    seen = [await reception.ask(first)]
    seen += [await reception.ask(another(reception, pair)) for _ in range(3)]
    assert asked.times == 1
    assert all(each is not None and each.identity.username == "ann" for each in seen)
    assert len({id(each) for each in seen}) == 4
    await reception.ask((await login(reception))[1])
    assert asked.times == 2


async def test_each_token_speaks_for_itself(reception: Reception) -> None:
    """What a login's tokens say differs; nothing of one passes to another."""
    pair, _ = await login(reception)
    before = reception.clock.now() - timedelta(hours=1)
    narrow = await reception.ask(another(reception, pair, scopes=["wiki:read"], authenticated_at=before))
    wide = await reception.ask(another(reception, pair, methods=("pwd", "otp")))
    assert narrow is not None
    assert wide is not None
    assert (narrow.identity.scopes, narrow.identity.methods) == (frozenset({"wiki:read"}), ("pwd",))
    assert (wide.identity.scopes, wide.identity.methods) == (None, ("pwd", "otp"))
    assert narrow.identity.authenticated_at == before.replace(microsecond=0)
    assert narrow.headers is not wide.headers


async def test_a_token_of_a_known_login_is_verified_all_the_same(reception: Reception, asked: Asked) -> None:
    pair, first = await login(reception)
    assert await reception.ask(first) is not None
    text = another(reception, pair)["Authorization"]
    for spoilt in (text[:-8] + "AAAAAAAA", text.rpartition(".")[0] + "."):
        with pytest.raises(CredentialRejected):
            await reception.ask(bearer(spoilt.removeprefix("Bearer ")))
    # Of that login, for somebody else.
    bob = await reception.accounts.users.create("bob", "bob@example.com", None)
    stolen = reception.accounts.access_tokens.issue(
        bob.id, pair.family_id, authenticated_at=reception.clock.now(), methods=("pwd",)
    )
    with pytest.raises(CredentialRejected):
        await reception.ask(bearer(stolen))
    assert asked.times == 2


async def _family(reception: Reception, pair: TokenPair) -> None:
    await reception.accounts.refresh_tokens.revoke_family(pair.family_id, "test")


async def _account(reception: Reception, _pair: TokenPair) -> None:
    await reception.accounts.users.change(reception.ann.id, Changes(is_active=False))


@pytest.mark.parametrize("end", [_family, _account])
async def test_what_ends_a_login_ends_tokens_that_nobody_has_seen(
    reception: Reception, end: Callable[[Reception, TokenPair], Awaitable[None]]
) -> None:
    pair, first = await login(reception)
    assert await reception.ask(first) is not None
    await end(reception, pair)
    for headers in (first, another(reception, pair)):
        assert reception.known(headers) is None
        with pytest.raises(CredentialRejected):
            await reception.ask(headers)


async def test_roles_that_change_are_those_of_the_next_token(reception: Reception) -> None:
    pair, first = await login(reception)
    assert await reception.ask(first) is not None
    await reception.accounts.users.change(reception.ann.id, Changes(roles=("auditor",)))
    verified = await reception.ask(another(reception, pair))
    assert verified is not None
    assert verified.identity.roles == ("auditor",)


async def test_a_login_is_asked_for_each_time_while_the_feed_is_not_fresh(reception: Reception, asked: Asked) -> None:
    pair, first = await login(reception)
    assert await reception.ask(first) is not None
    await reception.feed.stop()
    for times in (2, 3):
        assert await reception.ask(another(reception, pair)) is not None
        assert asked.times == times


async def test_one_token_after_the_other_does_not_carry_a_login_on(reception: Reception, asked: Asked) -> None:
    """A login is asked for anew after a minute, whatever was seen meanwhile."""
    pair, first = await login(reception)
    assert await reception.ask(first) is not None
    await reception.pass_time(59)
    last = another(reception, pair)
    assert await reception.ask(last) is not None
    assert asked.times == 1
    await reception.pass_time(2)
    assert reception.known(last) is None
    assert await reception.ask(last) is not None
    assert asked.times == 2


async def test_a_token_ends_at_its_own_time(reception: Reception) -> None:
    pair, first = await login(reception)
    lifetime = reception.accounts.access_tokens.lifetime_seconds
    verified = await reception.ask(first)
    assert verified is not None
    assert verified.ends_at == pytest.approx(reception.clock.monotonic() + lifetime, abs=1)
    await reception.pass_time(lifetime - 10)
    assert await reception.ask(first) is not None  # the login is remembered for a minute
    later = another(reception, pair)
    await reception.pass_time(11)
    assert await reception.ask(later) is not None
    with pytest.raises(CredentialRejected):
        await reception.ask(first)


@pytest.mark.parametrize("kind", ["session", "bearer", "api_token"])
async def test_a_credential_that_was_never_seen_takes_one_statement(
    reception: Reception, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    one, *several = [await reception.ways[kind]() for _ in range(5)]
    sent: list[str] = []
    for way in ("fetch", "fetchrow", "fetchval", "execute"):
        monkeypatch.setattr(reception.database, way, _noting(getattr(reception.database, way), sent))
    assert await reception.ask(one) is not None
    assert len(sent) == 1
    # Those that come together share it.
    assert None not in await asyncio.gather(*map(reception.ask, several))
    assert len(sent) == 2


def _noting(right: Callable[..., Awaitable[Any]], sent: list[str]) -> Callable[..., Awaitable[Any]]:
    async def note(sql: str, *arguments: object) -> Any:
        sent.append(sql)
        return await right(sql, *arguments)

    return note
