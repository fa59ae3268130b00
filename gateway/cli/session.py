"""``gateway session``: list, revoke."""

from __future__ import annotations

from typing import Any

import click

from gateway.cli.context import config_option, output_option, settings_from
from gateway.cli.output import emit, run
from gateway.cli.workshop import named_user, workshop


@click.group("session")
def command() -> None:
    """Look at and end browser sessions."""


@command.command("list")
@click.argument("user")
@config_option
@output_option
@click.pass_context
def list_(context: click.Context, user: str, output: str) -> None:
    """List a user's sessions, the last seen first."""
    settings = settings_from(context)

    async def work() -> list[dict[str, Any]]:
        async with workshop(settings) as accounts:
            owner = await named_user(accounts, user)
            return [
                {
                    "id": session.id,
                    "host": session.host,
                    "address": session.address,
                    "browser": session.user_agent,
                    "seen_at": session.seen_at,
                    "expires_at": session.expires_at,
                }
                for session in await accounts.sessions.list_for(owner.id)
            ]

    emit(run(work()), output, empty=f"{user} has no sessions")


@command.command("revoke")
@click.argument("user")
@config_option
@output_option
@click.pass_context
def revoke(context: click.Context, user: str, output: str) -> None:
    """Sign a user out everywhere: sessions and refresh tokens end. API tokens stay."""
    settings = settings_from(context)

    async def work() -> dict[str, Any]:
        async with workshop(settings) as accounts:
            owner = await named_user(accounts, user)
            sessions = await accounts.sessions.revoke_account(owner.id)
            families = await accounts.refresh_tokens.revoke_account(owner.id, "revoked by an operator")
            return {"user": owner.username, "sessions": sessions, "refresh_token_families": families}

    emit(run(work()), output)
