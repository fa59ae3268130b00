"""``gateway keys``: list, rotate, retire."""

from __future__ import annotations

from typing import Any

import click

from gateway.accounts.accounts import Accounts
from gateway.cli.context import config_option, output_option, settings_from
from gateway.cli.output import emit, run
from gateway.cli.workshop import workshop


@click.group("keys")
def command() -> None:
    """Manage the keys that sign tokens."""


@command.command("list")
@config_option
@output_option
@click.pass_context
def list_(context: click.Context, output: str) -> None:
    """List the signing keys."""
    settings = settings_from(context)

    async def work() -> list[dict[str, Any]]:
        async with workshop(settings) as accounts:
            await accounts.keys.load()
            return _rows(accounts)

    emit(run(work()), output, empty="no keys yet; `gateway serve` makes them")


@command.command("rotate")
@config_option
@output_option
@click.pass_context
def rotate(context: click.Context, output: str) -> None:
    """Sign with the next key from now on. Tokens of the old one stay good until they expire."""
    settings = settings_from(context)

    async def work() -> list[dict[str, Any]]:
        async with workshop(settings) as accounts:
            await accounts.keys.rotate()
            return _rows(accounts)

    emit(run(work()), output)


@command.command("retire")
@click.argument("kid")
@config_option
@click.pass_context
def retire(context: click.Context, kid: str) -> None:
    """Refuse what a key signed, from now on: for a key that has leaked. Rotate it out first."""
    settings = settings_from(context)

    async def work() -> None:
        async with workshop(settings) as accounts:
            await accounts.keys.retire(kid)

    run(work())
    click.echo(f"key {kid} is gone; what it signed is refused")


def _rows(accounts: Accounts) -> list[dict[str, Any]]:
    return [
        {
            "kid": key.kid,
            "algorithm": key.algorithm,
            "state": key.state,
            "created_at": key.created_at,
            "activated_at": key.activated_at,
            "retired_at": key.retired_at,
        }
        for key in accounts.keys.list()
    ]
