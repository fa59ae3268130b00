"""Confirming that an account's address is its owner's."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from gateway.accounts.changes import Changes
from gateway.accounts.mail.letters import Letters
from gateway.accounts.mail.postbox import Postbox
from gateway.accounts.recovery.addresses import VERIFY, Addresses
from gateway.accounts.recovery.links import LinkOver, Links, Purpose
from gateway.accounts.user import User, name_key
from gateway.accounts.users import Users
from gateway.errors import NotFound
from gateway.storage.database import Connection, Database

LIFETIME: Final = timedelta(days=1)
_MOST_AN_HOUR: Final = 5
_HOUR: Final = timedelta(hours=1)


class Verification:
    """Sends links and takes them."""

    def __init__(
        self, database: Database, users: Users, links: Links, postbox: Postbox, letters: Letters, addresses: Addresses
    ) -> None:
        self._database = database
        self._users = users
        self._links = links
        self._postbox = postbox
        self._letters = letters
        self._addresses = addresses

    async def send(self, user: User) -> bool:
        """Write to the account's address. Returns False when enough letters went there lately, or none can be sent."""
        if not self._postbox.enabled:
            return False
        async with self._database.transaction() as connection:
            await self._links.lock(connection, user.id)
            if await self._links.recent(connection, Purpose.VERIFY, user.email, _HOUR) >= _MOST_AN_HOUR:
                return False
            url = await self._issue(connection, user)
            await self._postbox.put(self._letters.verify(user, url, LIFETIME), connection, lifetime=LIFETIME)
        return True

    async def link(self, user: User) -> str:
        """Return a link for an administrator to pass on."""
        async with self._database.transaction() as connection:
            return await self._issue(connection, user)

    async def confirm(self, secret: str) -> User:
        """Use a link. Raises LinkOver, also when the account has another address by now."""
        link = await self._links.find(secret, Purpose.VERIFY)

        async def use(connection: Connection) -> None:
            await self._links.use(connection, secret, Purpose.VERIFY)
            await self._links.void(connection, link.account_id, Purpose.VERIFY)

        try:
            user = await self._users.get(link.account_id)
            if name_key(user.email) != link.email_key:
                raise LinkOver("the account has another address by now")
            return await self._users.change(user.id, Changes(is_verified=True), first=use)
        except NotFound as error:
            raise LinkOver("the account is gone") from error

    async def _issue(self, connection: Connection, user: User) -> str:
        secret = await self._links.issue(connection, Purpose.VERIFY, user.email, LIFETIME, account_id=user.id)
        return self._addresses.of(VERIFY, secret)
