"""Single-use links: each proves that somebody reads an address. Stored is the SHA-256 of the random part."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Final
from uuid import UUID

import asyncpg

from gateway.accounts.user import name_key
from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.storage.database import Database, Executor
from gateway.storage.statements import statements

_SECRET_LENGTH: Final = 43
_SQL: Final = statements("mail_link")


class Purpose(StrEnum):
    """What a link is for."""

    VERIFY = "verify"
    RESET = "reset"
    CHANGE_FROM = "change_from"
    CHANGE_TO = "change_to"
    INVITE = "invite"


@dataclass(frozen=True, slots=True)
class Link:
    """A link that is good. ``account_id`` is empty for an invitation, which has the ``roles`` instead."""

    purpose: Purpose
    account_id: str
    email: str
    email_key: str
    roles: Sequence[str]


class LinkOver(GatewayError):
    """The link is unknown, expired, or was used."""


class Links:
    """Makes links, looks at them without using them, and uses them once."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def issue(
        self,
        connection: Executor,
        purpose: Purpose,
        email: str,
        lifetime: timedelta,
        *,
        account_id: str | None = None,
        roles: Sequence[str] | None = None,
        invited_by: str | None = None,
    ) -> str:
        """Return the random part of a new link."""
        secret, now = secrets.token_urlsafe(32), self._clock.now()
        await connection.execute(
            _SQL["insert"],
            _hash(secret),
            purpose.value,
            UUID(account_id) if account_id is not None else None,
            email,
            name_key(email),
            list(roles) if roles is not None else None,
            UUID(invited_by) if invited_by is not None else None,
            now,
            now + lifetime,
        )
        return secret

    async def find(self, secret: str, *purposes: Purpose) -> Link:
        """Look at a link; it stays good: programs that check mail open links, too. Raises LinkOver."""
        return _link(await self._database.fetchrow(_SQL["find"], _read(secret), list(purposes), self._clock.now()))

    async def use(self, connection: Executor, secret: str, *purposes: Purpose) -> Link:
        """Use a link, in the transaction of what it is used for. Raises LinkOver, also for whoever comes second."""
        return _link(await connection.fetchrow(_SQL["use"], _read(secret), list(purposes), self._clock.now()))

    async def lock(self, connection: Executor, account_id: str) -> None:
        """Let nobody else issue or use links of an account before the caller's transaction ends."""
        await connection.fetchval(_SQL["lock_account"], UUID(account_id))

    async def recent(self, connection: Executor, purpose: Purpose, email: str, within: timedelta) -> int:
        """Return how many links of a purpose went to an address lately."""
        since = self._clock.now() - within
        return int(await connection.fetchval(_SQL["recent"], name_key(email), purpose.value, since))

    async def recent_of(self, connection: Executor, purpose: Purpose, account_id: str, within: timedelta) -> int:
        """Return how many links of a purpose were sent for an account lately, to whatever addresses."""
        since = self._clock.now() - within
        return int(await connection.fetchval(_SQL["recent_of"], UUID(account_id), purpose.value, since))

    async def void(self, connection: Executor, account_id: str, *purposes: Purpose) -> None:
        """End links of an account that were not used."""
        await connection.execute(_SQL["void"], UUID(account_id), list(purposes), self._clock.now())

    async def void_invitations(self, connection: Executor, email: str) -> None:
        await connection.execute(_SQL["void_invitations"], name_key(email), self._clock.now())

    async def forget_expired(self) -> int:
        """Delete a batch of links that are over. Returns how many."""
        return await self._database.execute(_SQL["forget_expired"], self._clock.now())


async def void_changes(connection: Executor, account_id: str, now: datetime) -> None:
    """End a new address that waits to count, inside the caller's transaction, which has locked the account."""
    purposes = [Purpose.CHANGE_FROM, Purpose.CHANGE_TO]
    await connection.execute(_SQL["void"], UUID(account_id), purposes, now)
    await connection.execute(_SQL["drop_change"], UUID(account_id))


async def void_resets(connection: Executor, account_id: str, now: datetime) -> None:
    """End links to a new password, inside the caller's transaction, which has locked the account."""
    await connection.execute(_SQL["void"], UUID(account_id), [Purpose.RESET], now)


def _read(secret: str) -> bytes:
    if len(secret) != _SECRET_LENGTH:
        raise LinkOver("no link")
    return _hash(secret)


def _link(row: asyncpg.Record | None) -> Link:
    if row is None:
        raise LinkOver("no such link, or not any more")
    account = row["account_id"]
    return Link(
        purpose=Purpose(row["purpose"]),
        account_id="" if account is None else str(account),
        email=row["email"],
        email_key=row["email_key"],
        roles=tuple(row["roles"] or ()),
    )


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
