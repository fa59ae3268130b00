"""The round over all connections that ends those which cost more than they do."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection
from time import monotonic
from typing import Final, Protocol

from gateway.config.server import Limits
from gateway.listening.pace import Patience, Seen, Verdict, Watch, judge

_ROUND_SECONDS: Final = 0.25
# However many connections there are, the rounds take at most this part of the time,
_SHARE: Final = 0.02
# and let others run after so many.
_AT_ONCE: Final = 200
_log = logging.getLogger(__name__)


class Watched(Protocol):
    """A connection, as the patrol sees it."""

    watch: Watch

    def seen(self) -> Seen:
        """Tell what the connection does."""

    def end(self, verdict: Verdict) -> None:
        """End it, in the way that is right for ``verdict``."""


class Patrol:
    """Looks at every connection a few times a second. ``ended`` counts what it ended."""

    def __init__(self, limits: Limits, connections: Callable[[], Collection[Watched]]) -> None:
        self.ended: Counter[str] = Counter()
        self._connections = connections
        idle_seconds = limits.idle_timeout.total_seconds()
        head_seconds = min(limits.header_timeout.total_seconds(), idle_seconds)
        self._patience = Patience(head_seconds, idle_seconds, float(limits.body_rate))
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="patrol")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    def look_at(self, connection: Watched, now: float) -> None:
        """Look at one connection, and end it if it has had its time."""
        try:
            verdict = judge(connection.watch, connection.seen(), now, self._patience)
            if verdict is not None:
                self.ended[verdict] += 1
                connection.end(verdict)
        except Exception:  # one connection that cannot be looked at must not protect the others
            _log.exception("a connection could not be looked at")

    async def _run(self) -> None:
        pause = _ROUND_SECONDS
        while True:
            await asyncio.sleep(pause)
            spent = 0.0
            connections = tuple(self._connections())
            for start in range(0, len(connections), _AT_ONCE):
                began = monotonic()
                for connection in connections[start : start + _AT_ONCE]:
                    self.look_at(connection, began)
                spent += monotonic() - began
                await asyncio.sleep(0)
            pause = max(_ROUND_SECONDS, spent / _SHARE)
