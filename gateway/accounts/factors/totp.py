"""Codes of authenticator apps (RFC 6238): six digits, a new one each thirty seconds, each good once."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import pyotp

from gateway.accounts.user import User
from gateway.clock import Clock
from gateway.storage.database import Database, Executor
from gateway.storage.statements import statements
from gateway.tokens.box import Box
from gateway.tokens.master_key import MasterKey

DIGITS: Final = 6
STEP_SECONDS: Final = 30
MOST_PER_ACCOUNT: Final = 5
# RFC 6238 section 5.2: one step for a clock that is slow, and one for one that is fast.
_STEPS_OFF: Final = (0, -1, 1)
_PROVEN_WITHIN: Final = timedelta(hours=1)
_SQL: Final = statements("second_factor")


@dataclass(frozen=True, slots=True)
class Enrolment:
    """An app that is being set up. ``uri`` is what it photographs, ``secret`` what can be typed instead."""

    id: str
    secret: str = field(repr=False)
    uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Totp:
    """An app that has been proven."""

    id: str
    name: str
    created_at: datetime
    last_used_at: datetime | None


class Totps:
    """Sets up apps and checks their codes. ``issuer`` is what apps show beside the account's name."""

    def __init__(self, database: Database, master_key: MasterKey, issuer: str, clock: Clock) -> None:
        self._database = database
        self._box = Box(master_key, "authenticator apps")
        self._issuer = issuer
        self._clock = clock

    async def begin(self, user: User, name: str) -> Enrolment:
        """Make the secret of a new app. It counts for nothing before `prove`."""
        secret = pyotp.random_base32()
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["drop_unproven_totps"], UUID(user.id))
            identifier = await connection.fetchval(
                _SQL["add_totp"], UUID(user.id), name, self._box.seal(secret), self._clock.now()
            )
        return self._enrolment(str(identifier), secret, user)

    async def unproven(self, user: User, totp_id: UUID) -> Enrolment | None:
        """Return an app that waits for its first code."""
        row = await self._unproven(user.id, totp_id)
        return self._enrolment(str(row[0]), row[1], user) if row is not None else None

    async def prove(
        self, account_id: str, totp_id: UUID, code: str, name: str | None, connection: Executor
    ) -> str | None:
        """Take the first code of an app: from now on it counts. Returns its name, or None for a wrong code."""
        row = await self._unproven(account_id, totp_id)
        step = self._step_of(row[1], code) if row is not None else None
        if step is None:
            return None
        now = self._clock.now()
        proven: str | None = await connection.fetchval(_SQL["prove_totp"], totp_id, UUID(account_id), now, step, name)
        return proven

    async def verify(self, account_id: str, code: str) -> bool:
        """Take a code of any of the account's apps; each is good once."""
        for row in await self._database.fetch(_SQL["totps"], UUID(account_id)):
            step = self._step_of(self._box.open(row["sealed_secret"]), code)
            if step is not None:
                return bool(await self._database.execute(_SQL["use_totp"], row["id"], step, self._clock.now()))
        return False

    async def list_for(self, account_id: str) -> Sequence[Totp]:
        rows = await self._database.fetch(_SQL["totps"], UUID(account_id))
        return [Totp(str(row["id"]), row["name"], row["created_at"], row["last_used_at"]) for row in rows]

    async def forget_unproven(self) -> int:
        """Delete a batch of apps that nobody has finished setting up. Returns how many."""
        return await self._database.execute(_SQL["forget_unproven_totps"], self._clock.now() - _PROVEN_WITHIN)

    async def _unproven(self, account_id: str, totp_id: UUID) -> tuple[UUID, str] | None:
        since = self._clock.now() - _PROVEN_WITHIN
        row = await self._database.fetchrow(_SQL["unproven_totp"], totp_id, UUID(account_id), since)
        return (row["id"], self._box.open(row["sealed_secret"])) if row is not None else None

    def _enrolment(self, identifier: str, secret: str, user: User) -> Enrolment:
        uri = pyotp.TOTP(secret).provisioning_uri(name=user.username, issuer_name=self._issuer)
        return Enrolment(identifier, secret, uri)

    def _step_of(self, secret: str, code: str) -> int | None:
        """Return the time step that ``code`` belongs to. Every candidate is compared, whatever the first says."""
        now = int(self._clock.now().timestamp()) // STEP_SECONDS
        generator = pyotp.TOTP(secret, digits=DIGITS, interval=STEP_SECONDS)
        matching = [
            now + off
            for off in _STEPS_OFF
            if hmac.compare_digest(generator.at((now + off) * STEP_SECONDS).encode(), code.encode("utf-8", "replace"))
        ]
        return matching[0] if matching else None
