"""The registered clients, as they are found: kept in memory, because every token request asks for one."""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import Sequence
from typing import Final

import asyncpg

from gateway.clock import Clock
from gateway.oauth.state.client import Client, ClientSecret
from gateway.storage.database import Database
from gateway.storage.events import EventFeed
from gateway.storage.statements import statements

TOPIC: Final = "client"
_MOST: Final = 1000
_KEPT_SECONDS: Final = 60.0
_LONGEST_ID: Final = 255
_SQL: Final = statements("oauth_client")


class Clients:
    """Finds clients by their id."""

    def __init__(self, database: Database, clock: Clock, feed: EventFeed | None = None) -> None:
        self._database = database
        self._clock = clock
        self._feed = feed
        self._known: OrderedDict[str, tuple[float, Client]] = OrderedDict()
        self._changes = 0
        if feed is not None:
            feed.subscribe(self._on_event, self._forget_all)

    async def find(self, client_id: str) -> Client | None:
        """Return a client that may be used, or None. Believed from memory only while the event feed is fresh."""
        if not 0 < len(client_id) <= _LONGEST_ID or not (client_id.isascii() and client_id.isprintable()):
            return None
        fresh = self._feed is not None and self._feed.fresh()
        if fresh:
            known = self._known.get(client_id)
            if known is not None and known[0] > self._clock.monotonic():
                return known[1]
        began = self._changes
        client = client_of(await self._database.fetch(_SQL["find"], client_id))
        if client is None or not client.is_active:
            return None
        # What changed while the database was asked may not be in its answer.
        if fresh and began == self._changes:
            self._keep(client)
        return client

    def _keep(self, client: Client) -> None:
        self._known[client.id] = (self._clock.monotonic() + _KEPT_SECONDS, client)
        self._known.move_to_end(client.id)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)

    def _on_event(self, topic: str, key: str) -> None:
        if topic == TOPIC:
            self._changes += 1
            self._known.pop(key, None)

    def _forget_all(self) -> None:
        self._changes += 1
        self._known.clear()


def client_of(rows: Sequence[asyncpg.Record]) -> Client | None:
    """Return the client of the rows that ``find`` gives: one for each secret, at least one; None for none."""
    if not rows:
        return None
    row = rows[0]
    secrets = tuple(
        ClientSecret(str(each["secret_id"]), each["secret_hash"], each["secret_created_at"], each["secret_expires_at"])
        for each in rows
        if each["secret_id"] is not None
    )
    return Client(
        id=row["id"],
        name=row["name"],
        owner_id=str(row["owner_id"]) if row["owner_id"] is not None else None,
        first_party=row["first_party"],
        requires_pkce=row["requires_pkce"],
        may_introspect=row["may_introspect"],
        opens_routes=row["opens_routes"],
        is_active=row["is_active"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        metadata=json.loads(row["metadata"]),
        secrets=secrets,
        registration_hash=row["registration_hash"],
    )


def secret_hash(secret: str) -> bytes:
    """Return what is stored of a secret of 256 random bits."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
