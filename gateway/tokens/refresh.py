"""Refresh tokens: single use, in families.

A token that comes back after its use has leaked, so it revokes its family (RFC 9700 section 4.14).
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import asyncpg

from gateway.clock import Clock
from gateway.errors import LoginRefused, TokenRejected
from gateway.storage.database import Connection, Database, Executor
from gateway.storage.events import EventFeed, publish
from gateway.storage.lookup import Lookup
from gateway.storage.statements import statements
from gateway.tokens.access import AccessTokens
from gateway.tokens.jwt import Expected, verify
from gateway.tokens.keys import SigningKeys

REFRESH_TYPE: Final = "refresh+jwt"
_SQL: Final = statements("refresh")


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What a login or a refresh gives out. Neither token shows in a repr."""

    account_id: str
    family_id: str
    expires_in_seconds: int
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Family:
    id: str
    account_id: str
    scopes: Sequence[str] | None
    authenticated_at: datetime
    methods: Sequence[str]
    expires_at: datetime

    @classmethod
    def of(cls, row: asyncpg.Record) -> _Family:
        return cls(
            str(row["family_id"]),
            str(row["account_id"]),
            row["scopes"],
            row["authenticated_at"],
            row["methods"],
            row["expires_at"],
        )


class RefreshTokens:
    """Starts, rotates and revokes families."""

    def __init__(
        self,
        database: Database,
        keys: SigningKeys,
        access: AccessTokens,
        *,
        issuer: str,
        lifetime: timedelta,
        clock: Clock,
        feed: EventFeed | None = None,
    ) -> None:
        self._database = database
        self._keys = keys
        self._access = access
        self._issuer = issuer
        self._lifetime = lifetime
        self._clock = clock
        self._feed = feed
        self._identities = Lookup(database, _SQL["family_identity"])

    async def start_family(
        self,
        account_id: str,
        *,
        methods: Sequence[str] = ("pwd",),
        scopes: Sequence[str] | None = None,
    ) -> TokenPair:
        """Begin a family for someone who has just authenticated. The family stands before its first token.

        Raises LoginRefused when the account has been disabled or deleted meanwhile.
        """
        now = self._clock.now()
        expires_at = now + self._lifetime
        async with self._database.transaction() as connection:
            family_id = await connection.fetchval(
                _SQL["insert_family"], UUID(account_id), None, scopes, now, list(methods), now, expires_at
            )
            if family_id is None:
                raise LoginRefused("inactive")
            family = _Family(str(family_id), account_id, scopes, now, methods, expires_at)
            return await self._issue(connection, family)

    async def rotate(self, unverified_token: str) -> TokenPair:
        """Exchange a refresh token for a new pair. Raises TokenRejected; reuse revokes the family."""
        expected = Expected(REFRESH_TYPE, self._issuer, self._issuer)
        now = self._clock.now()
        claims = verify(unverified_token, self._keys.find, expected, now.timestamp())
        token_hash = _hash(str(claims.get("jti", "")))
        async with self._database.transaction() as connection:
            row = await connection.fetchrow(_SQL["consume"], token_hash, now)
            if row is not None:
                return await self._issue(connection, _Family.of(row))
        # Outside the transaction: the revocation must stand although this request fails.
        await self._revoke_if_reused(token_hash)
        raise TokenRejected("refresh_token_invalid")

    async def revoke_family(self, family_id: str, reason: str) -> bool:
        """End a family. Returns False when it was over already."""
        async with self._database.transaction() as connection:
            done = await connection.execute(_SQL["revoke_family"], UUID(family_id), self._clock.now(), reason)
            if done:
                await publish(connection, "family", family_id)
        await self._caught_up()
        return bool(done)

    async def revoke_account(self, account_id: str, reason: str) -> int:
        """End every family of an account. Returns how many there were."""
        async with self._database.transaction() as connection:
            count = await revoke_families(connection, account_id, self._clock.now(), reason)
        await self._caught_up()
        return count

    async def identity_row(self, family_id: str, account_id: str) -> asyncpg.Record | None:
        """Return the account behind an access token while both it and the family are good, else None."""
        try:
            family, account = UUID(family_id), UUID(account_id)
        except ValueError:
            return None
        return await self._identities.find(family, account)

    async def forget_expired(self) -> int:
        """Delete a batch of families that ended long ago. Returns how many."""
        return await self._database.execute(_SQL["forget_expired"], self._clock.now() - timedelta(days=1))

    async def _revoke_if_reused(self, token_hash: bytes) -> None:
        family_id = await self._database.fetchval(_SQL["used"], token_hash)
        if family_id is not None:
            await self.revoke_family(str(family_id), "refresh token reused")

    async def _issue(self, connection: Connection, family: _Family) -> TokenPair:
        now = self._clock.now()
        jti = secrets.token_urlsafe(32)
        await connection.execute(_SQL["insert_token"], _hash(jti), UUID(family.id), now, family.expires_at)
        refresh_claims = {
            "iss": self._issuer,
            "aud": self._issuer,
            "sub": family.account_id,
            "sid": family.id,
            "iat": int(now.timestamp()),
            "exp": int(family.expires_at.timestamp()),
            "jti": jti,
        }
        access_token = self._access.issue(
            family.account_id,
            family.id,
            authenticated_at=family.authenticated_at,
            methods=family.methods,
            scopes=family.scopes,
        )
        return TokenPair(
            account_id=family.account_id,
            family_id=family.id,
            expires_in_seconds=self._access.lifetime_seconds,
            access_token=access_token,
            refresh_token=self._keys.sign(refresh_claims, REFRESH_TYPE),
        )

    async def _caught_up(self) -> None:
        if self._feed is not None:
            await self._feed.caught_up()


async def revoke_families(connection: Executor, account_id: str, now: datetime, reason: str) -> int:
    """End every family of an account inside the caller's transaction. Returns how many."""
    rows = await connection.fetch(_SQL["revoke_account"], UUID(account_id), now, reason)
    for row in rows:
        await publish(connection, "family", str(row["id"]))
    return len(rows)


def _hash(jti: str) -> bytes:
    return hashlib.sha256(jti.encode("utf-8", "surrogatepass")).digest()
