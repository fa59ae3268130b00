"""Forward-only schema changes: all that are pending run in one transaction, or none does.

The lock belongs to that transaction, so that it works through PgBouncer and cannot outlive its holder.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeAlias

import asyncpg

from gateway.errors import MigrationError, StartupError, StorageUnavailable
from gateway.storage.statements import sql_directory

MINIMUM_SERVER_VERSION = 150000
LOCK_KEY = 0x67617465776179  # "gateway": any number that is ours alone
LOCK_TIMEOUT = "60s"

_FILE_NAME = re.compile(r"^(?P<version>\d{4})_(?P<name>[a-z0-9_]+)\.sql$")
_TABLE = """
create table if not exists schema_migration (
    version integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
)
"""
_APPLIED = "select version, name, checksum, applied_at from schema_migration order by version"
_RECORD = "insert into schema_migration (version, name, checksum) values ($1, $2, $3)"

# Generic in the stubs alone.
RawConnection: TypeAlias = "asyncpg.Connection[Any] | asyncpg.pool.PoolConnectionProxy[Any]"


@dataclass(frozen=True, slots=True)
class Migration:
    """One file of ``sql/migrations``; the checksum is the SHA-256 of its text."""

    version: int
    name: str
    sql: str
    checksum: str


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """Where one migration stands.

    ``edited``: its file changed after it ran; ``unknown``: it ran, and this program does not carry it.
    """

    version: int
    name: str
    state: Literal["applied", "pending", "edited", "unknown"]
    applied_at: datetime | None = None


def read_migrations(directory: Path) -> list[Migration]:
    """Return the migrations of a directory in order; versions count from 1 without gaps."""
    found: list[Migration] = []
    for path in sorted(directory.glob("*.sql")):
        match = _FILE_NAME.match(path.name)
        if match is None or int(match["version"]) != len(found) + 1:
            raise MigrationError(f"{path.name} is not migration {len(found) + 1:04d}_<name>.sql")
        sql = path.read_text(encoding="utf-8")
        checksum = hashlib.sha256(sql.encode()).hexdigest()
        found.append(Migration(len(found) + 1, match["name"], sql, checksum))
    return found


@cache
def shipped_migrations() -> tuple[Migration, ...]:
    """Return the migrations that this program carries."""
    return tuple(read_migrations(sql_directory() / "migrations"))


async def migrate(connection: RawConnection, migrations: Sequence[Migration] | None = None) -> list[Migration]:
    """Bring the schema up to date and return what was applied; processes that start together take turns.

    Raises `StartupError` for a server that is too old, `MigrationError` for an edited or newer schema or a
    migration that PostgreSQL refuses, `StorageUnavailable` when another process holds the lock too long.
    """
    known = shipped_migrations() if migrations is None else migrations
    await check_server_version(connection)
    async with connection.transaction():
        await _lock(connection)
        await connection.execute(_TABLE)
        applied = await connection.fetch(_APPLIED)
        require_known(known, applied)
        pending = list(known[len(applied) :])
        for migration in pending:
            await _apply(connection, migration)
    return pending


async def status(connection: RawConnection, migrations: Sequence[Migration] | None = None) -> list[MigrationStatus]:
    """Compare the database with the program; changes nothing."""
    known = shipped_migrations() if migrations is None else migrations
    applied = {row["version"]: row for row in await _applied(connection)}
    found = []
    for migration in known:
        row = applied.pop(migration.version, None)
        if row is None:
            found.append(MigrationStatus(migration.version, migration.name, "pending"))
            continue
        state: Literal["applied", "edited"] = "applied" if row["checksum"] == migration.checksum else "edited"
        found.append(MigrationStatus(migration.version, migration.name, state, row["applied_at"]))
    found += [MigrationStatus(r["version"], r["name"], "unknown", r["applied_at"]) for r in applied.values()]
    return found


async def require_current(connection: RawConnection) -> None:
    """Raise `MigrationError` unless the schema is exactly what this program expects."""
    await check_server_version(connection)
    applied = await _applied(connection)
    require_known(shipped_migrations(), applied)
    missing = len(shipped_migrations()) - len(applied)
    if missing:
        raise MigrationError(f"the database lacks {missing} migration(s): run `gateway db migrate`")


def require_known(known: Sequence[Migration], applied: Sequence[Any]) -> None:
    """Raise `MigrationError` unless what was applied is a prefix of what this program knows."""
    for row, migration in zip(applied, known, strict=False):
        label = f"{migration.version:04d}_{migration.name}"
        if row["version"] != migration.version:
            raise MigrationError(f"the database has no record of migration {label} but of later ones")
        if row["checksum"] != migration.checksum:
            raise MigrationError(
                f"migration {label} was edited after it ran on this database:"
                " restore the file and put the change into a new migration"
            )
    if len(applied) > len(known):
        newest = applied[-1]
        raise MigrationError(
            f"the database has migration {newest['version']:04d}_{newest['name']} of a newer gateway:"
            " upgrade this one, or restore a backup"
        )


async def check_server_version(connection: RawConnection) -> None:
    """Raise `StartupError` for a PostgreSQL that is too old."""
    number = int(await connection.fetchval("select current_setting('server_version_num')"))
    if number < MINIMUM_SERVER_VERSION:
        found, wanted = number // 10000, MINIMUM_SERVER_VERSION // 10000
        raise StartupError(f"PostgreSQL {found} is too old: the gateway needs version {wanted} or newer")


async def _lock(connection: RawConnection) -> None:
    # A crashed holder's transaction ends with its connection, so that a long wait means a living one.
    await connection.execute(f"set local lock_timeout = '{LOCK_TIMEOUT}'")
    try:
        await connection.execute("select pg_advisory_xact_lock($1)", LOCK_KEY)
    except asyncpg.LockNotAvailableError as error:
        raise StorageUnavailable("another process has been migrating the database for a minute") from error


async def _applied(connection: RawConnection) -> list[asyncpg.Record]:
    if await connection.fetchval("select to_regclass('schema_migration')") is None:
        return []
    return await connection.fetch(_APPLIED)


async def _apply(connection: RawConnection, migration: Migration) -> None:
    try:
        await connection.execute(migration.sql)
        await connection.execute(_RECORD, migration.version, migration.name, migration.checksum)
    except asyncpg.PostgresError as error:
        label = f"{migration.version:04d}_{migration.name}"
        message = str(error).partition("\n")[0]
        raise MigrationError(f"migration {label} failed, nothing was changed: {message}") from error
