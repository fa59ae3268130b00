"""From the configuration to an open database: the embedded one or that of ``database.url``.

Everything that can be wrong at this point is told in one line that says what to do, before anything changes.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import asyncpg

from gateway.config.settings import Settings
from gateway.errors import StartupError, StorageUnavailable
from gateway.storage import migrations
from gateway.storage.address import described, url_args
from gateway.storage.database import Database
from gateway.storage.embedded import EmbeddedPostgres

_CONNECT_SECONDS = 5.0
_STARTING_UP_SECONDS = 10.0
_CHECK_SECONDS = 10.0
_MIGRATION_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class OpenDatabase:
    """The pool, and the arguments for a connection beside it (the event feed's own)."""

    database: Database
    dsn_args: dict[str, Any] = field(repr=False)
    embedded: EmbeddedPostgres | None = None


@asynccontextmanager
async def open_database(settings: Settings, *, migrate: bool) -> AsyncIterator[OpenDatabase]:
    """Open the configured database; with ``migrate`` bring its schema up to date first.

    Without it, an external schema must be current already. Raises `StartupError` or `MigrationError`.
    """
    async with reach_database(settings) as (dsn_args, embedded):
        # A fresh embedded database that this process runs has nobody else to migrate it.
        await _settle_schema(dsn_args, migrate=migrate or (embedded is not None and embedded.owned))
        database = await Database.connect(dsn_args, pool_size=settings.database.pool_size)
        try:
            yield OpenDatabase(database, dsn_args, embedded)
        finally:
            await database.close()


@asynccontextmanager
async def reach_database(
    settings: Settings,
) -> AsyncIterator[tuple[dict[str, Any], EmbeddedPostgres | None]]:
    """Give the arguments that connect to the configured database; the embedded one runs meanwhile."""
    if settings.database.url is not None:
        yield url_args(settings.database.url.get_secret_value()), None
        return
    embedded = EmbeddedPostgres(settings.data_dir)
    await embedded.start()
    try:
        yield embedded.connect_args(), embedded
    finally:
        await embedded.stop()


@asynccontextmanager
async def first_connection(dsn_args: dict[str, Any]) -> AsyncIterator[asyncpg.Connection]:
    """Open one connection outside any pool; raises `StartupError` with one line for whatever prevents it."""
    connection = await _connect(dsn_args)
    try:
        yield connection
    except (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
        raise StorageUnavailable(f"the connection to PostgreSQL {described(dsn_args)} broke") from error
    except asyncpg.InsufficientPrivilegeError as error:
        raise StartupError(
            f"PostgreSQL {described(dsn_args)}: the user of database.url may not do this:"
            f" {_first_line(error)}; make it the owner of the database"
        ) from error
    finally:
        await _close(connection)


async def _settle_schema(dsn_args: dict[str, Any], *, migrate: bool) -> None:
    async with first_connection(dsn_args) as connection:
        if migrate:
            await migrations.migrate(connection)
        else:
            await migrations.require_current(connection)


async def _connect(dsn_args: dict[str, Any]) -> asyncpg.Connection:
    deadline = asyncio.get_running_loop().time() + _STARTING_UP_SECONDS
    args = {"timeout": _CONNECT_SECONDS, **dsn_args, "command_timeout": _MIGRATION_SECONDS}
    while True:
        try:
            return await asyncpg.connect(**args)
        except asyncpg.CannotConnectNowError as error:  # it is starting up, or shutting down
            if asyncio.get_running_loop().time() > deadline:
                raise StartupError(f"PostgreSQL {described(dsn_args)} does not become ready") from error
            await asyncio.sleep(0.2)
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, ValueError, TimeoutError) as error:
            raise StartupError(_explained(error, described(dsn_args))) from error


def _explained(error: Exception, where: str) -> str:
    """Say in one line what stands between us and the database; no cause quotes the password."""
    match error:
        case asyncpg.InvalidPasswordError() | asyncpg.InvalidAuthorizationSpecificationError():
            trouble = f"refuses the user or password: {_first_line(error)}; check database.url"
        case asyncpg.InvalidCatalogNameError():
            trouble = f"answers: {_first_line(error)}; create it, or check database.url"
        case asyncpg.TooManyConnectionsError():
            trouble = "has no connection left: raise max_connections or lower database.pool_size"
        case asyncpg.PostgresError():
            trouble = f"refuses the connection: {_first_line(error)}"
        case TimeoutError():
            trouble = f"does not answer within {_CONNECT_SECONDS:.0f} s: check database.url"
        case ssl.SSLError():
            trouble = f"cannot be spoken to by TLS ({error.reason}): check sslmode in database.url"
        case OSError():
            trouble = f"cannot be reached: {_reason(error)}; start it, or check database.url"
        case _:  # what asyncpg says about a URL may quote it
            trouble = f"cannot be addressed ({type(error).__name__}): check database.url"
    return f"PostgreSQL {where} {trouble}"


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]


def _reason(error: OSError) -> str:
    # asyncio joins the failures of several addresses into one message.
    return error.strerror or _first_line(error) or type(error).__name__


async def _close(connection: asyncpg.Connection) -> None:
    try:
        await connection.close(timeout=_CHECK_SECONDS)
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError):
        connection.terminate()
