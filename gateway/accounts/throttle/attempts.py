"""Guesses at short codes, counted in the database for all processes together, in the table of failed logins.

As there, an attempt is reserved as a failure before its code is looked up and forgiven when it was right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.accounts.throttle.subjects import address_subject, seconds_until
from gateway.clock import Clock
from gateway.config.accounts import LoginSettings
from gateway.errors import TooManyAttempts
from gateway.storage.database import Database
from gateway.storage.statements import statements

_SQL: Final = statements("login")


class Attempts:
    """Counts the attempts at one kind of code: as many may fail as logins may, by an account and from an address."""

    def __init__(self, kind: str, database: Database, limits: LoginSettings, clock: Clock) -> None:
        self._kind = kind
        self._database = database
        self._limits = limits
        self._clock = clock

    async def reserve(self, account_id: str, address: str) -> Sequence[int]:
        """Count one attempt; pass what is returned to `forgive` when it was right. Raises TooManyAttempts."""
        most: Mapping[str, int] = {
            f"{self._kind}:account:{account_id}": self._limits.max_failures,
            f"{self._kind}:{address_subject(address)}": self._limits.per_ip,
        }
        now, window = self._clock.now(), self._limits.window
        async with self._database.transaction() as connection:
            for subject in sorted(most):  # in one order, so that two attempts cannot wait on each other
                await connection.execute(_SQL["lock_subject"], subject)
            for subject, limit in most.items():
                blocking = await connection.fetchval(_SQL["nth_newest"], subject, now - window, limit - 1)
                if blocking is not None:
                    raise TooManyAttempts(seconds_until(blocking + window, now))
            return [await connection.fetchval(_SQL["reserve"], subject, now) for subject in most]

    async def reserve_address(self, address: str) -> None:
        """Count one attempt for an address alone: who it is for is not known. Raises TooManyAttempts."""
        await self._reserve_one(f"{self._kind}:{address_subject(address)}", self._limits.per_ip)

    async def reserve_account(self, account_id: str, most: int) -> None:
        """Count one attempt for an account alone, wherever it comes from. Raises TooManyAttempts."""
        await self._reserve_one(f"{self._kind}:account:{account_id}", most)

    async def _reserve_one(self, subject: str, most: int) -> None:
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["lock_subject"], subject)
            blocking = await connection.fetchval(_SQL["nth_newest"], subject, now - self._limits.window, most - 1)
            if blocking is not None:
                raise TooManyAttempts(seconds_until(blocking + self._limits.window, now))
            await connection.fetchval(_SQL["reserve"], subject, now)

    async def forgive(self, reserved: Sequence[int]) -> None:
        """Take back an attempt that was right."""
        await self._database.execute(_SQL["forgive"], list(reserved))
