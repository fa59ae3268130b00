"""``gateway user import``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from gateway.cli.context import config_option, settings_from
from gateway.cli.output import run
from gateway.cli.workshop import workshop


@click.command("import")
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--format", "kind", type=click.Choice(["htpasswd", "csv", "django"]), required=True, help="What FILE is.")
@click.option("--email-domain", default="", help="Accounts without an address get NAME@DOMAIN.")
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@config_option
@click.pass_context
def command(context: click.Context, file: Path, kind: str, email_domain: str, dry_run: bool) -> None:
    """Take accounts over from an htpasswd file, a CSV table, or what Django's dumpdata wrote.

    All of them or none: every line that is wrong is named. Hashes are kept, and made anew as people sign in.
    """
    from gateway.accounts.importing.formats import READERS
    from gateway.accounts.importing.importer import Imported

    settings = settings_from(context)
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{file} is not UTF-8") from error

    async def work() -> Imported:
        async with workshop(settings) as accounts:
            return await accounts.importer.take(READERS[kind](text, email_domain), dry_run=dry_run)

    imported = run(work())
    for trouble in imported.troubles:
        place = f"{file}:{trouble.line}" if trouble.line else str(file)
        click.echo(f"{place}: {trouble.message}", err=True)
    if imported.troubles:
        click.echo(f"{file}: nothing was imported", err=True)
        sys.exit(1)
    click.echo(f"{imported.count} accounts {'would be' if dry_run else 'were'} made")
