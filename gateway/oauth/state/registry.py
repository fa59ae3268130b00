"""Makes, changes and ends clients. What takes a right away is told to every process in the same transaction."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from gateway.clock import Clock
from gateway.errors import FieldError, InvalidInput, NotFound
from gateway.oauth.state.client import Client
from gateway.oauth.state.client_metadata import SECRET_METHODS
from gateway.oauth.state.client_secrets import REGISTRATION_PREFIX, new_client_id, new_secret
from gateway.oauth.state.clients import TOPIC, client_of, secret_hash
from gateway.storage.database import Connection, Database, Executor
from gateway.storage.events import EventFeed, publish
from gateway.storage.statements import statements

OVERLAP: Final = timedelta(hours=24)
LONGEST_OVERLAP: Final = timedelta(days=90)
MOST_PER_OWNER: Final = 100
UNUSED_FOR: Final = timedelta(days=7)
_LONGEST_ID: Final = 255
_VOUCHED_FOR: Final = FieldError(
    "redirect_uris", "may get no new address but from an administrator: people are not asked for their consent here"
)
_SQL: Final = statements("oauth_client")


@dataclass(frozen=True, slots=True)
class Rights:
    """What is decided about a client and never by it."""

    first_party: bool = False
    requires_pkce: bool = True
    may_introspect: bool = False
    opens_routes: bool = False
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class Issued:
    """A client with what is shown this once: its secret, and the token that it manages itself with."""

    client: Client
    secret: str | None = field(default=None, repr=False)
    registration_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the clients, how many there are in all, and the names of their owners by id."""

    items: Sequence[Client]
    total: int
    owners: Mapping[str, str]


class Registry:
    """The clients as those see them who administer them; `Clients` is how everybody else finds one."""

    def __init__(self, database: Database, clock: Clock, feed: EventFeed | None = None) -> None:
        self._database = database
        self._clock = clock
        self._feed = feed

    async def create(
        self,
        metadata: Mapping[str, Any],
        rights: Rights = Rights(),
        *,
        owner_id: str | None = None,
        manages_itself: bool = False,
    ) -> Issued:
        """Register a client. ``metadata`` is what `checked_metadata` returned.

        Raises InvalidInput when rights and metadata contradict each other, or the owner has very many already.
        """
        _check(metadata, rights)
        owner = UUID(owner_id) if owner_id is not None else None
        if owner is not None and await self._database.fetchval(_SQL["count"], "", owner) >= MOST_PER_OWNER:
            raise InvalidInput([FieldError("", f"there are {MOST_PER_OWNER} applications already: delete some first")])
        client_id = new_client_id()
        token = new_secret(REGISTRATION_PREFIX) if manages_itself else None
        async with self._database.transaction() as connection:
            await connection.execute(
                _SQL["insert"],
                client_id,
                metadata.get("client_name", client_id),
                owner,
                json.dumps(metadata),
                rights.first_party,
                rights.requires_pkce,
                rights.may_introspect,
                rights.opens_routes,
                secret_hash(token) if token is not None else None,
                self._clock.now(),
            )
            secret = await self._add_secret(connection, client_id) if _has_secret(metadata) else None
        return Issued(await self.get(client_id), secret, token)

    async def get(self, client_id: str) -> Client:
        """Return a client, disabled or not. Raises NotFound."""
        return await _found(self._database, client_id)

    async def page(self, *, search: str = "", limit: int = 50, offset: int = 0, owner_id: str | None = None) -> Page:
        """Return clients in the order of their names; ``search`` is a part of a name or client_id."""
        owner = UUID(owner_id) if owner_id is not None else None
        wanted = search if search.isprintable() else "\ufffd"
        rows = await self._database.fetch(_SQL["page"], wanted, limit, offset, owner)
        total = await self._database.fetchval(_SQL["count"], wanted, owner)
        found = [client_of(list(group)) for _, group in itertools.groupby(rows, key=lambda row: row["id"])]
        items = [client for client in found if client is not None]
        ids = {UUID(client.owner_id) for client in items if client.owner_id is not None}
        names = await self._database.fetch(_SQL["owner_names"], list(ids))
        return Page(items, int(total), {str(row["id"]): row["username"] for row in names})

    async def count_registered(self) -> int:
        """Return how many clients registered themselves without anybody's token."""
        return int(await self._database.fetchval(_SQL["count_registered"]))

    async def forget_unused(self) -> int:
        """Delete a batch of clients that strangers registered and nobody signed in to. Returns how many."""
        return await self._database.execute(_SQL["forget_unused"], self._clock.now() - UNUSED_FOR)

    async def change(
        self,
        client_id: str,
        *,
        metadata: Mapping[str, Any] | None = None,
        rights: Rights | None = None,
        by_admin: bool = False,
    ) -> Issued:
        """Change what is given; with a secret when it needs one now and had none. Raises NotFound, InvalidInput.

        Where nobody is asked for consent, only an administrator (``by_admin``) says where answers go. A right that is
        taken away is gone when this returns: what people granted the client ends with it.
        """
        async with self._database.transaction() as connection:
            before = await self._locked(connection, client_id)
            after = _merged(before, metadata, rights)
            if before.first_party and not by_admin and set(after.redirect_uris) - set(before.redirect_uris):
                raise InvalidInput([_VOUCHED_FOR])
            _check(after.metadata, rights_of(after))
            await connection.execute(
                _SQL["update"],
                client_id,
                after.name,
                json.dumps(dict(after.metadata)),
                *(getattr(after, each.name) for each in fields(Rights)),
                self._clock.now(),
            )
            secret = await self._fit_secrets(connection, before, after)
            if _outgrown(before, after):
                await self._end_families(
                    connection, client_id, "client changed" if after.is_active else "client disabled"
                )
            await publish(connection, TOPIC, client_id)
        await self._caught_up()
        return Issued(await self.get(client_id), secret)

    async def set_active(self, client_id: str, *, active: bool) -> Client:
        """Disable a client, with all that was granted to it, or let it be used again. Raises NotFound."""
        before = await self.get(client_id)
        return (await self.change(client_id, rights=replace(rights_of(before), is_active=active))).client

    async def rotate_secret(self, client_id: str, overlap: timedelta = OVERLAP) -> Issued:
        """Give a client a new secret; the one before stays good for ``overlap``, older ones end now.

        Raises NotFound; InvalidInput when it has no secret, or the overlap is too long.
        """
        if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
            raise InvalidInput([FieldError("overlap", f"must be from 0 s to {LONGEST_OVERLAP.days} days")])
        async with self._database.transaction() as connection:
            before = await self._locked(connection, client_id)
            if not _has_secret(before.metadata):
                raise InvalidInput([FieldError("", "this client has no secret: it does not authenticate with one")])
            now = self._clock.now()
            newest = next((each for each in before.secrets if each.expires_at is None), None)
            kept = UUID(newest.id) if newest is not None and overlap else None
            await connection.execute(_SQL["delete_secrets"], client_id, kept)
            await connection.execute(_SQL["expire_secrets"], client_id, now + overlap)
            secret = await self._add_secret(connection, client_id)
            await publish(connection, TOPIC, client_id)
        await self._caught_up()
        return Issued(await self.get(client_id), secret)

    async def delete(self, client_id: str) -> None:
        """Delete a client with everything that was granted to it. Raises NotFound."""
        async with self._database.transaction() as connection:
            await self._locked(connection, client_id)
            await self._end_families(connection, client_id, "client deleted")
            await connection.execute(_SQL["delete"], client_id)
            await publish(connection, TOPIC, client_id)
        await self._caught_up()

    async def _locked(self, connection: Connection, client_id: str) -> Client:
        # On this one connection: whoever waited for a second one while holding the first would wait for each other.
        await _found(connection, client_id)
        await connection.fetchval(_SQL["lock"], client_id)
        return await _found(connection, client_id)

    async def _add_secret(self, connection: Connection, client_id: str) -> str:
        secret = new_secret()
        await connection.execute(_SQL["insert_secret"], client_id, secret_hash(secret), self._clock.now(), None)
        return secret

    async def _fit_secrets(self, connection: Connection, before: Client, after: Client) -> str | None:
        if not _has_secret(after.metadata):
            await connection.execute(_SQL["delete_secrets"], after.id, None)
            return None
        return None if before.secrets else await self._add_secret(connection, after.id)

    async def _end_families(self, connection: Connection, client_id: str, reason: str) -> None:
        await connection.execute(_SQL["forget_devices"], client_id)
        for row in await connection.fetch(_SQL["end_families"], client_id, self._clock.now(), reason):
            await publish(connection, "family", str(row["id"]))

    async def _caught_up(self) -> None:
        if self._feed is not None:
            await self._feed.caught_up()


