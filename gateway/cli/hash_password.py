"""``gateway hash-password``."""

from __future__ import annotations

import click

from gateway.accounts.passwords.hasher import PasswordHasher
from gateway.cli.context import config_option, settings_from
from gateway.cli.output import run
from gateway.cli.passwords import read_password
from gateway.config.secrets import secret_key
from gateway.tokens.master_key import MasterKey


@click.command("hash-password")
@config_option
@click.pass_context
def command(context: click.Context) -> None:
    """Read a password from standard input and print what the database would store for it."""
    settings = settings_from(context)
    password = read_password(from_stdin=False)
    hasher = PasswordHasher(settings.passwords, MasterKey(secret_key(settings)))
    try:
        click.echo(run(hasher.hash(password)))
    finally:
        hasher.close()
