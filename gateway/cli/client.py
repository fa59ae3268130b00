"""``gateway client``: add, list, show, rotate-secret, disable, enable, delete."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import click

from gateway.cli.context import config_option, output_option, settings_from
from gateway.cli.output import emit, run
from gateway.cli.workshop import Office, client_office, named_user
from gateway.config.scalars import parse_duration
from gateway.errors import NotFound
from gateway.oauth.state.client import Client
from gateway.oauth.state.client_metadata import (
    AUTH_METHODS,
    DEVICE_CODE,
    GRANTS,
    ID_TOKEN_ALGORITHMS,
    OLD_GRANTS,
    checked_metadata,
)
from gateway.oauth.state.registry import OVERLAP, Issued, Rights

# The long name of RFC 8628 is nothing to type.
_GRANT_NAMES: Final = {"device_code": DEVICE_CODE} | {name: name for name in GRANTS if name != DEVICE_CODE}
_NONE_YET: Final = "no clients; add one with: gateway client add NAME --redirect-uri https://app.example.com/callback"
_OLD: Final = {
    "password": "the application sees people's passwords, and no second factor is asked for",
    "implicit": "access tokens stand in addresses, in histories and logs",
}


def _duration(_context: click.Context, _parameter: click.Parameter, value: str | None) -> timedelta | None:
    if value is None:
        return None
    try:
        return parse_duration(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _keys(_context: click.Context, _parameter: click.Parameter, value: Path | None) -> Any:
    if value is None:
        return None
    try:
        return json.loads(value.read_bytes())
    except (OSError, ValueError) as error:
        raise click.BadParameter(f"is no readable JSON file: {error}") from error


@click.group("client")
def command() -> None:
    """Manage OAuth clients: applications that sign people in here, and programs with tokens of their own."""


@command.command("add")
@click.argument("name")
@click.option("--redirect-uri", "redirect_uris", multiple=True, help="Where people are sent back to; may be repeated.")
@click.option("--grant", "grants", multiple=True, type=click.Choice([*_GRANT_NAMES]), help="May be repeated.")
@click.option("--scope", "scopes", multiple=True, help="A scope it may ask for; may be repeated. Without: any offered.")
@click.option("--auth-method", type=click.Choice(AUTH_METHODS), help="How it authenticates at the token endpoint.")
@click.option("--jwks", callback=_keys, type=click.Path(path_type=Path), help="A file of its public keys.")
@click.option("--jwks-uri", help="Where its public keys are.")
@click.option("--post-logout-redirect-uri", "logout_uris", multiple=True, help="May be repeated.")
@click.option("--backchannel-logout-uri", help="Where it hears of people who sign out.")
@click.option("--id-token-alg", type=click.Choice(ID_TOKEN_ALGORITHMS), help="What signs its ID tokens; RS256.")
@click.option("--pairwise", is_flag=True, help="Tell it of each person under a name that no other application knows.")
@click.option("--access-lifetime", callback=_duration, help="How long its access tokens live, such as 5m.")
@click.option("--refresh-lifetime", callback=_duration, help="How long its refresh tokens live, such as 30d.")
@click.option("--require-par", is_flag=True, help="Take its authorization requests only when pushed (RFC 9126).")
@click.option("--owner", help="The user it belongs to. Without: nobody.")
@click.option("--first-party", is_flag=True, help="It is ours: people are not asked for their consent.")
@click.option("--no-pkce", is_flag=True, help="Do without PKCE, for old applications that have a secret.")
@click.option("--introspect", is_flag=True, help="Let it ask about the tokens of other clients.")
@config_option
@output_option
@click.pass_context
def add(context: click.Context, /, output: str, owner: str | None, **given: Any) -> None:
    """Register a client and print its client_id and, this once, its client_secret."""
    settings = settings_from(context)
    metadata = checked_metadata(_members(given), by_admin=True)
    rights = Rights(
        first_party=given["first_party"],
        requires_pkce=not given["no_pkce"],
        may_introspect=given["introspect"],
        opens_routes=True,
    )

    async def work() -> Issued:
        async with client_office(settings) as office:
            owner_id = (await named_user(office.accounts, owner)).id if owner else None
            return await office.registry.create(metadata, rights, owner_id=owner_id)

    issued = run(work())
    for grant in sorted(OLD_GRANTS & set(metadata["grant_types"])):
        click.echo(f"warning: the grant {grant} is for old applications only: {_OLD[grant]}", err=True)
    _show_once(issued, output)


@command.command("list")
@click.option("--search", default="", help="A part of a name or client_id.")
@click.option("--owner", help="Only those of this user.")
@click.option("--limit", default=1000, show_default=True, type=click.IntRange(1, 100_000))
@config_option
@output_option
@click.pass_context
def list_(context: click.Context, search: str, owner: str | None, limit: int, output: str) -> None:
    """List clients by name."""
    settings = settings_from(context)

    async def work() -> list[dict[str, Any]]:
        async with client_office(settings) as office:
            owner_id = (await named_user(office.accounts, owner)).id if owner else None
            page = await office.registry.page(search=search, limit=limit, owner_id=owner_id)
            return [_row(client, page.owners, output) for client in page.items]

    emit(run(work()), output, empty=_NONE_YET)


@command.command("show")
@click.argument("client")
@config_option
@output_option
@click.pass_context
def show(context: click.Context, client: str, output: str) -> None:
    """Show one client, by its client_id or by a name that no other has."""
    settings = settings_from(context)

    async def work() -> dict[str, Any]:
        async with client_office(settings) as office:
            found = await _named(office, client)
            page = await office.registry.page(search=found.id, limit=1)
            return _document(found, output, page.owners.get(found.owner_id or ""))

    emit(run(work()), output)


@command.command("rotate-secret")
@click.argument("client")
@click.option("--overlap", callback=_duration, help="How long the old secret stays good; 24h. 0s: it ends now.")
@config_option
@output_option
@click.pass_context
def rotate_secret(context: click.Context, client: str, overlap: timedelta | None, output: str) -> None:
    """Make a new secret and print it, this once."""
    settings = settings_from(context)

    async def work() -> Issued:
        async with client_office(settings) as office:
            found = await _named(office, client)
            return await office.registry.rotate_secret(found.id, OVERLAP if overlap is None else overlap)

    _show_once(run(work()), output)


@command.command("disable")
@click.argument("client")
@config_option
@click.pass_context
def disable(context: click.Context, client: str) -> None:
    """Refuse a client from now on; what people granted it ends."""
    found = _set_active(context, client, active=False)
    click.echo(f"{found.id} is disabled; what was granted to it has ended")


@command.command("enable")
@click.argument("client")
@config_option
@click.pass_context
def enable(context: click.Context, client: str) -> None:
    """Let a disabled client be used again; people sign in to it anew."""
    click.echo(f"{_set_active(context, client, active=True).id} is enabled")


@command.command("delete")
@click.argument("client")
@click.option("--yes", is_flag=True, help="Do not ask.")
@config_option
@click.pass_context
def delete(context: click.Context, client: str, yes: bool) -> None:
    """Delete a client with everything that was granted to it."""
    settings = settings_from(context)
    if not yes:
        click.confirm(f"Delete {client} for good?", abort=True, err=True)

    async def work() -> None:
        async with client_office(settings) as office:
            await office.registry.delete((await _named(office, client)).id)

    run(work())
    click.echo(f"{client} is deleted")


def _members(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options as RFC 7591 names them. A program without an address stands for itself."""
    grants = [_GRANT_NAMES[name] for name in given["grants"]]
    usual = ["authorization_code", "refresh_token"] if given["redirect_uris"] else ["client_credentials"]
    lifetimes = {name: given[name] for name in ("access_lifetime", "refresh_lifetime")}
    has_keys = given["jwks"] is not None or given["jwks_uri"] is not None
    members = {
        "client_name": given["name"],
        "redirect_uris": list(given["redirect_uris"]),
        "grant_types": grants or usual,
        "scope": " ".join(given["scopes"]) if given["scopes"] else None,
        "token_endpoint_auth_method": given["auth_method"] or ("private_key_jwt" if has_keys else None),
        "jwks": given["jwks"],
        "jwks_uri": given["jwks_uri"],
        "post_logout_redirect_uris": list(given["logout_uris"]),
        "backchannel_logout_uri": given["backchannel_logout_uri"],
        "id_token_signed_response_alg": given["id_token_alg"],
        "subject_type": "pairwise" if given["pairwise"] else None,
        "require_pushed_authorization_requests": given["require_par"] or None,
        **{f"{key.partition('_')[0]}_token_lifetime": _seconds(value) for key, value in lifetimes.items()},
    }
    return {name: value for name, value in members.items() if value is not None}


