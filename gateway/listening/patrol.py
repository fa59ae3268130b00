"""The round over all connections that ends those which cost more than they do."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Collection
from time import monotonic
from typing import Final, Protocol

from gateway.config.server import Limits
from gateway.listening.pace import Patience, Phase, Seen, Verdict, Watch, judge

_ROUND_SECONDS: Final = 0.25
# However many connections there are, the rounds take at most this part of the time,
_SHARE: Final = 0.02
# and let others run after so many looks, or so many of which something came: each is work for others as well.
_AT_ONCE: Final = 200
_ACTS_AT_ONCE: Final = 2
# Where more bodies than this are under way, those that arrive in crumbs are read on the round only: a thousand of them
# at the same moment would keep everybody waiting.
_MANY_BODIES: Final = 100
_log = logging.getLogger(__name__)


class Watched(Protocol):
    """A connection, as the patrol sees it."""

    watch: Watch

    def seen(self) -> Seen:
        """Tell what the connection does."""

    def end(self, verdict: Verdict) -> None:
        """End it, in the way that is right for ``verdict``."""

    def read_on(self) -> bool:
        """Read again where reading was put off until the next round; say whether it was."""


class Patrol:
    """Looks at every connection a few times a second.

    ``ended`` counts what it ended; ``crowded`` says that many bodies are under way.
    """

    def __init__(self, limits: Limits, connections: Callable[[], Collection[Watched]]) -> None:
        self.ended: Counter[str] = Counter()
        self.crowded = False
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

    def look_at(self, connection: Watched, now: float) -> bool:
        """Look at one connection, and end it if it has had its time. Says whether others have work from that."""
        try:
            verdict = judge(connection.watch, connection.seen(), now, self._patience)
            if verdict is None:
                return connection.read_on()
            self.ended[verdict] += 1
            connection.end(verdict)
        except Exception:  # one connection that cannot be looked at must not protect the others
            _log.exception("a connection could not be looked at")
        return True

    async def _run(self) -> None:
        pause = _ROUND_SECONDS
        while True:
            await asyncio.sleep(pause)
            pause = max(_ROUND_SECONDS, await self._round() / _SHARE)

    async def _round(self) -> float:
        """Look at every connection; return the seconds that it took."""
        spent, looks, acts = 0.0, 0, 0
        began = monotonic()
        connections = tuple(self._connections())
        for connection in connections:
            acts += self.look_at(connection, began)
            looks += 1
            if looks >= _AT_ONCE or acts >= _ACTS_AT_ONCE:
                spent += monotonic() - began
                await asyncio.sleep(0)
                looks, acts, began = 0, 0, monotonic()
        self.crowded = sum(each.watch.phase is Phase.BODY for each in connections) > _MANY_BODIES
        return spent + monotonic() - began
