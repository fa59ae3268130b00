"""Device codes: a device asks, a person decides in a browser elsewhere, the device returns for its tokens (RFC 8628).

The device holds 256 random bits; the person types eight letters, which are good for looking at and deciding once.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum
from typing import Final
from uuid import UUID

from gateway.clock import Clock
from gateway.oauth.state.families import Families, Family, Granted, token_hash
from gateway.storage.database import Database
from gateway.storage.statements import statements

INTERVAL: Final = timedelta(seconds=5)
# Section 6.1: no vowels, so that no words come out, and nothing that looks like a digit.
_ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
_LENGTH: Final = 8
_HALF: Final = 4
_MOST_TRIES: Final = 5
_LONGEST_TYPED: Final = 40
_SQL: Final = statements("device_code")


@dataclass(frozen=True, slots=True)
class IssuedDeviceCode:
    """What a device is given. It polls no more often than ``interval_seconds``."""

    device_code: str = field(repr=False)
    user_code: str = field(repr=False)
    expires_at: datetime
    interval_seconds: int


@dataclass(frozen=True, slots=True)
class WaitingDevice:
    """A device that waits for its person. ``user_code`` is in its one spelling."""

    user_code: str = field(repr=False)
    client_id: str
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    created_at: datetime


class NotYet(Enum):
    """Why a device gets nothing (section 3.5); what it is told."""

    PENDING = "authorization_pending"
    SLOW_DOWN = "slow_down"
    DENIED = "access_denied"
    EXPIRED = "expired_token"
    UNKNOWN = "invalid_grant"


class DeviceCodes:
    """Gives codes out, lets people decide, and redeems them."""

    def __init__(self, database: Database, families: Families, lifetime: timedelta, clock: Clock) -> None:
        self._database = database
        self._families = families
        self.lifetime = lifetime
        self._clock = clock

    async def issue(self, client_id: str, scopes: Sequence[str], resources: Sequence[str]) -> IssuedDeviceCode:
        """Begin to wait for a person."""
        device_code = secrets.token_urlsafe(32)
        now = self._clock.now()
        expires_at, interval = now + self.lifetime, int(INTERVAL.total_seconds())
        for _ in range(_MOST_TRIES):
            user_code = "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))
            kept = await self._database.fetchval(
                _SQL["insert"],
                token_hash(device_code),
                user_code,
                client_id,
                list(scopes),
                list(resources),
                now,
                expires_at,
                interval,
            )
            if kept is not None:
                return IssuedDeviceCode(device_code, shown(user_code), expires_at, interval)
        raise LookupError("no user code is free")

    async def find_waiting(self, unverified_code: str) -> WaitingDevice | None:
        """Return the device that waits with this code, however it was typed."""
        row = await self._database.fetchrow(_SQL["find_waiting"], normal(unverified_code), self._clock.now())
        if row is None:
            return None
        return WaitingDevice(
            row["user_code"], row["client_id"], tuple(row["scopes"]), tuple(row["resources"]), row["created_at"]
        )

    async def approve(self, device: WaitingDevice, granted: Granted) -> bool:
        """Begin the family that the device gets. False: it does not wait any more, or the account is over."""
        async with self._database.transaction() as connection:
            now = self._clock.now()
            if await connection.fetchval(_SQL["lock_waiting"], device.user_code, granted.client_id, now) is None:
                return False
            family_id = await self._families.begin(connection, granted)
            if family_id is None:
                return False
            await connection.execute(_SQL["approve"], device.user_code, UUID(family_id))
            return True

    async def deny(self, device: WaitingDevice) -> bool:
        """Tell the device no. False: it does not wait any more."""
        return bool(await self._database.execute(_SQL["deny"], device.user_code, self._clock.now()))

    async def poll(self, unverified_device_code: str, client_id: str) -> Family | NotYet:
        """Return the family of an approved device, this once, or why there is none."""
        now, key = self._clock.now(), token_hash(unverified_device_code)
        row = await self._database.fetchrow(_SQL["poll"], key, client_id, now)
        if row is None:
            return NotYet.UNKNOWN
        if row["expires_at"] <= now:
            return NotYet.EXPIRED
        if row["decision"] == "denied":
            return NotYet.DENIED
        if row["too_soon"]:
            return NotYet.SLOW_DOWN
        if row["decision"] is None:
            return NotYet.PENDING
        family_id = await self._database.fetchval(_SQL["consume"], key, client_id, now)
        family = await self._families.find(str(family_id)) if family_id is not None else None
        return family if family is not None else NotYet.UNKNOWN

    async def forget_expired(self) -> int:
        """Delete a batch of codes that nobody can use any more. Returns how many."""
        return await self._database.execute(_SQL["forget_expired"], self._clock.now())


def normal(unverified_code: str) -> str:
    """Return a typed code in its one spelling: case, dashes and spaces do not matter."""
    return "".join(letter for letter in unverified_code[:_LONGEST_TYPED].upper() if letter in _ALPHABET)


def shown(user_code: str) -> str:
    """Return a code as people read it."""
    return f"{user_code[:_HALF]}-{user_code[_HALF:]}"


def neat(unverified_code: str) -> str:
    """Return a typed code as people read it when it may be one, else as it was typed."""
    code = normal(unverified_code)
    return shown(code) if len(code) == _LENGTH else unverified_code[:_LONGEST_TYPED]