def _seconds(lifetime: timedelta | None) -> int | None:
    return None if lifetime is None else int(lifetime.total_seconds())


def _set_active(context: click.Context, client: str, *, active: bool) -> Client:
    settings = settings_from(context)

    async def work() -> Client:
        async with client_office(settings) as office:
            return await office.registry.set_active((await _named(office, client)).id, active=active)

    return run(work())


async def _named(office: Office, reference: str) -> Client:
    """Return a client by its client_id, or by a name that only it has. Raises NotFound that says what to do."""
    try:
        return await office.registry.get(reference)
    except NotFound:
        page = await office.registry.page(search=reference, limit=1000)
    found = [client for client in page.items if client.name == reference]
    if not found:
        raise NotFound(f"there is no client {reference!r}; see: gateway client list")
    if len(found) > 1:
        ids = ", ".join(client.id for client in found)
        raise NotFound(f"{len(found)} clients are called {reference!r}: name one of {ids}")
    return found[0]


def _show_once(issued: Issued, output: str) -> None:
    shown = {"client_id": issued.client.id, "client_secret": issued.secret}
    if output == "json":
        emit({**_document(issued.client, output), **shown}, output)
        return
    emit({name: value for name, value in shown.items() if value is not None}, output)
    if issued.secret is not None:
        click.echo("Keep the secret now: it is not shown again.", err=True)


def _row(client: Client, owners: Mapping[str, str], output: str) -> dict[str, Any]:
    owner = owners.get(client.owner_id or "")
    if output == "json":
        return _document(client, output, owner)
    return {
        "client_id": client.id,
        "name": client.name,
        "owner": owner,
        "grants": [name.rpartition(":")[2] for name in client.grant_types],
        "first_party": client.first_party,
        "active": client.is_active,
    }


def _document(client: Client, output: str, owner: str | None = None) -> dict[str, Any]:
    return {
        "client_id": client.id,
        "client_name": client.name,
        "owner": owner,
        "is_active": client.is_active,
        "first_party": client.first_party,
        "requires_pkce": client.requires_pkce,
        "may_introspect": client.may_introspect,
        "opens_routes": client.opens_routes,
        **{name: value for name, value in client.metadata.items() if name != "client_name"},
        "secrets": _secrets(client, output),
        "created_at": client.created_at,
        "updated_at": client.updated_at,
    }


def _secrets(client: Client, output: str) -> Sequence[Any]:
    if output == "json":
        return [{"created_at": each.created_at, "expires_at": each.expires_at} for each in client.secrets]
    return [
        f"made {each.created_at:%Y-%m-%d}" + (f", ends {each.expires_at:%Y-%m-%d %H:%M}" if each.expires_at else "")
        for each in client.secrets
    ]
