"""Name and password: whether they sign in, at the pace that guesses are allowed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final
from uuid import UUID

from gateway.accounts.decoys import Decoys
from gateway.accounts.devices import KnownDevices
from gateway.accounts.passwords.hasher import PasswordHasher
from gateway.accounts.throttle.failures import Attempt, Failures
from gateway.accounts.throttle.subjects import (
    account_subject,
    address_subject,
    device_subject,
    name_subject,
    network_subject,
)
from gateway.accounts.user import User, name_key
from gateway.accounts.users import Users
from gateway.config.settings import Settings
from gateway.errors import LoginRefused, Overloaded

# The answer to a wrong password comes later and later: seconds after the third, fourth, ... failure.
_UNSLOWED: Final = 3
_SLOWEST_SECONDS: Final = 2.0
# Of those who wait at once: an answer that waits holds a connection, and nobody else's may run out.
_MOST_WAITING: Final = 200
_NOBODY: Final = str(UUID(int=0))

Sleep = Callable[[float], Awaitable[None]]
# Tells an owner that an account was locked by failures from an address.
Tell = Callable[[User, str], Awaitable[None]]


class PasswordLogin:
    """Decides whether a name and a password sign in."""

    def __init__(
        self,
        *,
        users: Users,
        hasher: PasswordHasher,
        failures: Failures,
        devices: KnownDevices,
        decoys: Decoys,
        settings: Settings,
        tell_locked: Tell,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._users = users
        self._hasher = hasher
        self._failures = failures
        self._devices = devices
        self._decoys = decoys
        self._settings = settings
        self._tell_locked = tell_locked
        self._sleep = sleep
        self._waiting = 0

    async def authenticate(self, name: str, password: str, address: str, device_secret: str | None = None) -> User:
        """Return the user. Raises LoginRefused, TooManyAttempts (also with the right password) or Overloaded.

        ``device_secret`` is what a browser holds that has signed in before: for its own account it is counted by
        itself, so that strangers' failures do not lock it out (OWASP: device cookies).
        """
        self._failures.refuse_known(address_subject(address), network_subject(address))
        if device_secret is None:
            self._failures.refuse_known(name_subject(name))
        known = await self._users.credentials(name)
        user, stored = known if known is not None else (None, None)
        subject = await self._subject(name, user, device_secret)
        # A device's failures are not the account's, and must not lock it.
        known_as = () if subject.startswith("device:") else (name_subject(name),)
        attempt = await self._failures.reserve(subject, address, *known_as)
        decoy = await self._decoys.password_hash(name) if user is None and self._hides else None
        right, outdated = await self._verify(password, stored or decoy, attempt)
        if right and decoy is not None:
            await self._failures.forgive(attempt)
            raise LoginRefused("unverified")
        if not right or user is None or stored is None or self._is_by_unproven_address(name, user):
            await self._failed(user, address, attempt)
            raise LoginRefused("bad_credentials")
        await self._failures.forgive(attempt)
        self.check_account(user)
        # Checking takes a while: what was ended meanwhile must not begin anew with the old password.
        if not await self._users.password_held(user.id, stored):
            raise LoginRefused("bad_credentials")
        if outdated:
            with suppress(Overloaded):  # the password is right: the next login finds more room
                await self._users.rehash(user.id, stored, password)
        return user

    def check_account(self, user: User) -> None:
        """Raise LoginRefused for an account that may not be used, whatever opens it."""
        if not user.is_active:
            raise LoginRefused("inactive")
        if self._confirms and not user.is_verified:
            raise LoginRefused("unverified")

    async def check_elsewhere(self, name: str, password: str, stored: str, address: str) -> bool:
        """Say whether a password is that of ``stored``, a hash that is no account's, at the pace of all guesses.

        Raises TooManyAttempts or Overloaded.
        """
        subject = name_subject(f"elsewhere\0{name}")
        self._failures.refuse_known(address_subject(address), network_subject(address), subject)
        attempt = await self._failures.reserve(subject, address)
        right, _ = await self._verify(password, stored, attempt)
        if right:
            await self._failures.forgive(attempt)
        else:
            await self._failed(None, address, attempt)
        return right

    async def unlock(self, user: User) -> None:
        """Forget the failures of an account: its owner has proven who they are in another way, or is vouched for."""
        await self._failures.unlock(user.id)

    async def forget_old(self) -> int:
        """Delete a batch of failures that no limit counts any more. Returns how many."""
        return await self._failures.forget_old()

    @property
    def _confirms(self) -> bool:
        return self._settings.registration.require_verified_email

    @property
    def _hides(self) -> bool:
        """Whether nobody is to learn who has an account: new ones hear by mail what became of them."""
        return self._confirms and self._settings.mail is not None

    def _is_by_unproven_address(self, name: str, user: User) -> bool:
        """Say whether somebody signs in by an address that they have not shown to read.

        They are answered as if the address were another account's, or they could tell the two apart.
        """
        return self._hides and not user.is_verified and name_key(name) == name_key(user.email)

    async def _subject(self, name: str, user: User | None, device_secret: str | None) -> str:
        if device_secret is not None:
            # Also for a name that nobody has: the answer must not come earlier.
            device = await self._devices.find(device_secret, user.id if user is not None else _NOBODY)
            if device is not None:
                return device_subject(device.id)
        return account_subject(name, user)

    async def _verify(self, password: str, stored: str | None, attempt: Attempt) -> tuple[bool, bool]:
        try:
            return await self._hasher.verify(password, stored)
        except BaseException:
            # Overload is no failure of the person's: shielded, as the client may have gone.
            await asyncio.shield(self._failures.take_back(attempt))
            raise

    async def _failed(self, user: User | None, address: str, attempt: Attempt) -> None:
        if user is not None and user.is_active and self._failures.locks(attempt):
            await self._tell_locked(user, address)
        over = attempt.earlier_failures - _UNSLOWED
        if over < 0 or self._waiting >= _MOST_WAITING:
            return
        self._waiting += 1
        try:
            await self._sleep(min(_SLOWEST_SECONDS, 0.25 * 2**over))
        finally:
            self._waiting -= 1
