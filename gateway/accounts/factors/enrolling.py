"""Passkeys that come and go, with what goes with it: recovery codes for a first factor, trust in no device."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from gateway.accounts.factors.factors import SecondFactors
from gateway.accounts.factors.passkey import check_name
from gateway.accounts.factors.passkeys import DEVICE_BOUND, SYNCED, Passkeys
from gateway.accounts.user import User
from gateway.storage.database import Database


@dataclass(frozen=True, slots=True)
class Added:
    """What a new passkey proves (RFC 8176), and recovery codes to be shown once when it is the first factor."""

    method: str
    recovery_codes: Sequence[str] = field(repr=False)


class PasskeyEnrolment:
    """Adds, renames and removes. ``binding`` is a secret that the asking browser holds."""

    def __init__(self, database: Database, passkeys: Passkeys, second_factors: SecondFactors) -> None:
        self._database = database
        self._passkeys = passkeys
        self._second_factors = second_factors

    async def options(self, user: User, binding: str) -> dict[str, Any]:
        """Return what the browser is asked to make. Raises InvalidInput when there is no room."""
        return await self._passkeys.registration_options(user, binding)

    async def add(self, user: User, binding: str, unverified: str, name: str) -> Added:
        """Take a new passkey. Raises PasskeyRefused, InvalidInput."""
        check_name(name)  # before the challenge is used up
        made = await self._passkeys.verify_new(user.id, binding, unverified)
        async with self._database.transaction() as connection:
            passkey = await self._passkeys.add(connection, user.id, name, made)
            proven = await self._second_factors.added(user, passkey.name, connection)
        return Added(SYNCED if passkey.is_synced else DEVICE_BOUND, proven.recovery_codes)

    async def rename(self, account_id: str, passkey_id: UUID, name: str) -> None:
        """Give a passkey another name. Raises NotFound, InvalidInput."""
        await self._passkeys.rename(account_id, passkey_id, name)

    async def remove(self, user: User, passkey_id: UUID) -> None:
        """Remove a passkey. Raises NotFound, and InvalidInput for the last factor where a role demands one."""
        async with self._database.transaction() as connection:
            name = await self._passkeys.remove(connection, user.id, passkey_id)
            await self._second_factors.removed(user, name, connection)
