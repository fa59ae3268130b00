"""Migrations run once, in order, whole or not at all, and an unexpected schema is told apart."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.errors import MigrationError, StartupError, StorageUnavailable
from gateway.storage import migrations as migrations_module
from gateway.storage.migrations import (
    Migration,
    migrate,
    read_migrations,
    require_current,
    shipped_migrations,
    status,
)


def migration(version: int, sql: str, name: str = "change") -> Migration:
    return Migration(version, name, sql, hashlib.sha256(sql.encode()).hexdigest())


FIRST = migration(1, "create table a (id int); create table b (id int)")
SECOND = migration(2, "alter table a add column name text")
BROKEN = migration(2, "alter table a add column name text; alter table nowhere add column x int")


@pytest.fixture
async def empty(empty_database: dict[str, Any]) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(**empty_database)
    yield connection
    await connection.close()


async def test_pending_migrations_run_once_and_in_order(empty: asyncpg.Connection) -> None:
    assert await migrate(empty, [FIRST]) == [FIRST]
    assert await migrate(empty, [FIRST]) == []
    assert await migrate(empty, [FIRST, SECOND]) == [SECOND]
    await empty.fetch("select id, name from a")


async def test_those_shipped_apply_to_an_empty_database_and_are_then_current(empty: asyncpg.Connection) -> None:
    with pytest.raises(MigrationError, match="gateway db migrate"):
        await require_current(empty)
    assert await migrate(empty) == list(shipped_migrations())
    await require_current(empty)


async def test_a_migration_that_fails_leaves_nothing_of_its_run(empty: asyncpg.Connection) -> None:
    with pytest.raises(MigrationError, match="0002_change failed, nothing was changed: relation") as caught:
        await migrate(empty, [FIRST, BROKEN])
    assert "\n" not in str(caught.value)
    assert await empty.fetchval("select to_regclass('a')") is None
    assert [one.state for one in await status(empty, [FIRST])] == ["pending"]


async def test_a_migration_edited_after_it_ran_is_refused(empty: asyncpg.Connection) -> None:
    await migrate(empty, [FIRST])
    edited = migration(1, FIRST.sql + " -- edited")
    with pytest.raises(MigrationError, match="0001_change was edited after it ran"):
        await migrate(empty, [edited, SECOND])
    assert [one.state for one in await status(empty, [edited, SECOND])] == ["edited", "pending"]


async def test_a_schema_of_a_newer_program_is_refused(empty: asyncpg.Connection) -> None:
    await migrate(empty, [FIRST, SECOND])
    with pytest.raises(MigrationError, match="0002_change of a newer gateway"):
        await migrate(empty, [FIRST])
    assert [one.state for one in await status(empty, [FIRST])] == ["applied", "unknown"]


async def test_processes_that_start_together_take_turns(empty_database: dict[str, Any]) -> None:
    connections = [await asyncpg.connect(**empty_database) for _ in range(5)]
    applied = await asyncio.gather(*(migrate(connection, [FIRST, SECOND]) for connection in connections))
    assert sorted(len(one) for one in applied) == [0, 0, 0, 0, 2]
    await asyncio.gather(*(connection.close() for connection in connections))


async def test_waiting_for_another_process_is_bounded(
    empty: asyncpg.Connection, empty_database: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations_module, "LOCK_TIMEOUT", "50ms")
    other = await asyncpg.connect(**empty_database)
    async with other.transaction():
        await other.execute("select pg_advisory_xact_lock($1)", migrations_module.LOCK_KEY)
        with pytest.raises(StorageUnavailable, match="another process"):
            await migrate(empty, [FIRST])
    await other.close()
    assert await migrate(empty, [FIRST]) == [FIRST]


async def test_a_server_that_is_too_old_is_refused_before_anything_changes(
    empty: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migrations_module, "MINIMUM_SERVER_VERSION", 990000)
    with pytest.raises(StartupError, match=r"PostgreSQL \d+ is too old: the gateway needs version 99"):
        await migrate(empty, [FIRST])
    assert await empty.fetchval("select to_regclass('schema_migration')") is None


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["0002_later.sql"], id="does not begin at one"),
        pytest.param(["0001_a.sql", "0003_c.sql"], id="a gap"),
        pytest.param(["0001_a.sql", "0001_b.sql"], id="one number twice"),
        pytest.param(["first.sql"], id="no number"),
    ],
)
def test_files_that_are_not_numbered_in_a_row_are_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("select 1")
    with pytest.raises(MigrationError):
        read_migrations(tmp_path)
