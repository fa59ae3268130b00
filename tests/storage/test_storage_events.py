"""The event feed says fresh only when what was committed has been applied, whatever breaks on the way."""

from __future__ import annotations

import asyncio
import math
import os
import signal
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.clock import SystemClock
from gateway.storage import events as events_module
from gateway.storage.database import Connection, Database
from gateway.storage.events import EventFeed, publish
from tests.fake_clock import FakeClock


class Recorder:
    """What a subscriber was told."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str]] = []
        self.resyncs = 0

    def on_event(self, topic: str, key: str) -> None:
        self.events.append((topic, key))

    def on_resync(self) -> None:
        self.resyncs += 1


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
async def feed(dsn_args: dict[str, Any], clock: FakeClock, recorder: Recorder) -> AsyncIterator[EventFeed]:
    feed = EventFeed(dsn_args, timedelta(seconds=3), clock)
    feed.subscribe(recorder.on_event, recorder.on_resync)
    await feed.start()
    yield feed
    await feed.stop()


async def until(condition: Callable[[], bool], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


async def cut_feeds(database: Database) -> None:
    """Kill every connection that listens, as an administrator or a failover does."""
    await database.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and query not like '%pg_terminate%'"
    )


async def test_a_started_feed_is_fresh_and_has_resynced(feed: EventFeed, recorder: Recorder) -> None:
    assert feed.fresh()
    assert recorder.resyncs == 1
    assert feed.generation == 1
    assert feed.lag_seconds() == 0


async def test_an_event_wakes_the_feed_before_its_next_beat(
    feed: EventFeed, recorder: Recorder, database: Database
) -> None:
    feed._beat_seconds = 60
    await feed.caught_up()
    await publish(database, "account", "ann")
    await until(lambda: recorder.events == [("account", "ann")], 1)
    assert feed.generation == 2


async def test_a_rolled_back_event_is_never_seen(feed: EventFeed, recorder: Recorder, database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.transaction() as connection:
            await publish(connection, "account", "ann")
            raise ZeroDivisionError
    await publish(database, "account", "bob")
    await feed.caught_up()
    assert recorder.events == [("account", "bob")]


async def test_caught_up_has_applied_what_was_committed_before_it(
    feed: EventFeed, recorder: Recorder, database: Database
) -> None:
    for number in range(20):
        await publish(database, "session", str(number))
        await feed.caught_up()
        assert recorder.events[-1] == ("session", str(number))
    assert len(recorder.events) == 20


async def test_events_that_commit_out_of_order_are_all_seen_once(
    feed: EventFeed, recorder: Recorder, database: Database
) -> None:
    async with database.transaction() as early:
        await publish(early, "session", "numbered first, committed last")
        await publish(database, "session", "numbered last, committed first")
        await feed.caught_up()
        assert recorder.events == [("session", "numbered last, committed first")]
        await feed.caught_up()
    await feed.caught_up()
    await feed.caught_up()
    assert recorder.events == [
        ("session", "numbered last, committed first"),
        ("session", "numbered first, committed last"),
    ]


async def test_an_event_from_before_the_feed_is_covered_by_its_resync(
    dsn_args: dict[str, Any], clock: FakeClock, recorder: Recorder, database: Database
) -> None:
    feed = EventFeed(dsn_args, timedelta(seconds=3), clock)
    feed.subscribe(recorder.on_event, recorder.on_resync)
    async with database.transaction() as connection:
        await publish(connection, "session", "running meanwhile")
        await feed.start()
    await feed.caught_up()
    assert recorder.events == [("session", "running meanwhile")]
    await feed.stop()
    assert not feed.fresh()


async def test_lost_notifications_cost_time_alone(
    dsn_args: dict[str, Any], clock: FakeClock, recorder: Recorder, database: Database
) -> None:
    feed = EventFeed(dsn_args, timedelta(seconds=0.3), clock)
    feed.subscribe(recorder.on_event, recorder.on_resync)
    await feed.start()
    await database.execute("insert into event (topic, key) values ('key', 'k1')")  # and no pg_notify
    await until(lambda: recorder.events == [("key", "k1")], 2)
    await feed.stop()


async def test_time_without_a_poll_ends_freshness(
    dsn_args: dict[str, Any], clock: FakeClock, recorder: Recorder
) -> None:
    feed = EventFeed(dsn_args, timedelta(seconds=3), clock)
    assert not feed.fresh()
    assert feed.lag_seconds() == math.inf
    await feed.start()
    feed._beat_seconds = 60
    await feed.caught_up()
    clock.advance(3)
    assert feed.fresh()
    clock.advance(0.001)
    assert not feed.fresh()
    await feed.caught_up()
    assert feed.fresh()
    await feed.stop()


async def test_a_killed_connection_resyncs(feed: EventFeed, recorder: Recorder, database: Database) -> None:
    await cut_feeds(database)
    await until(lambda: recorder.resyncs == 2)
    await publish(database, "account", "ann")
    await feed.caught_up()
    assert recorder.events[-1] == ("account", "ann")
    assert feed.fresh()


async def test_events_during_an_outage_are_covered_by_the_resync(
    feed: EventFeed, recorder: Recorder, database: Database, dsn_args: dict[str, Any]
) -> None:
    feed._connect_args["host"] = "/nonexistent"
    await cut_feeds(database)
    await publish(database, "account", "missed")
    await feed.caught_up(0.1)
    assert not feed.fresh()
    assert recorder.resyncs == 1
    feed._connect_args["host"] = dsn_args["host"]
    await until(feed.fresh)
    assert recorder.resyncs == 2


async def test_caught_up_without_a_database_ends_in_time_and_ends_freshness(
    feed: EventFeed, dsn_args: dict[str, Any], database: Database
) -> None:
    feed._connect_args["host"] = "/nonexistent"
    await cut_feeds(database)
    async with asyncio.timeout(1):
        await feed.caught_up(0.2)
    assert not feed.fresh()
    feed._connect_args["host"] = dsn_args["host"]
    await until(feed.fresh)


@pytest.fixture
def applied(feed: EventFeed, monkeypatch: pytest.MonkeyPatch) -> dict[int, bool]:
    """For each poll by number, whether the feed was fresh when it had been applied."""
    polls: dict[int, bool] = {}
    original = feed._applied

    def record(number: int, started_at: float) -> None:
        original(number, started_at)
        polls[number] = feed.fresh()

    monkeypatch.setattr(feed, "_applied", record)
    return polls


async def test_caught_up_does_not_take_the_poll_that_runs_already(
    feed: EventFeed, database: Database, applied: dict[int, bool]
) -> None:
    async with database.transaction() as locker:
        running = await block_a_poll(feed, locker)
        waiting = asyncio.create_task(feed.caught_up())
        await asyncio.sleep(0.02)
    await waiting
    assert max(applied) > running


async def test_a_poll_that_ran_before_the_change_does_not_restore_freshness(
    feed: EventFeed, database: Database, applied: dict[int, bool]
) -> None:
    async with database.transaction() as locker:
        running = await block_a_poll(feed, locker)
        await feed.caught_up(0.05)
        assert not feed.fresh()
    await until(feed.fresh)
    assert applied[running] is False
    assert applied[running + 1] is True


async def block_a_poll(feed: EventFeed, locker: Connection) -> int:
    """Make a poll wait for a lock that ``locker`` holds until its transaction ends; return its number."""
    await locker.execute("lock table event in access exclusive mode")
    feed._wake.set()
    await until(lambda: not feed._wake.is_set())
    return feed._polls_started


async def test_caught_up_of_a_feed_that_does_not_run_trusts_nothing(dsn_args: dict[str, Any], clock: FakeClock) -> None:
    feed = EventFeed(dsn_args, timedelta(seconds=3), clock)
    await feed.caught_up()
    assert not feed.fresh()


async def test_a_failing_subscriber_ends_freshness_until_a_resync(
    feed: EventFeed, recorder: Recorder, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(topic: str, key: str) -> None:
        if key == "bad":
            raise RuntimeError("bug")

    feed.subscribe(fail, lambda: None)
    await publish(database, "account", "bad")
    await until(lambda: recorder.resyncs == 2)
    await feed.caught_up()
    assert feed.fresh()
    assert "starts over" in caplog.text


async def test_a_standby_is_refused(
    dsn_args: dict[str, Any], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(events_module._SQL._by_name, "position", "select '1'::text as position, true as is_standby")
    feed = EventFeed(dsn_args, timedelta(seconds=0.2), clock)
    await feed.start()
    assert not feed.fresh()
    await feed.stop()


async def test_old_events_are_removed_in_batches_and_young_ones_kept(
    database: Database, dsn_args: dict[str, Any], clock: FakeClock
) -> None:
    await database.execute(
        "insert into event (topic, key, at)"
        " select 'session', n::text, now() - interval '2 hours' from generate_series(1, 2500) n"
    )
    await publish(database, "session", "young")
    feed = EventFeed(dsn_args, timedelta(seconds=3), clock)
    await feed.start()
    async with asyncio.timeout(5):
        while await database.fetchval("select count(*) from event") > 1:
            await feed.caught_up()
    assert await database.fetchval("select key from event") == "young"
    await feed.stop()


async def test_a_hung_server_ends_freshness_and_the_feed_reconnects(
    dsn_args: dict[str, Any], recorder: Recorder, database: Database
) -> None:
    feed = EventFeed(dsn_args, timedelta(seconds=0.3), SystemClock())
    feed.subscribe(recorder.on_event, recorder.on_resync)
    await feed.start()
    backend = await database.fetchval(
        "select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
    )
    os.kill(backend, signal.SIGSTOP)
    try:
        await until(lambda: not feed.fresh(), 0.5)
        await until(feed.fresh, 3)
        assert recorder.resyncs == 2
    finally:
        os.kill(backend, signal.SIGCONT)
        await feed.stop()
