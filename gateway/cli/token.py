"""``gateway token``: create, list, revoke."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

from gateway.accounts.api_tokens import KeptTo
from gateway.cli.context import config_option, output_option, settings_from
from gateway.cli.output import emit, run
from gateway.cli.workshop import named_user, workshop
from gateway.config.rules import compile_rules
from gateway.config.scalars import parse_duration


def _lifetime(_context: click.Context, _parameter: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.group("token")
def command() -> None:
    """Manage API tokens."""


@command.command("create")
@click.argument("user")
@click.option("--name", required=True, help="What the token is for.")
@click.option("--scope", "scopes", multiple=True, help="A scope; may be repeated.")
@click.option("--route", "routes", multiple=True, help="A route that it is kept to; may be repeated.")
@click.option("--host", "hosts", multiple=True, help="A host that it is kept to; may be repeated.")
@click.option("--expires", "lifetime", callback=_lifetime, help="How long it lives, such as 90d. Without: for ever.")
@config_option
@output_option
@click.pass_context
def create(
    context: click.Context,
    *,
    user: str,
    name: str,
    scopes: tuple[str, ...],
    routes: tuple[str, ...],
    hosts: tuple[str, ...],
    lifetime: timedelta | None,
    output: str,
) -> None:
    """Make a token and print it, this once."""
    settings = settings_from(context)
    known = {rule.name for rule in compile_rules(settings).rules}
    unknown = [route for route in routes if route not in known]
    if unknown:
        raise click.UsageError(f"there is no route {unknown[0]!r}: `gateway config show` lists them")
    kept_to = KeptTo(routes or None, hosts or None)

    async def work() -> dict[str, Any]:
        async with workshop(settings) as accounts:
            owner = await named_user(accounts, user)
            token, text = await accounts.api_tokens.create(owner.id, name, scopes, lifetime, kept_to)
            return {"user": owner.username, **token.document(), "token": text}

    made = run(work())
    if output == "json":
        emit(made, output)
        return
    click.echo(made["token"])
    click.echo("Keep it now: it is not shown again.", err=True)


@command.command("list")
@click.argument("user")
@config_option
@output_option
@click.pass_context
def list_(context: click.Context, user: str, output: str) -> None:
    """List a user's tokens, without their secrets."""
    settings = settings_from(context)

    async def work() -> list[dict[str, Any]]:
        async with workshop(settings) as accounts:
            owner = await named_user(accounts, user)
            return [token.document() for token in await accounts.api_tokens.list_for(owner.id)]

    emit(run(work()), output, empty=f"{user} has no tokens")


@command.command("revoke")
@click.argument("user")
@click.argument("token_id", metavar="ID")
@config_option
@click.pass_context
def revoke(context: click.Context, user: str, token_id: str) -> None:
    """End a token; it is refused from now on."""
    settings = settings_from(context)

    async def work() -> None:
        async with workshop(settings) as accounts:
            await accounts.api_tokens.revoke((await named_user(accounts, user)).id, token_id)

    run(work())
    click.echo(f"token {token_id} is revoked")
