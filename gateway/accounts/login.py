"""Name and password, with failures counted in the database for all processes together.

An attempt is reserved as a failure before the password is checked and forgiven when it was right, so that many at once
cannot get more tries than the limit.
"""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
import math
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.accounts.passwords import PasswordHasher
from gateway.accounts.user import LONGEST_NAME, User, name_key
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.errors import LoginRefused, Overloaded, TooManyAttempts
from gateway.storage.database import Connection, Database
from gateway.storage.statements import statements

_SQL: Final = statements("login")
# The answer to a wrong password comes later and later: seconds after the third, fourth, ... failure.
_UNSLOWED: Final = 3
_SLOWEST_SECONDS: Final = 2.0

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class _Attempt:
    reservations: tuple[int, ...]
    earlier_failures: int


class PasswordLogin:
    """Decides whether a name and a password sign in."""

    def __init__(
        self,
        database: Database,
        users: Users,
        hasher: PasswordHasher,
        settings: Settings,
        clock: Clock,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._database = database
        self._users = users
        self._hasher = hasher
        self._settings = settings
        self._clock = clock
        self._sleep = sleep

    async def authenticate(self, name: str, password: str, address: str) -> User:
        """Return the user. Raises LoginRefused, TooManyAttempts (also with the right password) or Overloaded."""
        known = await self._users.credentials(name)
        user, stored = known if known is not None else (None, None)
        account = account_subject(name, user)
        attempt = await self._reserve(account, address_subject(address))
        right, outdated = await self._verify(password, stored, attempt)
        if not right or user is None or stored is None:
            await self._slow_down(attempt)
            raise LoginRefused("bad_credentials")
        await self._forgive(account, attempt)
        if not user.is_active:
            raise LoginRefused("inactive")
        if self._settings.registration.require_verified_email and not user.is_verified:
            raise LoginRefused("unverified")
        # Checking takes a while: what was ended meanwhile must not begin anew with the old password.
        if not await self._users.password_held(user.id, stored):
            raise LoginRefused("bad_credentials")
        if outdated:
            with suppress(Overloaded):  # the password is right: the next login finds more room
                await self._users.rehash(user.id, stored, password)
        return user

    async def unlock(self, user: User) -> None:
        """Forget the failures of an account: its owner has proven who they are in another way."""
        await self._database.execute(_SQL["clear"], account_subject("", user))

    async def _verify(self, password: str, stored: str | None, attempt: _Attempt) -> tuple[bool, bool]:
        try:
            return await self._hasher.verify(password, stored)
        except BaseException:
            # Overload is no failure of the person's: shielded, as the client may have gone.
            await asyncio.shield(self._database.execute(_SQL["forgive"], list(attempt.reservations)))
            raise

    async def _reserve(self, account: str, address: str) -> _Attempt:
        limits, now = self._settings.login, self._clock.now()
        async with self._database.transaction() as connection:
            for subject in sorted((account, address)):  # in one order, so that two attempts cannot wait on each other
                await connection.execute(_SQL["lock_subject"], subject)
            failures, locked_until = await self._failures(connection, account)
            if locked_until is not None and locked_until > now:
                raise TooManyAttempts(seconds_until(locked_until, now))
            # When this one is no longer counted, there is room for another.
            blocking = await connection.fetchval(_SQL["nth_newest"], address, now - limits.window, limits.per_ip - 1)
            if blocking is not None:
                raise TooManyAttempts(seconds_until(blocking + limits.window, now))
            reserved = [await connection.fetchval(_SQL["reserve"], subject, now) for subject in (account, address)]
        return _Attempt(tuple(reserved), failures)

    async def _failures(self, connection: Connection, account: str) -> tuple[int, datetime | None]:
        """Return how many failures the window holds now, and until when the newest ones lock the account."""
        limits, now = self._settings.login, self._clock.now()
        since = now - self._counted_for
        row = await connection.fetchrow(_SQL["failures"], account, since, now - limits.window, limits.max_failures)
        if row is None or row["limiting"] is None or row["newest"] - row["limiting"] >= limits.window:
            return (int(row["recent"]) if row is not None else 0), None
        return int(row["recent"]), row["newest"] + limits.lockout

    @property
    def _counted_for(self) -> timedelta:
        """The age at which no lockout rests on a failure any more: it began a window before the newest one's end."""
        return self._settings.login.window + self._settings.login.lockout

    async def _forgive(self, account: str, attempt: _Attempt) -> None:
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["forgive"], list(attempt.reservations))
            await connection.execute(_SQL["clear"], account)

    async def _slow_down(self, attempt: _Attempt) -> None:
        over = attempt.earlier_failures - _UNSLOWED
        if over >= 0:
            await self._sleep(min(_SLOWEST_SECONDS, 0.25 * 2**over))

    async def forget_old(self) -> int:
        """Delete a batch of failures that no limit counts any more. Returns how many."""
        return await self._database.execute(_SQL["forget_old"], self._clock.now() - self._counted_for)


def account_subject(name: str, user: User | None) -> str:
    """Return one subject for every spelling of an account's names; names that do not exist have one alike."""
    if user is not None:
        return f"account:{user.id}"
    # Nobody's name is longer; and whoever tries one that is gets no long work done.
    digest = hashlib.sha256(name_key(name[:LONGEST_NAME]).encode("utf-8", "surrogatepass")).hexdigest()
    return f"name:{digest}"


def address_subject(address: str) -> str:
    """Return the subject of an address; an IPv6 host owns its /64."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return "address:unknown"
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped is not None:
            return f"address:{parsed.ipv4_mapped}"
        return f"address:{ipaddress.ip_network((parsed.packed, 64), strict=False)}"
    return f"address:{parsed}"


def seconds_until(moment: datetime, now: datetime) -> int:
    """Return for how many seconds somebody has to wait, at least one."""
    return max(1, math.ceil((moment - now).total_seconds()))
