"""What others publish, kept: asked for by one at a time, not too often, and used on for a day when they are down.

Credentials that nobody has verified yet decide what is asked for, so how often that is does not depend on them.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.outbound import FetchFailed

# Between one question and the next, whoever wants to know what for.
COOL_DOWN_SECONDS: Final = 30.0
# Where nothing is known yet, nobody can be let in: asked again sooner.
_RETRY_SECONDS: Final = 5.0
# For so long what was published last is used while its publisher does not answer.
STALE_SECONDS: Final = 86400.0
_MOST: Final = 1000

_log: Final = logging.getLogger(__name__)
T = TypeVar("T")
Ask = Callable[[], Awaitable[T]]


class Unreadable(GatewayError):
    """What was published is not what it should be; the message is for the log."""


@dataclass(slots=True)
class _Entry(Generic[T]):
    value: T | None = None
    read_at: float = float("-inf")
    asked_at: float = float("-inf")
    asking: asyncio.Task[None] | None = None


class Kept(Generic[T]):
    """Answers by their name, each for ``kept_seconds``. The least recently used makes room."""

    def __init__(self, clock: Clock, kept_seconds: float, most: int = _MOST) -> None:
        self._clock = clock
        self._kept_seconds = kept_seconds
        self._most = most
        self._entries: OrderedDict[str, _Entry[T]] = OrderedDict()

    async def get(self, name: str, ask: Ask[T]) -> T | None:
        """Return what is known under ``name``; ``ask`` is asked when it is too old. None: it cannot be had."""
        entry = self._entry(name)
        age = self._clock.monotonic() - entry.read_at
        if age < self._kept_seconds:
            return entry.value
        # One waits for the answer; the others go on with what there is.
        if entry.asking is None or not self._is_usable(entry):
            await self._ask(name, entry, ask)
        return entry.value if self._is_usable(entry) else None

    async def newer(self, name: str, ask: Ask[T]) -> T | None:
        """Return what is published now, or not long ago: asked for unless that was just done."""
        entry = self._entry(name)
        await self._ask(name, entry, ask)
        return entry.value if self._is_usable(entry) else None

    async def stop(self) -> None:
        """Give up what is being asked."""
        asking = [entry.asking for entry in self._entries.values() if entry.asking is not None]
        for each in asking:
            each.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    def _entry(self, name: str) -> _Entry[T]:
        entry = self._entries.setdefault(name, _Entry())
        self._entries.move_to_end(name)
        while len(self._entries) > self._most:
            self._entries.popitem(last=False)
        return entry

    def _is_usable(self, entry: _Entry[T]) -> bool:
        return self._clock.monotonic() - entry.read_at <= STALE_SECONDS

    async def _ask(self, name: str, entry: _Entry[T], ask: Ask[T]) -> None:
        """Join the question that is under way, or begin one if it is time."""
        if entry.asking is None:
            wait = COOL_DOWN_SECONDS if self._is_usable(entry) else _RETRY_SECONDS
            if self._clock.monotonic() - entry.asked_at < wait:
                return
            # A task of its own, over with the request's timeout: whoever began it may go away, the others wait on.
            entry.asking = asyncio.create_task(self._read(name, entry, ask), name="what others publish")
        await asyncio.shield(entry.asking)

    async def _read(self, name: str, entry: _Entry[T], ask: Ask[T]) -> None:
        try:
            entry.value = await ask()
            entry.read_at = self._clock.monotonic()
        except (FetchFailed, Unreadable) as error:
            _log.warning("%s cannot be had: %s", name, error)
        finally:
            entry.asked_at = self._clock.monotonic()
            entry.asking = None
