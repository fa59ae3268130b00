"""Making an account for oneself, where addresses are confirmed by mail: nobody learns who has one already."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from gateway.accounts.decoys import Decoys
from gateway.accounts.mail.letters import Letters
from gateway.accounts.mail.postbox import Postbox
from gateway.accounts.recovery.addresses import Addresses
from gateway.accounts.recovery.verification import Verification
from gateway.accounts.throttle.attempts import Attempts
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.config.accounts import Registration
from gateway.errors import AddressTaken, TooManyAttempts
from gateway.storage.database import Connection

ATTEMPTS_KIND: Final = "registered"
_MOST_REMINDERS: Final = 1


class Registering:
    """Makes accounts and writes to their addresses."""

    def __init__(
        self,
        users: Users,
        decoys: Decoys,
        verification: Verification,
        postbox: Postbox,
        letters: Letters,
        addresses: Addresses,
        registration: Registration,
        attempts: Attempts,
    ) -> None:
        self._users = users
        self._decoys = decoys
        self._verification = verification
        self._postbox = postbox
        self._letters = letters
        self._addresses = addresses
        self._registration = registration
        self._attempts = attempts

    @property
    def writes(self) -> bool:
        """Whether a new account is written to, and must answer before it works."""
        return self._postbox.enabled and self._registration.require_verified_email

    async def register(
        self,
        username: str,
        email: str,
        password: str,
        *,
        name: str = "",
        roles: Sequence[str] | None = None,
        address: str = "",
    ) -> User | None:
        """Make an account. Returns None when the address has one: its owner is written to, and the asker is told alike.

        ``address`` is where a stranger asks from, who may not do so too often (TooManyAttempts).

        Usernames are no secret: a taken one is said (InvalidInput), as everything else that is wrong.
        """
        if address:
            await self._attempts.reserve_address(address)
        if not self.writes:
            user = await self._users.create(username, email, password, name=name, roles=roles)
        else:
            try:
                user = await self._create(username, email, password, name, roles)
            except AddressTaken as error:
                await self._decoys.put(username, error.password_hash or "")
                await self._remind(email)
                return None
        if self._postbox.enabled:
            await self._verification.send(user)
        return user

    async def _create(self, username: str, email: str, password: str, name: str, roles: Sequence[str] | None) -> User:
        async def not_taken(connection: Connection) -> None:
            await self._decoys.refuse_taken(connection, username)

        return await self._users.create(username, email, password, name=name, roles=roles, first=not_taken)

    async def _remind(self, email: str) -> None:
        known = await self._users.credentials(email)
        if known is None:
            return
        with suppress(TooManyAttempts):  # they know by now
            await self._attempts.reserve_account(known[0].id, _MOST_REMINDERS)
            await self._postbox.put(self._letters.already_registered(known[0], self._addresses.of("login")))
