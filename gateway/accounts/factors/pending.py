"""Logins between their first factor and their second: known by a secret that the browser or program holds."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

import asyncpg

from gateway.accounts.external import External
from gateway.accounts.user import User
from gateway.clock import Clock
from gateway.storage.database import Database
from gateway.storage.statements import statements

LIFETIME: Final = timedelta(minutes=10)
# A code has a million values: after this many wrong ones the password is asked for again.
MOST_ATTEMPTS: Final = 5
_SECRET_LENGTH: Final = 43
_SQL: Final = statements("pending_login")


@dataclass(frozen=True, slots=True)
class PendingLogin:
    """Who has passed which factor. ``must_enrol``: there is no second one yet, and there has to be.

    ``authenticated_at`` is None for a new login, else when whoever is signed in already did so.
    """

    account_id: str
    methods: Sequence[str]
    remembered: bool
    must_enrol: bool
    began_at: datetime
    revision: int
    authenticated_at: datetime | None = None
    external: External | None = None


class PendingLogins:
    """Begins and finishes them. One ends with any change to its account: a password, a role, being disabled."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def begin(
        self,
        user: User,
        methods: Sequence[str],
        *,
        must_enrol: bool,
        for_api: bool = False,
        remembered: bool = False,
        address: str = "",
        authenticated_at: datetime | None = None,
        external: External | None = None,
    ) -> str | None:
        """Return the secret of a new one; None when the account has changed since ``user`` was read."""
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        begun = await self._database.fetchval(
            _SQL["begin"],
            _hash(secret),
            UUID(user.id),
            user.revision,
            list(methods),
            for_api,
            remembered,
            must_enrol,
            address,
            now,
            now + LIFETIME,
            authenticated_at,
            external.text if external is not None else "",
        )
        return secret if begun else None

    async def find(self, secret: str | None, *, for_api: bool = False) -> PendingLogin | None:
        """Return the login that waits with this secret."""
        if secret is None or len(secret) != _SECRET_LENGTH:
            return None
        row = await self._database.fetchrow(_SQL["find"], _hash(secret), for_api, self._clock.now())
        return _pending(row) if row is not None else None

    async def finish(self, secret: str, *, for_api: bool = False) -> PendingLogin | None:
        """End it because its second factor is there. Returns None when it is over: somebody else was first."""
        row = await self._database.fetchrow(_SQL["finish"], _hash(secret), for_api, self._clock.now())
        return _pending(row) if row is not None else None

    async def fail(self, secret: str) -> bool:
        """Note a wrong code. Returns False when that was the last one that this login may try: it is over."""
        attempts = await self._database.fetchval(_SQL["fail"], _hash(secret))
        if attempts is not None and attempts < MOST_ATTEMPTS:
            return True
        await self.drop(secret)
        return False

    async def drop(self, secret: str) -> None:
        await self._database.execute(_SQL["drop"], _hash(secret))

    async def forget_expired(self) -> int:
        """Delete a batch of those that nobody finished. Returns how many."""
        return await self._database.execute(_SQL["forget_expired"], self._clock.now())


def _pending(row: asyncpg.Record) -> PendingLogin:
    return PendingLogin(
        account_id=str(row["account_id"]),
        methods=tuple(row["methods"]),
        remembered=row["remembered"],
        must_enrol=row["must_enrol"],
        began_at=row["created_at"],
        revision=row["revision"],
        authenticated_at=row["authenticated_at"],
        external=External.of(row["external"]),
    )


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
