"""Authorization codes: good once, for a minute, for the client and the redirect address that they were made for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final
from uuid import UUID

from gateway.clock import Clock
from gateway.oauth.state.families import Families, Family, Granted, family_of, token_hash
from gateway.storage.database import Database
from gateway.storage.statements import statements

_SQL: Final = statements("authorization_code")
_KEPT_UNUSED: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class NewCode:
    """What a code is bound to. ``redirect_uri_given``: the token request has to repeat it (RFC 6749 section 4.1.3)."""

    redirect_uri: str
    redirect_uri_given: bool
    nonce: str | None = field(default=None, repr=False)
    code_challenge: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Code:
    """A code that was redeemed just now."""

    family: Family
    bound: NewCode


class Codes:
    """Makes codes and redeems them."""

    def __init__(self, database: Database, families: Families, lifetime: timedelta, clock: Clock) -> None:
        self._database = database
        self._families = families
        self._lifetime = lifetime
        self._clock = clock

    async def issue(self, granted: Granted, bound: NewCode) -> str | None:
        """Begin a family and return its code. None: the account or the login has ended meanwhile."""
        code = secrets.token_urlsafe(32)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            family_id = await self._families.begin(connection, granted)
            if family_id is None:
                return None
            await connection.execute(
                _SQL["insert"],
                token_hash(code),
                granted.client_id,
                UUID(family_id),
                bound.redirect_uri,
                bound.redirect_uri_given,
                bound.nonce,
                bound.code_challenge,
                now,
                now + self._lifetime,
            )
        return code

    async def redeem(self, unverified_code: str, client_id: str, refresh_jti: str | None = None) -> Code | None:
        """Consume a client's code, and note the first refresh token of its family.

        A code that comes back revokes its family (RFC 6749 section 4.1.2).
        """
        key = token_hash(unverified_code)
        first = None if refresh_jti is None else token_hash(refresh_jti)
        row = await self._database.fetchrow(_SQL["consume"], key, client_id, self._clock.now(), first)
        if row is None:
            family_id = await self._database.fetchval(_SQL["used"], key, client_id)
            if family_id is not None:
                await self._families.revoke(str(family_id), "authorization code reused")
            return None
        bound = NewCode(row["redirect_uri"], row["redirect_uri_given"], row["nonce"], row["code_challenge"])
        return Code(family_of(row), bound)

    async def forget_unused(self) -> int:
        """Delete a batch of families whose code was never redeemed. Returns how many."""
        return await self._database.execute(_SQL["forget_unused"], self._clock.now() - _KEPT_UNUSED)
