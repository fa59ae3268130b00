"""``gateway db``: bring the schema up to date, and say where it stands."""

from __future__ import annotations

import click

from gateway.cli.context import config_option, output_option, settings_from
from gateway.cli.output import emit, run
from gateway.config.settings import Settings
from gateway.storage import migrations
from gateway.storage.connect import first_connection, reach_database


@click.group(name="db")
def command() -> None:
    """The database: its schema and its state."""


@command.command()
@config_option
@output_option
@click.pass_context
def migrate(context: click.Context, output: str) -> None:
    """Apply the migrations that are pending, all of them or none. `gateway serve` does it at its start."""
    applied = run(_migrate(settings_from(context)))
    rows = [{"version": migration.version, "name": migration.name} for migration in applied]
    emit(rows, output, empty="the database is up to date")


@command.command()
@config_option
@output_option
@click.pass_context
def status(context: click.Context, output: str) -> int:
    """List the migrations and their state; exit 1 unless every one is applied and unchanged."""
    found = run(_status(settings_from(context)))
    rows = [
        {"version": one.version, "name": one.name, "state": one.state, "applied_at": one.applied_at} for one in found
    ]
    emit(rows, output)
    return 0 if all(one.state == "applied" for one in found) else 1


async def _migrate(settings: Settings) -> list[migrations.Migration]:
    async with reach_database(settings) as (dsn_args, _), first_connection(dsn_args) as connection:
        return await migrations.migrate(connection)


async def _status(settings: Settings) -> list[migrations.MigrationStatus]:
    async with reach_database(settings) as (dsn_args, _), first_connection(dsn_args) as connection:
        await migrations.check_server_version(connection)
        return await migrations.status(connection)
