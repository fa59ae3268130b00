"""``gateway user``: add, list, show, disable, enable, delete, set-password, set-roles."""

from __future__ import annotations

from typing import Any

import click

from gateway.accounts.changes import Changes
from gateway.accounts.recovery.invitations import Invitation
from gateway.accounts.user import User
from gateway.cli.context import config_option, output_option, settings_from
from gateway.cli.output import emit, run
from gateway.cli.passwords import read_password
from gateway.cli.user_import import command as import_command
from gateway.cli.workshop import named_user, workshop
from gateway.config.settings import Settings


@click.group("user")
def command() -> None:
    """Manage the people who sign in."""


command.add_command(import_command)


@command.command("add")
@click.argument("name")
@click.option("--email", required=True, help="The address to reach them at; it signs in, too.")
@click.option("--role", "roles", multiple=True, help="A role, such as admin; may be repeated.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--no-password", is_flag=True, help="Make an account that cannot sign in by password.")
@config_option
@output_option
@click.pass_context
def add(
    context: click.Context,
    name: str,
    email: str,
    roles: tuple[str, ...],
    password_stdin: bool,
    no_password: bool,
    output: str,
) -> None:
    """Add a user. Without --role they get the roles of registration.default_roles."""
    settings = settings_from(context)
    password = None if no_password else read_password(from_stdin=password_stdin)

    async def work() -> User:
        async with workshop(settings) as accounts:
            return await accounts.users.create(name, email, password, roles=roles or None, is_verified=True)

    emit(_shown(run(work()), output), output)


@command.command("list")
@click.option("--search", default="", help="A part of a username or e-mail address.")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1, 100_000))
@config_option
@output_option
@click.pass_context
def list_(context: click.Context, search: str, limit: int, output: str) -> None:
    """List users by name."""
    settings = settings_from(context)

    async def work() -> list[dict[str, Any]]:
        async with workshop(settings) as accounts:
            page = await accounts.users.page(limit=limit, search=search)
            return [_shown(user, output) for user in page.items]

    emit(run(work()), output, empty="no users; add one with: gateway user add NAME --email ADDRESS")


@command.command("show")
@click.argument("name")
@config_option
@output_option
@click.pass_context
def show(context: click.Context, name: str, output: str) -> None:
    """Show one user."""
    settings = settings_from(context)

    async def work() -> User:
        async with workshop(settings) as accounts:
            return await named_user(accounts, name)

    emit(_shown(run(work()), output), output)


@command.command("disable")
@click.argument("name")
@config_option
@click.pass_context
def disable(context: click.Context, name: str) -> None:
    """Lock a user out now: sessions and tokens end, and no sign-in works."""
    _change(settings_from(context), name, Changes(is_active=False))
    click.echo(f"{name} is disabled; their sessions and tokens have ended")


@command.command("enable")
@click.argument("name")
@config_option
@click.pass_context
def enable(context: click.Context, name: str) -> None:
    """Let a disabled user sign in again."""
    _change(settings_from(context), name, Changes(is_active=True))
    click.echo(f"{name} may sign in")


@command.command("delete")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@click.pass_context
def delete(context: click.Context, name: str, yes: bool) -> None:
    """Delete a user with all their sessions and tokens."""
    settings = settings_from(context)
    if not yes:
        click.confirm(f"Delete {name} for good?", abort=True, err=True)

    async def work() -> None:
        async with workshop(settings) as accounts:
            await accounts.users.delete((await named_user(accounts, name)).id, keep_an_admin=False)

    run(work())
    click.echo(f"{name} is deleted")


@command.command("set-password")
@click.argument("name")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@config_option
@click.pass_context
def set_password(context: click.Context, name: str, password_stdin: bool) -> None:
    """Set a password; the user's sessions and tokens end."""
    settings = settings_from(context)
    _change(settings, name, Changes(password=read_password(from_stdin=password_stdin)))
    click.echo(f"the password of {name} is set; their sessions and tokens have ended")


@command.command("set-roles")
@click.argument("name")
@click.argument("roles", nargs=-1, required=True)
@config_option
@click.pass_context
def set_roles(context: click.Context, name: str, roles: tuple[str, ...]) -> None:
    """Give a user exactly these roles."""
    user = _change(settings_from(context), name, Changes(roles=roles))
    click.echo(f"{user.username} has the roles {', '.join(user.roles)}")


@command.command("invite")
@click.argument("email")
@click.option("--role", "roles", multiple=True, help="A role of the new account; may be repeated.")
@config_option
@output_option
@click.pass_context
def invite(context: click.Context, email: str, roles: tuple[str, ...], output: str) -> None:
    """Invite somebody to make an account. The link goes by mail, or without `mail` is printed for you to pass on."""
    settings = settings_from(context)

    async def work() -> Invitation:
        async with workshop(settings) as accounts:
            return await accounts.recovery.invitations.invite(email, roles or None)

    made = run(work())
    document = {"email": made.email, "roles": list(made.roles), "sent": made.sent}
    emit(document if made.sent else {**document, "link": made.url}, output)


@command.command("reset-link")
@click.argument("name")
@config_option
@click.pass_context
def reset_link(context: click.Context, name: str) -> None:
    """Print a link to choose a new password, good once and for an hour, for you to pass on."""
    settings = settings_from(context)

    async def work() -> str:
        async with workshop(settings) as accounts:
            return await accounts.recovery.forgotten.link(await named_user(accounts, name))

    click.echo(run(work()))


@command.command("verify-link")
@click.argument("name")
@config_option
@click.pass_context
def verify_link(context: click.Context, name: str) -> None:
    """Print a link that confirms a user's e-mail address, good once and for a day, for you to pass on."""
    settings = settings_from(context)

    async def work() -> str:
        async with workshop(settings) as accounts:
            return await accounts.recovery.verification.link(await named_user(accounts, name))

    click.echo(run(work()))


@command.command("unlock")
@click.argument("name")
@config_option
@click.pass_context
def unlock(context: click.Context, name: str) -> None:
    """Let somebody sign in again whom wrong passwords or codes have locked out."""
    settings = settings_from(context)

    async def work() -> None:
        async with workshop(settings) as accounts:
            await accounts.login.unlock(await named_user(accounts, name))

    run(work())
    click.echo(f"{name} may try again")


@command.command("reset-factors")
@click.argument("name")
@config_option
@click.pass_context
def reset_factors(context: click.Context, name: str) -> None:
    """Take every second factor off a user who has lost them; the password alone signs in until they set up others."""
    settings = settings_from(context)

    async def work() -> int:
        async with workshop(settings) as accounts:
            return await accounts.second_factors.reset((await named_user(accounts, name)).id)

    count = run(work())
    click.echo(f"{name} has no second factor any more" if count else f"{name} had no second factor")


def _change(settings: Settings, name: str, changes: Changes) -> User:
    async def work() -> User:
        async with workshop(settings) as accounts:
            # Whoever runs this can make another administrator; in the API the last one would be gone for good.
            return await accounts.users.change((await named_user(accounts, name)).id, changes, keep_an_admin=False)

    return run(work())


def _shown(user: User, output: str) -> dict[str, Any]:
    """Return what a person wants to see, or for programs what the API answers."""
    if output == "json":
        return user.document()
    return {
        "username": user.username,
        "email": user.email,
        "roles": list(user.roles),
        "active": user.is_active,
        "verified": user.is_verified,
        "last_login": user.last_login,
        "id": user.id,
    }
