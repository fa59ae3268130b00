"""``gateway route``: what the routes decide, and why."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from typing import TYPE_CHECKING

import click
from multidict import CIMultiDict

from gateway.cli import explanation
from gateway.cli.context import config_option, loaded_from, output_option
from gateway.cli.output import run
from gateway.config.rules import compile_rules
from gateway.config.scalars import parse_duration
from gateway.config.settings import Settings
from gateway.errors import NotFound, TargetRejected
from gateway.identity.identity import CredentialKind, Identity
from gateway.policy.decision import Outcome
from gateway.policy.explain import explain
from gateway.policy.rejection import REJECTIONS
from gateway.policy.requirements import IPAddress
from gateway.policy.rules import Rule
from gateway.policy.target import Target, parse_url

if TYPE_CHECKING:
    from gateway.accounts.user import User

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@click.group("route")
def command() -> None:
    """Look at what the routes decide."""


def _parse_header(_context: click.Context, _option: click.Parameter, lines: Sequence[str]) -> CIMultiDict[str]:
    headers: CIMultiDict[str] = CIMultiDict()
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise click.BadParameter(f"{line!r} is not of the form 'Name: value'")
        headers.add(name.strip(), value.strip())
    return headers


def _parse_ip(_context: click.Context, _option: click.Parameter, text: str | None) -> IPAddress | None:
    try:
        return None if text is None else ip_address(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is not an IP address") from error


def _parse_age(_context: click.Context, _option: click.Parameter, text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@command.command("explain")
@click.argument("url")
@click.option("--user", metavar="USER", help="Ask as this user (username or id), looked up in the database.")
@click.option("--role", "roles", multiple=True, help="Take USER to have this role instead of looking it up.")
@click.option("--mfa", is_flag=True, help="Take USER to have signed in with a second factor.")
@click.option("--signed-in", default="0s", callback=_parse_age, help="How long ago USER signed in, such as 20m.")
@click.option("--anonymous", is_flag=True, help="Ask without signing in (the default).")
@click.option("--method", default="GET", show_default=True, help="The request's method.")
@click.option("--header", "headers", multiple=True, callback=_parse_header, help="A request header, 'K: V'.")
@click.option("--ip", callback=_parse_ip, help="The client's address, for source_ip.")
@config_option
@output_option
@click.pass_context
def explain_command(
    context: click.Context,
    url: str,
    user: str | None,
    roles: tuple[str, ...],
    mfa: bool,
    signed_in: timedelta,
    anonymous: bool,
    method: str,
    headers: CIMultiDict[str],
    ip: IPAddress | None,
    output: str,
) -> None:
    """Show how a request for URL is decided: route by route, each requirement, the headers it would carry.

    Exit code 0 when it is allowed, 1 when it is not.
    """
    if user is not None and anonymous:
        raise click.UsageError("--user and --anonymous exclude each other")
    if (roles or mfa or signed_in) and user is None:
        raise click.UsageError("--role, --mfa and --signed-in describe a user: give --user too")
    loaded = loaded_from(context)
    table = compile_rules(loaded.settings, loaded.origins)
    target = _target(method.upper(), url, output)
    rule = table.find(target, headers)
    identity, note = _identity(loaded.settings, user, roles, rule)
    now = datetime.now(UTC)
    if identity is not None:
        methods = ("pwd", "otp", "mfa") if mfa else ("pwd",)
        identity = replace(identity, methods=methods, authenticated_at=now - signed_in)
    told = explain(table, target, headers, identity, ip, now.timestamp())
    notes = [text for text in (note, _own_pages(loaded.settings, target)) if text]
    asker = explanation.Asker(identity, ip, tuple(notes))
    if output == "json":
        click.echo(json.dumps(explanation.document(told, asker), indent=2))
    else:
        for line in explanation.lines(told, asker):
            click.echo(line)
    sys.exit(0 if told.decision.outcome is Outcome.ALLOW else 1)


def _target(method: str, url: str, output: str) -> Target:
    try:
        return parse_url(method, url)
    except TargetRejected as error:
        sentence = REJECTIONS[error.reason]
        if error.reason == "not_absolute":
            raise click.UsageError(f"{sentence} Write it out, such as https://wiki.example.com/page") from error
        if output == "json":
            click.echo(json.dumps({"outcome": "refused", "reason": error.reason, "detail": sentence}, indent=2))
        else:
            click.echo(explanation.refused(error.reason, sentence))
        sys.exit(1)


def _own_pages(settings: Settings, target: Target) -> str:
    if target.segments[:1] == (".gateway",):
        return "paths under /.gateway/ are the gateway's own on every host: no route is asked"
    if target.host.strip("[]") == settings.server.public_host:
        return "on this host the gateway's own pages (/login, /api/v1, ...) come before every route"
    return ""


def _identity(
    settings: Settings, user: str | None, roles: tuple[str, ...], rule: Rule | None
) -> tuple[Identity | None, str]:
    """Return who asks, with a kind of credential that the route takes, and a note where that needs one."""
    if user is None:
        return None, ""
    kinds = (
        CredentialKind.SESSION,
        CredentialKind.BEARER,
        CredentialKind.API_TOKEN,
        CredentialKind.CLIENT_CERTIFICATE,
    )
    kind = next((kind for kind in kinds if rule is None or kind in rule.credentials), CredentialKind.SESSION)
    # Those of other issuers have no account: all that is known of them is in their tokens.
    if roles or any(user.startswith(issuer.prefix) for issuer in settings.trusted_issuers):
        return Identity("-", user, "", tuple(sorted(set(roles))), kind, _EPOCH), ""
    found = run(_find_user(settings, user))
    if not found.is_active:
        return None, f"{found.username} is disabled: each of their credentials is refused"
    return Identity(found.id, found.username, found.email, found.roles, kind, _EPOCH, found.name), ""


async def _find_user(settings: Settings, reference: str) -> User:
    from gateway.accounts.passwords.hasher import PasswordHasher
    from gateway.accounts.users import Users
    from gateway.clock import SystemClock
    from gateway.config.secrets import secret_key
    from gateway.storage.connect import open_database
    from gateway.tokens.master_key import MasterKey

    async with open_database(settings, migrate=False) as opened:
        hasher = PasswordHasher(settings.passwords, MasterKey(secret_key(settings)))
        user = await Users(opened.database, hasher, settings, SystemClock()).find(reference)
    if user is None:
        raise NotFound(f"no user is called {reference!r}; see: gateway user list")
    return user
