"""A forgotten password: a link to the account's address, and a new password for it.

Whoever asks is answered at once and alike, whether there is such an account or not; what there is to do is done
afterwards, by a task that nobody waits for.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from typing import Final
from uuid import UUID

from gateway.accounts.changes import Changes
from gateway.accounts.login import PasswordLogin
from gateway.accounts.mail.letters import Letters
from gateway.accounts.mail.postbox import Postbox
from gateway.accounts.recovery.addresses import RESET, Addresses
from gateway.accounts.recovery.links import LinkOver, Links, Purpose
from gateway.accounts.throttle.attempts import Attempts
from gateway.accounts.user import User, name_key
from gateway.accounts.users import Users
from gateway.errors import GatewayError, NotFound
from gateway.storage.database import Connection, Database
from gateway.storage.statements import statements

LIFETIME: Final = timedelta(hours=1)
ATTEMPTS_KIND: Final = "forgotten"
_MOST_AN_HOUR: Final = 5
_MOST_WAITING: Final = 100
_SQL: Final = statements("taken_over")
_log: Final = logging.getLogger(__name__)


class Forgotten:
    """Takes requests, sends links, sets passwords."""

    def __init__(
        self,
        *,
        database: Database,
        users: Users,
        login: PasswordLogin,
        links: Links,
        postbox: Postbox,
        letters: Letters,
        addresses: Addresses,
        attempts: Attempts,
    ) -> None:
        self._database = database
        self._users = users
        self._login = login
        self._links = links
        self._postbox = postbox
        self._letters = letters
        self._addresses = addresses
        self._attempts = attempts
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def possible(self) -> bool:
        """Whether letters can be sent at all."""
        return self._postbox.enabled

    async def ask(self, name: str, address: str) -> None:
        """Take a request. Raises TooManyAttempts for an address that asks too often, whoever it asks for.

        What follows happens in the background: the answer takes the same time for a name that nobody has.
        """
        await self._attempts.reserve_address(address)
        if len(self._tasks) >= _MOST_WAITING:
            _log.warning("too many people have forgotten their password at once: one was not written to")
            return
        task = asyncio.create_task(self._send(name), name="forgotten password")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settled(self) -> None:
        """Wait until everything that was asked for is written."""
        await asyncio.gather(*self._tasks)

    async def link(self, user: User) -> str:
        """Return a link for an administrator to pass on."""
        async with self._database.transaction() as connection:
            return await self._issue(connection, user)

    async def owner(self, secret: str) -> User:
        """Return whose password a link sets; it stays good. Raises LinkOver."""
        link = await self._links.find(secret, Purpose.RESET)
        try:
            user = await self._users.get(link.account_id)
        except NotFound as error:
            raise LinkOver("the account is gone") from error
        if not user.is_active or name_key(user.email) != link.email_key:
            raise LinkOver("the account is disabled, or has another address by now")
        return user

    async def reset(self, secret: str, password: str) -> User:
        """Set a password: every session and refresh token of the account ends, and its address is confirmed.

        Of an account whose address nobody had confirmed, second factors, API tokens, consents and logins through
        providers end as well.

        Raises LinkOver, InvalidInput (the link stays good then), Overloaded.
        """
        user = await self.owner(secret)

        async def use(connection: Connection) -> None:
            await self._links.use(connection, secret, Purpose.RESET)
            await self._links.void(connection, user.id, Purpose.RESET)
            if not user.is_verified:
                # Whoever made the account need not be who reads the address: nothing of theirs may stay a way in.
                await connection.execute(_SQL["clear_out"], UUID(user.id))

        changed = await self._users.change(user.id, Changes(password=password, is_verified=True), first=use)
        await self._login.unlock(changed)
        return changed

    async def _send(self, name: str) -> None:
        try:
            known = await self._users.credentials(name)
            if known is None or not known[0].is_active:
                return
            user = known[0]
            async with self._database.transaction() as connection:
                await self._links.lock(connection, user.id)
                if await self._links.recent(connection, Purpose.RESET, user.email, timedelta(hours=1)) >= _MOST_AN_HOUR:
                    return
                url = await self._issue(connection, user)
                await self._postbox.put(self._letters.reset(user, url, LIFETIME), connection, lifetime=LIFETIME)
        except GatewayError as error:
            _log.warning("a letter for a forgotten password could not be written: %s", error)

    async def _issue(self, connection: Connection, user: User) -> str:
        secret = await self._links.issue(connection, Purpose.RESET, user.email, LIFETIME, account_id=user.id)
        return self._addresses.of(RESET, secret)
