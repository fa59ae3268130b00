"""The pool of connections, and the four ways to run a statement.

Every wait is bounded: a caller gets its answer or `StorageUnavailable` within seconds, never a hang.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any, Protocol

import asyncpg

from gateway.storage.failures import translated

ACQUIRE_TIMEOUT_SECONDS = 2.0
COMMAND_TIMEOUT_SECONDS = 5.0
CLOSE_TIMEOUT_SECONDS = 3.0


class Executor(Protocol):
    """What runs statements: the `Database` itself, or one `Connection` inside a transaction."""

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Return every row."""
        ...

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        """Return the first row, or None."""
        ...

    async def fetchval(self, sql: str, *args: object) -> Any:
        """Return the first column of the first row, or None."""
        ...

    async def execute(self, sql: str, *args: object) -> int:
        """Run one statement and return how many rows it changed (0 for DDL)."""
        ...


class Connection:
    """One connection, leased from the pool for a transaction."""

    def __init__(self, raw: asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]) -> None:
        self._raw = raw

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        with translated():
            return await self._raw.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        with translated():
            return await self._raw.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: object) -> Any:
        with translated():
            return await self._raw.fetchval(sql, *args)

    async def execute(self, sql: str, *args: object) -> int:
        with translated():
            return affected_rows(await self._raw.execute(sql, *args))


class Database:
    """A pool of connections to one PostgreSQL database."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self._pool = pool

    @classmethod
    async def connect(cls, dsn_args: Mapping[str, Any], *, pool_size: int = 4) -> Database:
        """Open the pool with one connection in it; ``dsn_args`` are arguments of `asyncpg.connect`.

        Raises `StorageUnavailable`, or `StorageError` where the server refuses for good.
        """
        bounds = {"timeout": ACQUIRE_TIMEOUT_SECONDS, "command_timeout": COMMAND_TIMEOUT_SECONDS}
        with translated():
            pool = await asyncpg.create_pool(
                min_size=1, max_size=pool_size, reset=_keep_session, **{**bounds, **dsn_args}
            )
        return cls(pool)

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        async with self._lease() as connection:
            return await connection.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: object) -> asyncpg.Record | None:
        async with self._lease() as connection:
            return await connection.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: object) -> Any:
        async with self._lease() as connection:
            return await connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: object) -> int:
        async with self._lease() as connection:
            return await connection.execute(sql, *args)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """Commit when the block ends, roll back when it raises; its own exceptions pass unchanged."""
        async with self._lease() as connection:
            transaction = connection._raw.transaction()  # noqa: SLF001 - the two classes are one module's
            with translated():
                await transaction.start()
            try:
                yield connection
            except BaseException:
                # What went wrong first is what the caller must see; a connection that cannot roll back
                # is broken, and the pool discards it.
                with suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
                    await transaction.rollback()
                raise
            with translated():
                await transaction.commit()

    @property
    def connections(self) -> tuple[int, int]:
        """Return (open, idle) connections, for metrics."""
        return self._pool.get_size(), self._pool.get_idle_size()

    async def close(self) -> None:
        """Return the connections to the server; those that do not answer are cut."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_SECONDS):
                await self._pool.close()
        except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._pool.terminate()

    @asynccontextmanager
    async def _lease(self) -> AsyncIterator[Connection]:
        with translated():
            raw = await self._pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)
        try:
            yield Connection(raw)
        except BaseException as error:
            # After a timeout or a cancellation a statement may still be running there: asyncpg would wait for
            # its end before giving the connection back, longer than any caller was promised.
            if isinstance(error, asyncio.CancelledError) or isinstance(error.__cause__, TimeoutError):
                raw.terminate()
            raise
        finally:
            with translated():
                await self._pool.release(raw, timeout=ACQUIRE_TIMEOUT_SECONDS)


async def _keep_session(_: object) -> None:
    """Leave out asyncpg's RESET ALL, a round trip a statement: nothing here sets anything for a session."""


def affected_rows(status: str) -> int:
    """Return the count in a command tag such as ``UPDATE 3`` or ``INSERT 0 1``; 0 for a tag without one."""
    last = status.rpartition(" ")[2]
    return int(last) if last.isdigit() else 0
