"""Statements run, failures are translated, and no wait is endless."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest

from gateway.errors import StorageError, StorageUnavailable, UniqueConflict
from gateway.storage import database as database_module
from gateway.storage.database import Database, affected_rows


async def test_the_four_methods(database: Database) -> None:
    assert await database.execute("create table word (id int primary key, text text not null)") == 0
    assert await database.execute("insert into word values (1, 'a'), (2, 'b')") == 2
    assert await database.fetchval("select text from word where id = $1", 2) == "b"
    assert await database.fetchrow("select text from word where id = $1", 9) is None
    assert [row["id"] for row in await database.fetch("select id from word order by id")] == [1, 2]
    assert await database.execute("delete from word where id > $1", 0) == 2


async def test_a_transaction_commits_or_leaves_nothing(database: Database) -> None:
    await database.execute("create table word (id int primary key)")
    with pytest.raises(StorageError):
        async with database.transaction() as connection:
            await connection.execute("insert into word values (1)")
            await connection.execute("insert into nowhere values (1)")
    assert await database.fetchval("select count(*) from word") == 0
    async with database.transaction() as connection:
        await connection.execute("insert into word values (1)")
    assert await database.fetchval("select count(*) from word") == 1


async def test_a_duplicate_names_its_constraint(database: Database) -> None:
    await database.execute("create table word (id int constraint word_once unique)")
    await database.execute("insert into word values (1)")
    with pytest.raises(UniqueConflict) as caught:
        await database.execute("insert into word values (1)")
    assert caught.value.constraint == "word_once"


async def test_a_duplicate_that_is_deferred_to_commit_is_a_conflict(database: Database) -> None:
    await database.execute("create table word (id int constraint word_once unique deferrable initially deferred)")
    with pytest.raises(UniqueConflict):
        async with database.transaction() as connection:
            await connection.execute("insert into word values (1), (1)")


@pytest.mark.parametrize(
    ("sql", "args"),
    [
        pytest.param("select nothing from nowhere", (), id="no such table"),
        pytest.param("select $1::text", ("nul\0byte",), id="NUL byte"),
        pytest.param("select $1::text", ("\ud800",), id="lone surrogate"),
        pytest.param("select $1::int", (1 << 40,), id="number too large"),
        pytest.param("select $1::uuid", ("not-a-uuid",), id="not a uuid"),
    ],
)
async def test_what_postgresql_refuses_is_not_an_outage(database: Database, sql: str, args: tuple[Any, ...]) -> None:
    with pytest.raises(StorageError) as caught:
        await database.fetchval(sql, *args)
    assert not isinstance(caught.value, StorageUnavailable)
    assert await database.fetchval("select 1") == 1


async def test_a_message_never_quotes_a_value(database: Database) -> None:
    with pytest.raises(StorageError) as caught:
        await database.fetchval("select 'hunter2'::int")
    assert "hunter2" not in str(caught.value)


async def test_a_slow_statement_ends_in_time_and_its_connection_is_replaced(dsn_args: dict[str, Any]) -> None:
    database = await Database.connect({**dsn_args, "command_timeout": 0.1}, pool_size=1)
    async with asyncio.timeout(3):
        with pytest.raises(StorageUnavailable):
            await database.execute("select pg_sleep(30)")
        with pytest.raises(StorageUnavailable):
            async with database.transaction() as connection:
                await connection.execute("select pg_sleep(30)")
        assert await database.fetchval("select 1") == 1
    await database.close()


async def test_a_server_that_hangs_does_not_hang_its_callers(dsn_args: dict[str, Any]) -> None:
    database = await Database.connect({**dsn_args, "command_timeout": 0.1}, pool_size=1)
    async with hanging(database), asyncio.timeout(1):
        with pytest.raises(StorageUnavailable):
            await database.fetchval("select 1")
        assert await database.fetchval("select 1") == 1
    await database.close()


async def test_a_cancelled_caller_does_not_wait_for_a_server_that_hangs(dsn_args: dict[str, Any]) -> None:
    database = await Database.connect(dsn_args, pool_size=1)
    async with hanging(database), asyncio.timeout(1):
        task = asyncio.create_task(database.fetchval("select 1"))
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await database.fetchval("select 1") == 1
    await database.close()


@asynccontextmanager
async def hanging(database: Database) -> AsyncIterator[None]:
    """Stop the process behind the pool's one connection for the while."""
    backend = await database.fetchval("select pg_backend_pid()")
    os.kill(backend, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(backend, signal.SIGCONT)


async def test_a_cancelled_statement_does_not_keep_its_connection(dsn_args: dict[str, Any]) -> None:
    database = await Database.connect(dsn_args, pool_size=1)
    task = asyncio.create_task(database.execute("select pg_sleep(30)"))
    await asyncio.sleep(0.1)
    task.cancel()
    async with asyncio.timeout(2):
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await database.fetchval("select 1") == 1
    await database.close()


async def test_an_exhausted_pool_is_an_outage_not_a_hang(
    dsn_args: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "ACQUIRE_TIMEOUT_SECONDS", 0.1)
    database = await Database.connect(dsn_args, pool_size=1)
    async with database.transaction():
        with pytest.raises(StorageUnavailable):
            await database.fetchval("select 1")
    assert await database.fetchval("select 1") == 1
    await database.close()


async def test_connections_cut_by_the_server_are_replaced(database: Database, dsn_args: dict[str, Any]) -> None:
    await asyncio.gather(*(database.fetchval("select pg_sleep(0.05)") for _ in range(4)))
    other = await asyncpg.connect(**dsn_args)
    await other.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and pid <> pg_backend_pid()"
    )
    await other.close()
    await asyncio.sleep(0.05)
    assert await database.fetchval("select 1") == 1


async def test_no_server_is_an_outage(dsn_args: dict[str, Any]) -> None:
    with pytest.raises(StorageUnavailable):
        await Database.connect({**dsn_args, "host": "/nonexistent"})


async def test_an_exception_of_the_caller_is_not_taken_for_an_outage(database: Database) -> None:
    with pytest.raises(TimeoutError):
        async with database.transaction():
            raise TimeoutError


@pytest.mark.parametrize(("status", "count"), [("UPDATE 3", 3), ("INSERT 0 1", 1), ("CREATE TABLE", 0), ("", 0)])
def test_affected_rows(status: str, count: int) -> None:
    assert affected_rows(status) == count
