"""A new e-mail address: it counts once the old one has agreed and the new one was confirmed.

An address that was never confirmed is not asked: it may be a typing mistake, and nobody there could answer.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID

from gateway.accounts.changes import Changes
from gateway.accounts.mail.letters import Letters
from gateway.accounts.mail.notices import Notices
from gateway.accounts.mail.postbox import Postbox
from gateway.accounts.recovery.addresses import VERIFY, Addresses
from gateway.accounts.recovery.links import Link, LinkOver, Links, Purpose
from gateway.accounts.user import User, check_names, name_key, require_valid
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.errors import FieldError, InvalidInput, NotFound
from gateway.storage.database import Connection, Database
from gateway.storage.statements import statements
from gateway.translation.words import later

LIFETIME: Final = timedelta(days=1)
_MOST_AN_HOUR: Final = 5
_HOUR: Final = timedelta(hours=1)
_SQL: Final = statements("mail_link")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A change that waits: for whose answer."""

    email: str
    for_old: bool
    for_new: bool


@dataclass(frozen=True, slots=True)
class Confirmed:
    """An answer that was taken. ``done``: it was the last one, and the account has the new address."""

    email: str
    done: bool


class _LastAnswer(Exception):
    """Nothing more is missing. The answer is noted with the change itself, or not at all."""

    def __init__(self, answer: Confirmed) -> None:
        self.answer = answer


class EmailChanges:
    """Begins changes and takes the answers."""

    def __init__(
        self,
        *,
        database: Database,
        users: Users,
        links: Links,
        postbox: Postbox,
        letters: Letters,
        notices: Notices,
        addresses: Addresses,
        clock: Clock,
    ) -> None:
        self._database = database
        self._users = users
        self._links = links
        self._postbox = postbox
        self._letters = letters
        self._notices = notices
        self._addresses = addresses
        self._clock = clock

    @property
    def possible(self) -> bool:
        """Whether letters can be sent; where they cannot, an address is changed at once and not confirmed."""
        return self._postbox.enabled

    def check(self, user: User, new_email: str) -> None:
        """Raise InvalidInput for what is no address, or the account's already."""
        require_valid([each for each in check_names(user.username, new_email) if each.field == "email"])
        if name_key(new_email) == name_key(user.email):
            raise InvalidInput([FieldError("email", later("is the address that you have"))])

    async def begin(self, user: User, new_email: str) -> None:
        """Write to both addresses. Raises InvalidInput.

        An address that somebody else has is not told of here: its owner would be. Their account is not changed.
        """
        self.check(user, new_email)
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await self._links.lock(connection, user.id)
            await self._check_flood(connection, user.id, new_email)
            await self._links.void(connection, user.id, Purpose.CHANGE_FROM, Purpose.CHANGE_TO)
            agreed_at = None if user.is_verified else now
            values = (UUID(user.id), new_email, name_key(new_email), agreed_at, now, now + LIFETIME)
            await connection.execute(_SQL["begin_change"], *values)
            url = await self._issue(connection, Purpose.CHANGE_TO, user, new_email)
            await self._postbox.put(self._letters.change_to(user, new_email, url, LIFETIME), connection)
            if user.is_verified:
                url = await self._issue(connection, Purpose.CHANGE_FROM, user, user.email)
                await self._postbox.put(self._letters.change_from(user, new_email, url, LIFETIME), connection)

    async def waiting(self, account_id: str) -> Waiting | None:
        """Return the change that waits, if one does."""
        row = await self._database.fetchrow(_SQL["waiting_change"], UUID(account_id), self._clock.now())
        if row is None:
            return None
        return Waiting(row["email"], row["from_confirmed_at"] is None, row["to_confirmed_at"] is None)

    async def give_up(self, account_id: str) -> None:
        """Forget a change that waits; its links are void."""
        async with self._database.transaction() as connection:
            await self._links.lock(connection, account_id)
            await self._forget(connection, account_id)

    async def confirm(self, secret: str) -> Confirmed:
        """Take an answer. Raises LinkOver; InvalidInput when somebody else has the address by now."""
        link = await self._links.find(secret, Purpose.CHANGE_FROM, Purpose.CHANGE_TO)
        try:
            user = await self._users.get(link.account_id)
        except NotFound as error:
            raise LinkOver("the account is gone") from error
        if link.purpose is Purpose.CHANGE_FROM and name_key(user.email) != link.email_key:
            raise LinkOver("the account has another address by now")
        try:
            async with self._database.transaction() as connection:
                await self._links.lock(connection, user.id)
                return await self._answer(connection, link, secret)
        except _LastAnswer as last:
            answer = last.answer

        async def finish(connection: Connection) -> None:
            with suppress(_LastAnswer):
                await self._answer(connection, link, secret)
            await self._forget(connection, user.id)

        changed = await self._users.change(user.id, Changes(email=answer.email, is_verified=True), first=finish)
        await self._notices.email_changed(changed, user.email)
        return answer

    async def forget_expired(self) -> int:
        """Delete a batch of changes that nobody finished. Returns how many."""
        return await self._database.execute(_SQL["forget_changes"], self._clock.now())

    async def _answer(self, connection: Connection, link: Link, secret: str) -> Confirmed:
        """Note an answer. Raises _LastAnswer for the one that makes the address count, LinkOver."""
        await self._links.use(connection, secret, link.purpose)
        account, now = UUID(link.account_id), self._clock.now()
        waiting = await connection.fetchrow(_SQL["waiting_change"], account, now)
        if waiting is None:
            raise LinkOver("the change is off")
        by_old = link.purpose is Purpose.CHANGE_FROM
        statement = _SQL["confirm_change_from"] if by_old else _SQL["confirm_change_to"]
        row = await connection.fetchrow(statement, account, waiting["email_key"], now)
        if row is None or (not by_old and link.email_key != waiting["email_key"]):
            raise LinkOver("the change is another one by now")
        if row["from_confirmed_at"] is not None and row["to_confirmed_at"] is not None:
            raise _LastAnswer(Confirmed(row["email"], done=True))
        return Confirmed(row["email"], done=False)

    async def _check_flood(self, connection: Connection, account_id: str, new_email: str) -> None:
        """Raise InvalidInput when letters enough went to an address, or to whichever for one account."""
        lately = (
            await self._links.recent(connection, Purpose.CHANGE_TO, new_email, _HOUR),
            await self._links.recent_of(connection, Purpose.CHANGE_TO, account_id, _HOUR),
        )
        if max(lately) >= _MOST_AN_HOUR:
            raise InvalidInput([FieldError("email", later("was written to often enough: try again in an hour"))])

    async def _forget(self, connection: Connection, account_id: str) -> None:
        await self._links.void(connection, account_id, Purpose.CHANGE_FROM, Purpose.CHANGE_TO)
        await connection.execute(_SQL["drop_change"], UUID(account_id))

    async def _issue(self, connection: Connection, purpose: Purpose, user: User, email: str) -> str:
        secret = await self._links.issue(connection, purpose, email, LIFETIME, account_id=user.id)
        return self._addresses.of(VERIFY, secret)
