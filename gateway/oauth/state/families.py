"""Families of tokens: what one person granted one client at one moment.

A family stands before its first token, so that a code or a refresh token that comes back can always end it
(RFC 9700 section 4.14).
"""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from gateway.accounts.user import User
from gateway.clock import Clock
from gateway.storage.database import Connection, Database
from gateway.storage.events import EventFeed, publish
from gateway.storage.lookup import Lookup
from gateway.storage.statements import statements

_MORE_TRIES: Final = 2
_SQL: Final = statements("family")


@dataclass(frozen=True, slots=True)
class Granted:
    """What somebody grants. ``claims`` is the claims parameter (OpenID Connect Core 1.0 section 5.5), read.

    ``login_id`` names the browser login that it was granted in; without ``offline`` the family ends with that.
    """

    account_id: str
    client_id: str
    scopes: tuple[str, ...]
    authenticated_at: datetime
    methods: tuple[str, ...]
    expires_at: datetime
    resources: tuple[str, ...] = ()
    claims: Mapping[str, Any] | None = field(default=None, repr=False)
    acr: str | None = None
    login_id: str | None = None
    offline: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """A family that is good, with its person as they are now."""

    id: str
    user: User
    granted: Granted

    @property
    def scopes(self) -> tuple[str, ...]:
        return self.granted.scopes


class Families:
    """Begins, finds, renews and ends families."""

    def __init__(self, database: Database, clock: Clock, feed: EventFeed | None = None) -> None:
        self._database = database
        self._clock = clock
        self._feed = feed
        # Who refreshes at the same moment shares a statement and, for the exchange, its commit.
        self._of_tokens = Lookup(database, _SQL["of_refresh_token"])
        self._rotations = Lookup(database, _SQL["rotate"])

    async def begin(self, connection: Connection, granted: Granted) -> str | None:
        """Begin a family in the caller's transaction. None: the account or the login is over."""
        account = UUID(granted.account_id)
        if await connection.fetchval(_SQL["lock_account"], account) is None:
            return None
        family_id = await connection.fetchval(
            _SQL["insert"],
            account,
            granted.client_id,
            list(granted.scopes),
            list(granted.resources),
            None if granted.claims is None else json.dumps(granted.claims),
            granted.acr,
            granted.authenticated_at,
            list(granted.methods),
            None if granted.login_id is None else UUID(granted.login_id),
            granted.offline,
            self._clock.now(),
            granted.expires_at,
        )
        return None if family_id is None else str(family_id)

    async def start(self, granted: Granted) -> Family | None:
        """Begin a family that no code stands for. None: the account or the login is over."""
        async with self._database.transaction() as connection:
            family_id = await self.begin(connection, granted)
        return None if family_id is None else await self.find(family_id)

    async def find(self, family_id: str) -> Family | None:
        """Return a good family of a client."""
        try:
            key = UUID(family_id)
        except ValueError:
            return None
        row = await self._database.fetchrow(_SQL["by_id"], key, self._clock.now())
        return None if row is None else family_of(row)

    async def first_token(self, family_id: str, jti: str) -> bool:
        """Note the first refresh token of a family. False: the family has been revoked meanwhile."""
        row = await self._database.fetchval(_SQL["insert_token"], token_hash(jti), UUID(family_id), self._clock.now())
        return row is not None

    async def of_refresh_token(self, jti: str, client_id: str) -> tuple[Family, bool] | None:
        """Return the good family of a client's refresh token, and whether the token was used before."""
        row = await self._of_tokens.find(token_hash(jti), client_id, self._clock.now())
        return None if row is None else (family_of(row), row["used_at"] is not None)

    async def rotate(self, jti: str, client_id: str, grace: timedelta) -> tuple[str, Family] | None:
        """Exchange a client's refresh token for its successor. Returns that one's jti, and the family.

        None: the token is not good any more, or somebody was faster. Within ``grace`` of its use a client that lost
        the answer gets the same successor again, until that is used.
        """
        now, successor = self._clock.now(), _successor(jti)
        key = (token_hash(jti), token_hash(successor), client_id, now)
        row = await self._rotations.find(*key)
        for _ in range(_MORE_TRIES):
            # Somebody held it: who comes second has to know what became of it, else two would share it unnoticed.
            if row is None and await self._database.fetchval(_SQL["is_left"], key[0]):
                row = await self._rotations.find(*key)
        if row is None and grace > timedelta(0):
            row = await self._database.fetchrow(_SQL["retake"], *key, now - grace)
        return None if row is None else (successor, family_of(row))

    async def revoke(self, family_id: str, reason: str) -> bool:
        """End a client's family. Returns False when it was over already."""
        async with self._database.transaction() as connection:
            done = await connection.execute(_SQL["revoke"], UUID(family_id), self._clock.now(), reason)
            if done:
                await publish(connection, "family", family_id)
        if self._feed is not None:
            await self._feed.caught_up()
        return bool(done)


def family_of(row: asyncpg.Record) -> Family:
    """Return the family of a row that holds its columns and its account's."""
    claims = row["claims"]
    user = User.of(row)
    granted = Granted(
        account_id=user.id,
        client_id=row["client_id"],
        scopes=tuple(row["scopes"] or ()),
        authenticated_at=row["authenticated_at"],
        methods=tuple(row["methods"]),
        expires_at=row["expires_at"],
        resources=tuple(row["resources"]),
        claims=None if claims is None else json.loads(claims),
        acr=row["acr"],
        login_id=None if row["login_id"] is None else str(row["login_id"]),
        offline=row["offline"],
    )
    return Family(str(row["family_id"]), user, granted)


def _successor(jti: str) -> str:
    """Return the jti of the one token that may follow.

    It is no secret of its own, because what carries it is signed. That it follows from the one before is what lets an
    answer be repeated without a second branch of the family, which nobody would miss when a thief has it.
    """
    return urlsafe_b64encode(token_hash(f"successor\0{jti}")).rstrip(b"=").decode()


def token_hash(secret: str) -> bytes:
    """Return what is stored of a random value that stands for a right."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
