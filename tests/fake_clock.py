"""Clocks that a test moves: one stands still until then, the other runs on by itself."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta


class FakeClock:
    """Both readings move together; ``set`` moves the wall clock alone."""

    def __init__(self, start: datetime = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)) -> None:
        self._now = start
        self._monotonic = 1000.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._monotonic

    def set(self, now: datetime) -> None:
        self._now = now

    def advance(self, amount: timedelta | float) -> None:
        """Move on by a timedelta or by seconds."""
        delta = amount if isinstance(amount, timedelta) else timedelta(seconds=amount)
        self._now += delta
        self._monotonic += delta.total_seconds()


class RunningClock:
    """The machine's clock and what a test has added to it, for whole gateways, whose tasks wait in real time."""

    def __init__(self) -> None:
        self._added = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self._added

    def monotonic(self) -> float:
        return time.monotonic() + self._added.total_seconds()

    def advance(self, amount: timedelta | float) -> None:
        """Move on by a timedelta or by seconds."""
        self._added += amount if isinstance(amount, timedelta) else timedelta(seconds=amount)
