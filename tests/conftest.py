"""Fixtures for every package: one PostgreSQL a run, a clean database a test, a clock to move."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from gateway.config.load import load_settings
from gateway.config.settings import Settings
from gateway.storage.database import Database
from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.migrations import migrate
from tests.fake_clock import FakeClock

pytest_plugins = ("tests.no_skips",)

TEMPLATE = "migrated"
_numbers = itertools.count(1)


# Whatever a test has left open ends, and what it has written is gone: a new database would cost ten times as much.
_CLEAN = """
    select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and pid <> pg_backend_pid() and backend_type = 'client backend';
    set session_replication_role = replica;
    {deletes};
    select setval(format('%I', sequencename)::regclass, 1, false) from pg_sequences where schemaname = 'public'
"""
_TABLES = (
    "select format('%I', tablename) from pg_tables where schemaname = 'public' and tablename <> 'schema_migration'"
)
_SHAPE = """
    select md5(string_agg(concat_ws(' ', attrelid::regclass, attname, atttypid), ',' order by attrelid, attnum))
    from pg_attribute where attrelid >= 16384
"""


@dataclass(frozen=True)
class Migrated:
    """A migrated database that tests have one after another. ``clean`` makes it as good as new."""

    name: str
    shape: str
    clean: str

    @classmethod
    async def make(cls, server: PostgresServer) -> Migrated:
        name = f"test_{next(_numbers)}"
        # The files of the template are copied: half the time of writing them anew.
        await server.execute(f"create database {name} template {TEMPLATE} strategy file_copy")
        async with server.connected(name) as connection:
            tables = [row[0] for row in await connection.fetch(_TABLES)]
            deletes = "; ".join(f"delete from {table}" for table in tables)
            return cls(name, await connection.fetchval(_SHAPE), _CLEAN.format(deletes=deletes))

    async def cleaned(self, server: PostgresServer) -> Migrated:
        """Return a database as good as new: this one, unless a test has changed its tables."""
        async with server.connected(self.name) as connection:
            if await connection.fetchval(_SHAPE) == self.shape:
                await connection.execute(self.clean)
                return self
        await server.execute(f"drop database {self.name} with (force)")
        return await Migrated.make(server)


@dataclass
class PostgresServer:
    """The run's server. ``connect_args(name)`` are arguments of `asyncpg.connect`."""

    embedded: EmbeddedPostgres
    migrated: list[Migrated] = field(default_factory=list)

    def connect_args(self, database: str = "postgres") -> dict[str, Any]:
        return self.embedded.connect_args(database)

    @asynccontextmanager
    async def connected(self, database: str = "postgres") -> AsyncIterator[asyncpg.Connection]:
        connection = await asyncpg.connect(**self.connect_args(database))
        try:
            yield connection
        finally:
            await connection.close()

    async def execute(self, sql: str) -> None:
        async with self.connected() as connection:
            await connection.execute(sql)


async def _start(embedded: EmbeddedPostgres) -> PostgresServer:
    await embedded.start()
    server = PostgresServer(embedded)
    await server.execute(f"create database {TEMPLATE}")
    async with server.connected(TEMPLATE) as connection:
        await migrate(connection)
    return server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Run one embedded server for the whole session (for each xdist worker), on a loop of its own."""
    embedded = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), durable=False)
    with asyncio.Runner() as runner:
        yield runner.run(_start(embedded))
        runner.run(embedded.stop())


@pytest.fixture
async def empty_database(postgres: PostgresServer) -> AsyncIterator[dict[str, Any]]:
    """Make a fresh database without any table and give the arguments that connect to it."""
    name = f"empty_{next(_numbers)}"
    await postgres.execute(f"create database {name}")
    yield postgres.connect_args(name)
    await postgres.execute(f"drop database {name} with (force)")


@pytest.fixture
async def dsn_args(postgres: PostgresServer) -> AsyncIterator[dict[str, Any]]:
    """Give the arguments that connect to a migrated database without any row."""
    migrated = postgres.migrated.pop() if postgres.migrated else await Migrated.make(postgres)
    yield postgres.connect_args(migrated.name)
    postgres.migrated.append(await migrated.cleaned(postgres))


@pytest.fixture
async def database(dsn_args: dict[str, Any]) -> AsyncIterator[Database]:
    """Open a pool on a fresh, migrated database."""
    opened = await Database.connect(dsn_args, pool_size=4)
    yield opened
    await opened.close()


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[..., Settings]:
    """Give settings from YAML (without its version line) and variables of the environment."""

    def read(yaml: str = "", **environ: str) -> Settings:
        path = tmp_path / "gateway.yaml"
        path.write_text(f"version: 1\n{yaml}", encoding="utf-8")
        return load_settings(path, environ).settings

    return read


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
