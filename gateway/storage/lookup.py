"""One statement for all that is looked up at the same time.

A query by itself costs more around it (a connection's lease, a round trip, a switch to the server and back) than in it.
While one is on its way, who comes later waits for the next: nobody is answered by a query that began before they asked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import asyncpg

from gateway.errors import StorageUnavailable
from gateway.storage.database import Executor

# In one statement: more would keep the first of them waiting.
_MOST: Final = 100

_Asked = tuple[tuple[object, ...], "asyncio.Future[asyncpg.Record | None]"]


class Lookup:
    """Finds at most one row for each key.

    ``sql`` takes one array for each part of a key, and returns rows with a column ``place``: the key's, from 1.
    """

    def __init__(self, database: Executor, sql: str) -> None:
        self._database = database
        self._sql = sql
        self._waiting: list[_Asked] = []
        self._running: asyncio.Task[None] | None = None

    async def find(self, *key: object) -> asyncpg.Record | None:
        """Return the row for ``key``, or None. Raises StorageError."""
        answer: asyncio.Future[asyncpg.Record | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, answer))
        if self._running is None:
            # A task of its own: the one who asked first may be gone before the others have their answer.
            self._running = asyncio.create_task(self._run(), name="lookup")
        return await answer

    async def _run(self) -> None:
        batch: Sequence[_Asked] = ()
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_MOST], self._waiting[_MOST:]
                await self._answer([asked for asked in batch if not asked[1].done()])
        finally:
            # Only a loop that ends cancels this. Whoever still waits must not wait for ever.
            self._running = None
            left, self._waiting = [*batch, *self._waiting], []
            for _, answer in left:
                if not answer.done():
                    answer.set_exception(StorageUnavailable("the lookup was given up"))

    async def _answer(self, batch: Sequence[_Asked]) -> None:
        if not batch:
            return
        columns = map(list, zip(*(key for key, _ in batch), strict=True))
        try:
            rows = await self._database.fetch(self._sql, *columns)
        except Exception as error:  # theirs who asked: each is told
            for _, answer in batch:
                if not answer.done():
                    answer.set_exception(error)
            return
        found = {row["place"]: row for row in rows}
        for place, (_, answer) in enumerate(batch, 1):
            if not answer.done():
                answer.set_result(found.get(place))
