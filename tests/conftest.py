"""Fixtures for every package: one PostgreSQL a run, a fresh database a test, a clock to move."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
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


@dataclass(frozen=True)
class PostgresServer:
    """The run's server. ``connect_args(name)`` are arguments of `asyncpg.connect`."""

    embedded: EmbeddedPostgres

    def connect_args(self, database: str = "postgres") -> dict[str, Any]:
        return self.embedded.connect_args(database)

    async def execute(self, sql: str) -> None:
        connection = await asyncpg.connect(**self.connect_args())
        try:
            await connection.execute(sql)
        finally:
            await connection.close()


async def _start(embedded: EmbeddedPostgres) -> PostgresServer:
    await embedded.start()
    server = PostgresServer(embedded)
    await server.execute(f"create database {TEMPLATE}")
    connection = await asyncpg.connect(**server.connect_args(TEMPLATE))
    try:
        await migrate(connection)
    finally:
        await connection.close()
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
    """Make a fresh, migrated database and give the arguments that connect to it."""
    name = f"test_{next(_numbers)}"
    await postgres.execute(f"create database {name} template {TEMPLATE}")
    yield postgres.connect_args(name)
    await postgres.execute(f"drop database {name} with (force)")


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