def rights_of(client: Client) -> Rights:
    """Return what is decided about a client."""
    return Rights(**{each.name: getattr(client, each.name) for each in fields(Rights)})


async def _found(executor: Executor, client_id: str) -> Client:
    client = None
    if 0 < len(client_id) <= _LONGEST_ID and client_id.isascii() and client_id.isprintable():
        client = client_of(await executor.fetch(_SQL["get"], client_id))
    if client is None:
        raise NotFound("no such client")
    return client


def _has_secret(metadata: Mapping[str, Any]) -> bool:
    return metadata.get("token_endpoint_auth_method") in SECRET_METHODS


def _check(metadata: Mapping[str, Any], rights: Rights) -> None:
    is_public = metadata.get("token_endpoint_auth_method") == "none"
    if is_public and not rights.requires_pkce:
        # Nothing else would tie a code to whoever asked for it (OAuth 2.1 section 4.1.1).
        raise InvalidInput([FieldError("requires_pkce", "a client without a secret cannot do without PKCE")])
    if is_public and rights.may_introspect:
        raise InvalidInput([FieldError("may_introspect", "introspection takes a client that can authenticate itself")])


def _merged(before: Client, metadata: Mapping[str, Any] | None, rights: Rights | None) -> Client:
    after = before
    if metadata is not None:
        after = replace(after, metadata=metadata, name=metadata.get("client_name", before.id))
    if rights is not None:
        after = replace(after, **{each.name: getattr(rights, each.name) for each in fields(Rights)})
    return after


def _outgrown(before: Client, after: Client) -> bool:
    """Tell whether what was granted stands on more than the client has now, or would become more than was agreed to."""
    if (after.opens_routes or after.first_party) and not (before.opens_routes or before.first_party):
        return True
    if after.sector != before.sector:
        # It would be told the names of people at a host that never sent them here.
        return True
    for right in ("is_active", "opens_routes", "first_party"):
        if getattr(before, right) and not getattr(after, right):
            return True
    if after.scopes is None:
        return False
    return before.scopes is None or not before.scopes <= after.scopes
