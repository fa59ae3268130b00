"""Use of sessions and API tokens is noted, in batches."""

from __future__ import annotations

import asyncio

import pytest

from gateway.errors import StorageUnavailable
from tests.identity.reception import Reception, open_reception

__all__ = ["open_reception"]


async def test_use_is_noted_without_a_query_per_request(reception: Reception, monkeypatch: pytest.MonkeyPatch) -> None:
    session, token = await reception.by_session(), await reception.by_api_token()
    await reception.pass_time(30)
    for _ in range(5):
        await reception.ask(session)
        await reception.ask(token)
    await reception.activity.flush()
    [row] = await reception.accounts.sessions.list_for(reception.ann.id)
    [held] = await reception.accounts.api_tokens.list_for(reception.ann.id)
    assert row.seen_at == held.last_used_at == reception.clock.now()

    async def unexpected(*_: object) -> None:
        pytest.fail("nothing was used")

    monkeypatch.setattr(reception.accounts.sessions, "touch", unexpected)
    monkeypatch.setattr(reception.accounts.api_tokens, "record_use", unexpected)
    await reception.activity.flush()


async def test_what_cannot_be_written_is_kept_for_later(reception: Reception, monkeypatch: pytest.MonkeyPatch) -> None:
    await reception.ask(await reception.by_api_token())

    async def unavailable(*_: object) -> None:
        raise StorageUnavailable("no answer")

    with monkeypatch.context() as patch:
        patch.setattr(reception.accounts.api_tokens, "record_use", unavailable)
        await reception.activity.flush()
    await reception.activity.flush()
    [held] = await reception.accounts.api_tokens.list_for(reception.ann.id)
    assert held.last_used_at == reception.clock.now()


async def test_it_writes_by_itself_and_at_the_end(reception: Reception, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.identity.activity._FLUSH_SECONDS", 0.01)
    reception.activity.start()
    await reception.ask(await reception.by_api_token())
    async with asyncio.timeout(5):
        while (await reception.accounts.api_tokens.list_for(reception.ann.id))[0].last_used_at is None:
            await asyncio.sleep(0.01)
    await reception.ask(await reception.by_session())
    await reception.pass_time(1)
    await reception.activity.stop()
    [row] = await reception.accounts.sessions.list_for(reception.ann.id)
    assert row.seen_at >= row.created_at
    assert not reception.activity._seen
