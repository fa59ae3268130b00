"""What is done now and then: expired rows are deleted in batches, signing keys rotate by schedule."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from gateway.errors import GatewayError

_INTERVAL_SECONDS: Final = 60.0
# Small batches hold no locks for long; what strangers can have stored must still go faster than it comes.
_FULL_BATCH: Final = 500
_MOST_BATCHES: Final = 200
_log = logging.getLogger(__name__)

Chore = Callable[[], Awaitable[object]]


class Housekeeping:
    """Runs chores each minute, one after the other; one that fails is tried again at the next."""

    def __init__(self, chores: Sequence[Chore]) -> None:
        self._chores = chores
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="housekeeping")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def once(self) -> None:
        """Do every chore: once, or again while there is more than one of its batches holds."""
        for chore in self._chores:
            try:
                for _ in range(_MOST_BATCHES):
                    done = await chore()
                    if not isinstance(done, int) or done < _FULL_BATCH:
                        break
            except GatewayError as error:
                _log.warning("housekeeping: %s", error)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL_SECONDS)
            await self.once()
