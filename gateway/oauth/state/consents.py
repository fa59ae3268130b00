"""What people have agreed to: remembered for each client, and taken back with all that came of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from gateway.clock import Clock
from gateway.oauth.state.client import Client
from gateway.oauth.state.clients import client_of
from gateway.storage.database import Database
from gateway.storage.events import EventFeed, publish
from gateway.storage.statements import statements

_SQL: Final = statements("consent")


@dataclass(frozen=True, slots=True)
class Consent:
    """What a client may have of an account. ``owner`` is the username of who registered it, empty for nobody's.

    ``since`` is the oldest of it that is still good; ``last_used`` the last time that tokens were issued.
    """

    client: Client
    owner: str
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    claims: tuple[str, ...]
    since: datetime
    last_used: datetime | None


class Consents:
    """Remembers consents and takes them back."""

    def __init__(self, database: Database, clock: Clock, feed: EventFeed | None = None) -> None:
        self._database = database
        self._clock = clock
        self._feed = feed

    async def covers(
        self,
        account_id: str,
        client_id: str,
        scopes: Collection[str],
        resources: Collection[str],
        claims: Collection[str],
    ) -> bool:
        """Tell whether an account has agreed to all of this before. To nothing, it has to agree as well."""
        row = await self._database.fetchrow(_SQL["find"], UUID(account_id), client_id)
        if row is None:
            return False
        asked = ((scopes, row["scopes"]), (resources, row["resources"]), (claims, row["claims"]))
        return all(set(wanted) <= set(granted) for wanted, granted in asked)

    async def remember(
        self,
        account_id: str,
        client_id: str,
        scopes: Collection[str],
        resources: Collection[str],
        claims: Collection[str],
    ) -> None:
        """Add what somebody has just agreed to."""
        await self._database.execute(
            _SQL["remember"],
            UUID(account_id),
            client_id,
            list(scopes),
            list(resources),
            list(claims),
            self._clock.now(),
        )

    async def list_for(self, account_id: str) -> Sequence[Consent]:
        """Return what every client may have of an account, in the order of their names."""
        rows = await self._database.fetch(_SQL["list"], UUID(account_id), self._clock.now())
        return [_consent(row) for row in rows]

    async def revoke(self, account_id: str, client_id: str) -> bool:
        """Take back everything that an account granted a client; its tokens end at once. False: there was nothing."""
        account = UUID(account_id)
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["lock_account"], account)
            forgotten = await connection.execute(_SQL["forget"], account, client_id)
            await connection.execute(_SQL["forget_requests"], account, client_id)
            ended = await connection.fetch(_SQL["end_families"], account, client_id, self._clock.now())
            for row in ended:
                await publish(connection, "family", str(row["id"]))
        if self._feed is not None and ended:
            await self._feed.caught_up()
        return bool(forgotten or ended)

    async def owner_of(self, client: Client) -> str:
        """Return the username of who registered a client; empty when it is nobody's."""
        if client.owner_id is None:
            return ""
        return str(await self._database.fetchval(_SQL["owner"], UUID(client.owner_id)) or "")


def _consent(row: asyncpg.Record) -> Consent:
    client = client_of([row])
    if client is None:
        raise LookupError("a row without a client")
    return Consent(
        client=client,
        owner=row["owner"] or "",
        scopes=tuple(row["scopes"]),
        resources=tuple(row["resources"]),
        claims=tuple(row["claims"]),
        since=row["since"],
        last_used=row["last_used"],
    )
