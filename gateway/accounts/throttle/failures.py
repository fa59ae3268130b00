"""Failed logins: reserved before a password is checked and forgiven when it was right.

So many at once cannot get more tries than the limit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from gateway.accounts.throttle.locked import TOPIC, Locked
from gateway.accounts.throttle.subjects import address_subject, network_subject, seconds_until
from gateway.clock import Clock
from gateway.config.accounts import LoginSettings
from gateway.errors import TooManyAttempts
from gateway.storage.database import Connection, Database
from gateway.storage.events import EventFeed, publish
from gateway.storage.statements import statements

_SQL: Final = statements("login")


@dataclass(frozen=True, slots=True)
class Attempt:
    """One that was reserved. ``subject`` is the account's, or the device's that it came from."""

    subject: str
    reservations: tuple[int, ...]
    earlier_failures: int

    @property
    def is_device(self) -> bool:
        return self.subject.startswith("device:")


class Failures:
    """Counts for an account, an address and its network; locks accounts."""

    def __init__(self, database: Database, limits: LoginSettings, clock: Clock, feed: EventFeed | None = None) -> None:
        self._database = database
        self._limits = limits
        self._clock = clock
        self._feed = feed
        self._locked = Locked(clock, feed)

    def refuse_known(self, *subjects: str) -> None:
        """Raise TooManyAttempts for what is known to be locked, without asking anybody."""
        for subject in subjects:
            until = self._locked.until(subject)
            if until is not None:
                raise TooManyAttempts(seconds_until(until, self._clock.now()))

    def locks(self, attempt: Attempt) -> bool:
        """Say whether this attempt, failed, is the one that locks an account."""
        return not attempt.is_device and attempt.earlier_failures + 1 == self._limits.max_failures

    async def reserve(self, subject: str, address: str, *known_as: str) -> Attempt:
        """Count one attempt. Raises TooManyAttempts, also for the right password.

        ``known_as`` are what to remember a locked account by, beside ``subject``.
        """
        places = self._places(address)
        async with self._database.transaction() as connection:
            for each in sorted((subject, *places)):  # in one order, so that two attempts cannot wait on each other
                await connection.execute(_SQL["lock_subject"], each)
            failures, locked_until = await self._of(connection, subject)
            if locked_until is not None and locked_until > self._clock.now():
                raise self._refused(locked_until, subject, *known_as)
            for place, limit in places.items():
                await self._check_place(connection, place, limit)
            reserved = [
                await connection.fetchval(_SQL["reserve"], each, self._clock.now()) for each in (subject, *places)
            ]
        return Attempt(subject, tuple(reserved), failures)

    async def take_back(self, attempt: Attempt) -> None:
        """Forget an attempt that was nobody's failure."""
        await self._database.execute(_SQL["forgive"], list(attempt.reservations))

    async def forgive(self, attempt: Attempt) -> None:
        """Forget an attempt that was right, and all that failed before it for the same subject."""
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["forgive"], list(attempt.reservations))
            await connection.execute(_SQL["clear"], attempt.subject)

    async def unlock(self, account_id: str) -> None:
        """Forget what failed for an account: passwords and codes, on its own devices as well. Every process hears."""
        subjects = (f"account:{account_id}", f"factor:account:{account_id}", f"password:account:{account_id}")
        async with self._database.transaction() as connection:
            for subject in subjects:
                await connection.execute(_SQL["clear"], subject)
            await connection.execute(_SQL["clear_devices"], UUID(account_id))
            await publish(connection, TOPIC, account_id)
        self._locked.clear()

    async def forget_old(self) -> int:
        """Delete a batch of failures that no limit counts any more. Returns how many."""
        return await self._database.execute(_SQL["forget_old"], self._clock.now() - self._counted_for)

    def _places(self, address: str) -> Mapping[str, int]:
        return {address_subject(address): self._limits.per_ip, network_subject(address): self._limits.per_network}

    async def _check_place(self, connection: Connection, place: str, limit: int) -> None:
        # When this one is no longer counted, there is room for another.
        now, window = self._clock.now(), self._limits.window
        blocking = await connection.fetchval(_SQL["nth_newest"], place, now - window, limit - 1)
        if blocking is not None:
            raise self._refused(blocking + window, place)

    async def _of(self, connection: Connection, subject: str) -> tuple[int, datetime | None]:
        """Return how many failures the window holds now, and until when the newest ones lock the subject."""
        limits, now = self._limits, self._clock.now()
        since = now - self._counted_for
        row = await connection.fetchrow(_SQL["failures"], subject, since, now - limits.window, limits.max_failures)
        if row is None or row["limiting"] is None or row["newest"] - row["limiting"] >= limits.window:
            return (int(row["recent"]) if row is not None else 0), None
        return int(row["recent"]), row["newest"] + limits.lockout

    def _refused(self, until: datetime, *subjects: str) -> TooManyAttempts:
        for subject in subjects:
            self._locked.hold(subject, until)
        return TooManyAttempts(seconds_until(until, self._clock.now()))

    @property
    def _counted_for(self) -> timedelta:
        """The age at which no lockout rests on a failure any more: it began a window before the newest one's end."""
        return self._limits.window + self._limits.lockout
