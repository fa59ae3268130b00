"""Browsers that an account has signed in with before, known by a cookie of their own that outlives the session.

OWASP calls it a device cookie: strangers' failures do not lock such a browser out, a login from any other one is
worth a mail, and its owner may let it do without the second factor for a while.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Final
from uuid import UUID

from gateway.clock import Clock
from gateway.storage.database import Connection, Database, Executor
from gateway.storage.statements import statements

KNOWN_FOR: Final = timedelta(days=400)  # the longest that browsers keep a cookie (RFC 6265bis section 5.6.1)
_MOST_PER_ACCOUNT: Final = 50
_LONGEST_USER_AGENT: Final = 400
_SQL: Final = statements("known_device")


@dataclass(frozen=True, slots=True)
class KnownDevice:
    """A browser that the account has signed in with. ``trusted``: for now its passwords are enough."""

    id: str
    trusted: bool


@dataclass(frozen=True, slots=True)
class Remembered:
    """A login that was noted. ``is_news``: the account was known elsewhere, and never seen on this browser."""

    secret: str = field(repr=False)
    is_news: bool


class KnownDevices:
    """Finds and remembers them. Stored is the SHA-256 of the cookie's value."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(self, secret: str | None, account_id: str) -> KnownDevice | None:
        """Return the browser with this cookie if ``account_id`` has signed in there."""
        if secret is None:
            return None
        now = self._clock.now()
        row = await self._database.fetchrow(_SQL["find"], _hash(secret), UUID(account_id), now)
        if row is None:
            return None
        until: datetime | None = row["second_factor_until"]
        return KnownDevice(str(row["id"]), trusted=until is not None and until > now)

    async def remember(
        self,
        account_id: str,
        secret: str | None,
        *,
        address: str,
        user_agent: str,
        trusted_for: timedelta | None = None,
    ) -> Remembered:
        """Note a login with a browser that came with the cookie ``secret``."""
        now = self._clock.now()
        until = now + trusted_for if trusted_for else None
        shown = "".join(character for character in user_agent if character.isprintable())[:_LONGEST_USER_AGENT]
        shown = shown.encode("utf-8", "replace").decode()
        async with self._database.transaction() as connection:
            value = await self._value(connection, account_id, secret)
            is_news = await connection.fetchval(
                _SQL["remember"], UUID(account_id), _hash(value), shown, address, now, now + KNOWN_FOR, until
            )
            await connection.execute(_SQL["trim"], UUID(account_id), _MOST_PER_ACCOUNT)
        return Remembered(value, is_news=bool(is_news))

    async def _value(self, connection: Connection, account_id: str, secret: str | None) -> str:
        """Return the value that the cookie gets.

        What the account was not known by is not taken over: somebody else may have planted it, and would be known too.
        """
        if secret is not None and await connection.fetchrow(
            _SQL["find"], _hash(secret), UUID(account_id), self._clock.now()
        ):
            return secret
        value = secrets.token_urlsafe(32)
        if secret is not None:
            await connection.execute(_SQL["move"], _hash(secret), _hash(value), UUID(account_id))
        return value

    async def documents(self, account_id: str) -> list[dict[str, str]]:
        """Return what is kept of an account's browsers, the last seen first, as a copy of its data holds it."""
        rows = await self._database.fetch(_SQL["list"], UUID(account_id), self._clock.now())
        return [
            {
                "user_agent": row["user_agent"],
                "address": row["address"],
                "first_seen_at": row["created_at"].isoformat(),
                "seen_at": row["seen_at"].isoformat(),
            }
            for row in rows
        ]

    async def trusted_count(self, account_id: str) -> int:
        """Return how many browsers do without the second factor now."""
        return int(await self._database.fetchval(_SQL["trusted"], UUID(account_id), self._clock.now()))

    async def distrust(self, account_id: str) -> None:
        """Let every browser ask for the second factor again."""
        await distrust_devices(self._database, account_id)

    async def forget_expired(self) -> int:
        """Delete a batch of browsers that were not seen for long. Returns how many."""
        return await self._database.execute(_SQL["forget_expired"], self._clock.now())


async def distrust_devices(connection: Executor | Database, account_id: str) -> None:
    """Let every browser of an account ask for the second factor again, inside the caller's transaction."""
    await connection.execute(_SQL["distrust"], UUID(account_id))


def _hash(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogatepass")).digest()
