"""What takes a right away, told to every process: a polled table, with NOTIFY as a wake-up alone.

The hard rule: `EventFeed.fresh` may say so only when everything committed before the last successful poll
*started* has been applied. A lost notification, a pooler, or a dead connection costs time, never truth.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from typing import Any

import asyncpg

from gateway.clock import Clock
from gateway.errors import StorageError, StorageUnavailable
from gateway.storage.database import Executor, affected_rows
from gateway.storage.failures import translated
from gateway.storage.statements import statements

CHANNEL = "gateway"
BEAT_SECONDS = 1.0
KEPT_FOR = timedelta(hours=1)
CLEANING_SECONDS = 600.0

_FIRST_RETRY_SECONDS = 0.1
_LAST_RETRY_SECONDS = 2.0
_CLOSE_SECONDS = 1.0
_CLEANING_BATCH = 1000  # as remove_old has it

_SQL = statements("event")
_log = logging.getLogger(__name__)

OnEvent = Callable[[str, str], None]
OnResync = Callable[[], None]


async def publish(connection: Executor, topic: str, key: str) -> None:
    """Tell every process, at commit, that what depends on ``topic`` and ``key`` has changed."""
    await connection.execute(_SQL["publish"], topic, key)


class EventFeed:
    """One reader of the event table, on a connection of its own (never a pooled one).

    ``fresh`` costs two comparisons, so that each request may ask. ``generation`` counts what was applied:
    who computes from the database and stores the result in a cache compares it before and after.
    """

    def __init__(self, dsn_args: Mapping[str, Any], max_staleness: timedelta, clock: Clock) -> None:
        self.generation = 0
        self._clock = clock
        self._max_staleness_seconds = max_staleness.total_seconds()
        self._beat_seconds = min(BEAT_SECONDS, self._max_staleness_seconds / 3)
        bound = max(self._max_staleness_seconds, BEAT_SECONDS)
        self._connect_args = {"timeout": bound, **dsn_args, "command_timeout": bound}
        self._subscribers: list[tuple[OnEvent, OnResync]] = []
        self._task: asyncio.Task[None] | None = None
        self._wake = asyncio.Event()
        self._proven_at = -math.inf
        self._polls_started = 0
        self._first_trusted_poll = 0
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._position = ""
        self._seen: set[int] = set()
        self._clean_at = 0.0

    def subscribe(self, on_event: OnEvent, on_resync: OnResync) -> None:
        """Call ``on_event`` for each event, and ``on_resync`` when any number may have been missed."""
        self._subscribers.append((on_event, on_resync))

    def fresh(self) -> bool:
        """Return whether everything older than ``max_staleness`` has been applied here."""
        return self._clock.monotonic() - self._proven_at <= self._max_staleness_seconds

    def lag_seconds(self) -> float:
        """Return how long ago the last successful poll started; infinite before the first."""
        return self._clock.monotonic() - self._proven_at

    async def start(self) -> None:
        """Begin to read; returns after the first poll, or without one after ``max_staleness``."""
        self._task = asyncio.create_task(self._run(), name="event-feed")
        await self.caught_up(self._max_staleness_seconds)

    async def stop(self) -> None:
        self._proven_at = -math.inf
        if self._task is None:
            return
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        self._task = None

    async def caught_up(self, timeout: float = 1.0) -> None:
        """Return when a poll that started after this call has been applied.

        When none succeeds within ``timeout`` seconds the feed stops being fresh, until one that started
        later does: the caller's change takes effect here in every case.
        """
        wanted = self._polls_started + 1
        if self._task is None:
            self._distrust(wanted)
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((wanted, done))
        self._wake.set()
        try:
            async with asyncio.timeout(timeout):
                await done
        except TimeoutError:
            self._distrust(wanted)
        except asyncio.CancelledError:
            self._distrust(wanted)
            raise
        finally:
            self._waiting = [entry for entry in self._waiting if entry[1] is not done]

    def _distrust(self, until_poll: int) -> None:
        self._first_trusted_poll = max(self._first_trusted_poll, until_poll)
        self._proven_at = -math.inf

    async def _run(self) -> None:
        pause = _FIRST_RETRY_SECONDS
        while True:
            before = self._polls_started
            try:
                await self._read_until_it_breaks()
            except StorageError as error:
                _log.warning("the event feed has no database: %s (%r)", error, error.__cause__)
            except Exception:  # whatever failed, nothing is trusted and reading goes on
                _log.exception("the event feed starts over")
                self._distrust(self._polls_started + 1)
            pause = _FIRST_RETRY_SECONDS if self._polls_started > before + 1 else pause
            await self._wait_to_retry(pause)
            pause = min(pause * 2, _LAST_RETRY_SECONDS)

    async def _wait_to_retry(self, seconds: float) -> None:
        """Wait a part of ``seconds``, so that a fleet does not return as one; less while somebody waits."""
        self._wake.clear()
        await asyncio.sleep(_FIRST_RETRY_SECONDS * random.uniform(0.5, 1))  # noqa: S311
        if not self._waiting:
            await self._woken_within(seconds * random.uniform(0.5, 1))  # noqa: S311

    async def _woken_within(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._wake.wait()

    async def _read_until_it_breaks(self) -> None:
        with translated():
            connection = await asyncpg.connect(**self._connect_args)
        try:
            connection.add_termination_listener(lambda _: self._wake.set())
            with translated():
                await connection.add_listener(CHANNEL, lambda *_: self._wake.set())
            await self._resync(connection)
            while True:
                await self._woken_within(self._beat_seconds)
                await self._poll(connection)
                await self._clean(connection)
        finally:
            await _end(connection)

    async def _resync(self, connection: asyncpg.Connection) -> None:
        """Read the position first, then forget everything: nothing falls between the two."""
        number, started_at = self._begin_poll()
        with translated():
            row = await connection.fetchrow(_SQL["position"])
        if row is None or row["is_standby"]:
            raise StorageUnavailable("the database is a read-only standby; name the primary in database.url")
        self._position = row["position"]
        self._seen.clear()
        self.generation += 1
        for _, on_resync in self._subscribers:
            on_resync()
        self._applied(number, started_at)

    async def _poll(self, connection: asyncpg.Connection) -> None:
        number, started_at = self._begin_poll()
        with translated():
            rows = await connection.fetch(_SQL["poll"], self._position)
        known = set()
        for row in rows:
            seq = row["seq"]
            if seq is None:
                continue
            known.add(seq)
            if seq not in self._seen:
                self.generation += 1
                for on_event, _ in self._subscribers:
                    on_event(row["topic"], row["key"])
        self._seen = known
        self._position = rows[0]["position"]
        self._applied(number, started_at)

    def _begin_poll(self) -> tuple[int, float]:
        # Cleared before the query: what wakes us during it may have committed after its snapshot.
        self._wake.clear()
        self._polls_started += 1
        return self._polls_started, self._clock.monotonic()

    def _applied(self, number: int, started_at: float) -> None:
        if number >= self._first_trusted_poll:
            self._proven_at = started_at
        for wanted, done in self._waiting:
            if number >= wanted and not done.done():
                done.set_result(None)

    async def _clean(self, connection: asyncpg.Connection) -> None:
        """Remove events that every reader has seen, now and then, by any one process of a fleet."""
        now = asyncio.get_running_loop().time()
        if now < self._clean_at:
            return
        self._clean_at = now + CLEANING_SECONDS * random.uniform(0.5, 1.5)  # noqa: S311 - spreads a fleet
        with translated():
            removed = affected_rows(await connection.execute(_SQL["remove_old"], KEPT_FOR))
        if removed >= _CLEANING_BATCH:
            self._clean_at = now  # there is more: go on after the next poll


async def _end(connection: asyncpg.Connection) -> None:
    """Say goodbye where the server still listens; never wait long."""
    try:
        await connection.close(timeout=_CLOSE_SECONDS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()
    except asyncio.CancelledError:
        connection.terminate()
        raise
