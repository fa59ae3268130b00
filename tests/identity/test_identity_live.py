"""What is open closes with its ground, and the signing keys follow what other processes do."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

import pytest

from gateway.accounts.changes import Changes
from gateway.errors import CredentialRejected, StorageUnavailable
from gateway.identity.presented import Headers
from gateway.identity.verified import Verified
from gateway.storage.events import publish
from tests.identity.reception import Reception, open_reception

__all__ = ["open_reception"]


async def asked(reception: Reception, headers: Headers) -> Verified:
    verified = await reception.ask(headers)
    assert verified is not None
    return verified


async def test_what_is_open_closes_with_any_of_its_ground(reception: Reception) -> None:
    session, token = (
        await asked(reception, await reception.by_session()),
        await asked(reception, await reception.by_jwt()),
    )
    closed: list[str] = []
    ways: dict[str, Callable[[], None]] = {}
    for name, verified in (("session", session), ("socket", session), ("token", token)):
        ways[name] = reception.live.register(verified, partial(closed.append, name))
    assert len(reception.live) == 3
    ways["socket"]()
    assert session.session_id is not None
    await reception.accounts.sessions.revoke(session.session_id)
    assert closed == ["session"]
    await reception.accounts.users.change(reception.ann.id, Changes(roles=["user"]))
    assert sorted(closed[1:]) == ["session", "token"]
    for unregister in ways.values():
        unregister()
    assert len(reception.live) == 0


async def test_what_opens_after_its_revocation_closes(reception: Reception) -> None:
    """A handshake with the upstream takes a while: who was signed out meanwhile must not get a socket for hours."""
    verified, bystander = (
        await asked(reception, await reception.by_jwt()),
        await asked(reception, await reception.by_session()),
    )
    await reception.accounts.refresh_tokens.revoke_account(reception.ann.id, "logout")
    closed: list[str] = []
    reception.live.register(verified, lambda: closed.append("late"))
    reception.live.register(bystander, lambda: closed.append("bystander"))
    assert closed == []  # not inside the caller's own call
    await asyncio.sleep(0)
    assert closed == ["late"]


async def test_one_that_cannot_be_closed_keeps_no_other_open(
    reception: Reception, caplog: pytest.LogCaptureFixture
) -> None:
    verified = await asked(reception, await reception.by_session())
    closed: list[int] = []

    def broken() -> None:
        raise RuntimeError("no transport")

    for number in range(2):
        reception.live.register(verified, partial(closed.append, number))
        reception.live.register(verified, broken)
    with caplog.at_level(logging.CRITICAL):
        await reception.accounts.users.change(reception.ann.id, Changes(roles=["user"]))
    assert closed == [0, 1]
    assert reception.feed.fresh()


async def test_after_a_gap_everything_comes_in_anew(reception: Reception) -> None:
    headers = await reception.by_session()
    verified = await asked(reception, headers)
    closed: list[str] = []
    reception.live.register(verified, lambda: closed.append("open"))
    reception.revocation.on_resync()
    assert reception.known(headers) is None
    assert closed == ["open"]
    late = await asked(reception, headers)
    assert late is not verified


async def test_a_key_that_another_process_makes_is_known(reception: Reception) -> None:
    other = await reception.other_process()
    active = await other.rotate()
    await other.rotate()
    await reception.feed.caught_up()
    await _until(lambda: any(key.state == "active" and key.kid != active for key in reception.accounts.keys.list()))


async def test_a_key_that_another_process_retires_ends_its_tokens_and_what_they_opened(reception: Reception) -> None:
    headers = await reception.by_jwt()
    session = await reception.by_session()
    verified, bystander = await asked(reception, headers), await asked(reception, session)
    closed: list[str] = []
    reception.live.register(verified, lambda: closed.append("token"))
    reception.live.register(bystander, lambda: closed.append("session"))
    other = await reception.other_process()
    [kid] = [key.kid for key in other.list() if key.state == "active"]
    await other.rotate()
    await reception.feed.caught_up()
    assert closed == []  # a rotation leaves tokens good until they expire
    await other.retire(kid)
    await reception.feed.caught_up()
    assert reception.known(headers) is None
    assert set(closed) == {"token"}
    await _until(lambda: reception.accounts.keys.find(kid) is None)
    with pytest.raises(CredentialRejected):
        await reception.ask(headers)
    assert reception.known(session) is bystander


async def test_keys_are_read_until_that_succeeds(
    reception: Reception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """What the old keys let in while the new ones could not be read goes when they are."""
    monkeypatch.setattr("gateway.identity.revocation._RETRY_SECONDS", 0.01)
    headers = await reception.by_jwt()
    right, failures = reception.accounts.keys.load, 0
    may_succeed = asyncio.Event()

    async def load() -> None:
        nonlocal failures
        if not may_succeed.is_set():
            failures += 1
            raise StorageUnavailable("no answer")
        await right()

    monkeypatch.setattr(reception.accounts.keys, "load", load)
    verified = await asked(reception, headers)
    [kid] = [key for topic, key in verified.depends_on if topic == "key"]
    with caplog.at_level(logging.CRITICAL):
        reception.revocation.on_event("key", kid)
        await _until(lambda: failures > 2)
        let_in = await asked(reception, headers)
        assert let_in is not verified
        may_succeed.set()
        await _until(lambda: reception.known(headers) is None)


async def test_events_of_many_keys_are_read_at_once(reception: Reception, monkeypatch: pytest.MonkeyPatch) -> None:
    right, loads = reception.accounts.keys.load, 0

    async def load() -> None:
        nonlocal loads
        loads += 1
        await right()

    monkeypatch.setattr(reception.accounts.keys, "load", load)
    for number in range(100):
        await publish(reception.database, "key", f"k{number}")
    await reception.feed.caught_up()
    await _until(lambda: loads > 0)
    await _until(lambda: not reception.revocation._changed_keys)
    assert loads < 100


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)
