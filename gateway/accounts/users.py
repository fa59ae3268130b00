"""Accounts in the database. Every change that takes a right away tells all processes in the same transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import asyncpg

from gateway.accounts.administrators import leave_an_admin
from gateway.accounts.changes import Changes, may_end_an_admin, merged
from gateway.accounts.devices import distrust_devices
from gateway.accounts.passwords.hasher import PasswordHasher
from gateway.accounts.passwords.policy import PasswordPolicy
from gateway.accounts.recovery.links import void_changes, void_resets
from gateway.accounts.sessions import revoke_sessions
from gateway.accounts.user import (
    ADMIN,
    TAKEN,
    User,
    account_id_of,
    check_names,
    check_profile,
    is_storable,
    name_key,
    require_valid,
    sorted_roles,
    spelled,
)
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.errors import AddressTaken, FieldError, InvalidInput, NotFound, Outdated, UniqueConflict
from gateway.storage.database import Connection, Database
from gateway.storage.events import EventFeed, publish
from gateway.storage.statements import statements
from gateway.tokens.refresh import revoke_families
from gateway.translation.catalogs import languages
from gateway.translation.words import later

_SQL: Final = statements("account")
_TAKEN: Final = {
    "account_username_key_key": FieldError("username", TAKEN),
    "account_email_key_key": FieldError("email", TAKEN),
}


SORTS: Final = ("username", "email", "created_at", "updated_at", "last_login")

# Something that belongs to a change and happens with it, or not at all.
Step = Callable[[Connection], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the users, and how many there are in all."""

    items: Sequence[User]
    total: int


class Users:
    """Creates, finds, changes and deletes users."""

    def __init__(
        self,
        database: Database,
        hasher: PasswordHasher,
        settings: Settings,
        clock: Clock,
        feed: EventFeed | None = None,
    ) -> None:
        self._database = database
        self._hasher = hasher
        self._policy = PasswordPolicy(settings.passwords, hasher)
        self._settings = settings
        self._clock = clock
        self._feed = feed

    async def create(
        self,
        username: str,
        email: str,
        password: str | None,
        *,
        name: str = "",
        roles: Sequence[str] | None = None,
        is_verified: bool = False,
        first: Step | None = None,
        then: Callable[[Connection, UUID], Awaitable[None]] | None = None,
    ) -> User:
        """Make an account; without ``password`` it cannot sign in by one. Raises InvalidInput, also for taken names.

        ``first`` and ``then`` (with its id) are done in the same transaction, before and after: all happen or none.
        Raises what they raise.
        """
        chosen = sorted_roles(self._settings.registration.default_roles if roles is None else roles)
        errors = check_names(username, email) + check_profile(name, chosen)
        if password is not None:
            errors += await self._policy.check(password, (username, email, name, self._settings.branding.name))
        require_valid(errors)
        stored = None if password is None else await self._hasher.hash(password)
        keys = (spelled(username), name_key(username), email, name_key(email))
        is_active = True
        try:
            async with self._database.transaction() as connection:
                if first is not None:
                    await first(connection)
                row = await connection.fetchrow(
                    _SQL["insert"], *keys, name, stored, chosen, is_active, is_verified, self._clock.now()
                )
                if then is not None:
                    await then(connection, _present(row)["id"])
        except UniqueConflict as conflict:
            if conflict.constraint not in _TAKEN and then is not None:
                raise
            taken = _taken(conflict)
            if taken.errors[0].field == "email":
                raise AddressTaken(taken.errors, stored) from conflict
            raise taken from conflict
        return User.of(_present(row))

    async def find(self, reference: str) -> User | None:
        """Return the user with this id or username."""
        if (identifier := account_id_of(reference)) is not None:
            row = await self._database.fetchrow(_SQL["by_id"], identifier)
            if row is not None:
                return User.of(row)
        if not is_storable(reference):
            return None
        row = await self._database.fetchrow(_SQL["by_username"], name_key(reference))
        return User.of(row) if row is not None else None

    async def certified(self, name: str, *, by_email: bool) -> User | None:
        """Return the active user whom a certificate names, by a verified e-mail address or else by username.

        Exactly, but for the case of an address: what folds into one name here may be two people to the CA.
        """
        if not is_storable(name):
            return None
        statement = _SQL["by_email"] if by_email else _SQL["by_username"]
        row = await self._database.fetchrow(statement, name_key(name))
        user = User.of(row) if row is not None else None
        if user is None or not user.is_active:
            return None
        named = user.is_verified and user.email.lower() == name.lower() if by_email else user.username == name
        return user if named else None

    async def get(self, reference: str) -> User:
        """Return the user with this id or username. Raises NotFound."""
        user = await self.find(reference)
        if user is None:
            raise NotFound(f"no user {reference[:64]}")
        return user

    async def credentials(self, login: str) -> tuple[User, str | None] | None:
        """Return the user whose username or e-mail is ``login``, with the stored password hash."""
        if not is_storable(login):
            return None
        row = await self._database.fetchrow(_SQL["credentials_by_login"], name_key(login))
        return (User.of(row), row["password_hash"]) if row is not None else None

    async def has_password(self, user_id: str) -> bool:
        """Say whether an account can be opened by a password."""
        return await self._database.fetchval(_SQL["password_of"], UUID(user_id)) is not None

    async def page(self, *, limit: int = 50, offset: int = 0, search: str = "", sort: str = "username") -> Page:
        """Return users; ``search`` is a part of a username or address, ``sort`` one of SORTS, or that after ``-``."""
        wanted = name_key(search) if is_storable(search) else "\ufffd"
        rows = await self._database.fetch(_SQL["page"], limit, offset, wanted, sort)
        total = await self._database.fetchval(_SQL["count"], wanted)
        return Page([User.of(row) for row in rows], int(total))

    async def roles(self) -> Sequence[str]:
        """Return every role that somebody has or may be given."""
        rows = await self._database.fetch(_SQL["roles"])
        known = {row["role"] for row in rows}
        return sorted_roles(known | {ADMIN, *self._settings.registration.default_roles})

    async def is_empty(self) -> bool:
        """Say whether there is no user at all."""
        return not await self._database.fetchval(_SQL["any"])

    async def change(
        self,
        user_id: str,
        changes: Changes,
        *,
        keep_an_admin: bool = True,
        first: Step | None = None,
        keep_session_id: str | None = None,
        revision: int | None = None,
    ) -> User:
        """Apply changes; a right that is taken away is gone when this returns. Raises InvalidInput, NotFound.

        ``keep_an_admin`` refuses to end the last administrator: for callers that could not make another one.
        ``first`` is done in the same transaction, before: both happen or neither. A new password ends every session
        but those of the login that ``keep_session_id`` belongs to, and lets no device do without the second factor.
        Raises Outdated when the account is not at ``revision`` any more.
        """
        if changes.password is not None:
            require_valid(await self._policy.check(changes.password, await self._words(user_id, changes)))
        stored = None if changes.password is None else await self._hasher.hash(changes.password)
        try:
            async with self._database.transaction() as connection:
                if keep_an_admin and may_end_an_admin(changes):
                    await leave_an_admin(connection, UUID(user_id))
                # Before what belongs to it: two changes never wait for each other.
                await connection.fetchrow(_SQL["lock"], UUID(user_id))
                if first is not None:
                    await first(connection)
                user = await self._change(connection, UUID(user_id), changes, stored, keep_session_id, revision)
        except UniqueConflict as conflict:
            raise _taken(conflict) from conflict
        await self._caught_up()
        return user

    async def change_password(self, user_id: str, current: str | None, new: str, keep_session_id: str | None) -> User:
        """Set a new password; the account's other sessions and its refresh tokens end. Raises InvalidInput, NotFound.

        ``current`` has to be right, and may be None for an account without one. The caller counts the attempts.
        """
        row = await self._database.fetchrow(_SQL["password_of"], UUID(user_id))
        if row is None:
            raise NotFound("no such user")
        known: str | None = row["password_hash"]
        if known is not None and not (await self._hasher.verify(current or "", known))[0]:
            raise InvalidInput([FieldError("current", later("is not your password"))])

        async def still_the_same(connection: Connection) -> None:
            held = await connection.fetchrow(_SQL["lock"], UUID(user_id))
            if held is None or held["password_hash"] != known:  # somebody was quicker
                raise InvalidInput([FieldError("current", later("is not your password"))])

        return await self.change(user_id, Changes(password=new), first=still_the_same, keep_session_id=keep_session_id)

    async def delete(self, user_id: str, *, keep_an_admin: bool = True, revision: int | None = None) -> None:
        """Delete an account with everything it holds. Raises NotFound, LastAdministrator; Outdated as `change` does."""
        async with self._database.transaction() as connection:
            if keep_an_admin:
                await leave_an_admin(connection, UUID(user_id))
            row = await connection.fetchrow(_SQL["lock"], UUID(user_id))
            if row is not None:
                _require_revision(row, revision)
            await connection.execute(_SQL["tell_of_clients"], UUID(user_id))
            await connection.execute(_SQL["lock_families_of_clients"], UUID(user_id))
            # Before what it was granted is gone: applications are told that the login is over.
            await revoke_sessions(connection, user_id)
            if not await connection.execute(_SQL["delete"], UUID(user_id)):
                raise NotFound("no such user")
            await publish(connection, "account", user_id)
        await self._caught_up()

    async def logged_in(self, user_id: str) -> None:
        await self._database.execute(_SQL["logged_in"], UUID(user_id), self._clock.now())

    async def password_held(self, user_id: str, verified_hash: str) -> bool:
        """Note a login by password. Returns False when the password or the account ended while it was checked."""
        return bool(
            await self._database.execute(_SQL["password_held"], UUID(user_id), self._clock.now(), verified_hash)
        )

    async def rehash(self, user_id: str, old_hash: str, password: str) -> None:
        """Store the password anew after a login proved it, unless it has changed meanwhile."""
        fresh = await self._hasher.hash(password)
        await self._database.execute(_SQL["rehash"], UUID(user_id), old_hash, fresh)

    async def _words(self, user_id: str, changes: Changes) -> Sequence[str]:
        """Return what a password of this user must not be."""
        user = await self.get(user_id)
        changed = (changes.username, changes.email, changes.name)
        return (user.username, user.email, user.name, self._settings.branding.name, *(each or "" for each in changed))

    async def _change(
        self,
        connection: Connection,
        user_id: UUID,
        changes: Changes,
        stored: str | None,
        keep_session_id: str | None,
        revision: int | None,
    ) -> User:
        row = await connection.fetchrow(_SQL["lock"], user_id)
        if row is None:
            raise NotFound("no such user")
        _require_revision(row, revision)
        before = User.of(row)
        after = merged(before, changes)
        renamed = (after.username, after.email) != (before.username, before.email)
        # Names from before a rule keep nobody from being disabled.
        wrong = check_names(after.username, after.email) if renamed else []
        require_valid(wrong + check_profile(after.name, after.roles))
        names = (spelled(after.username), name_key(after.username), after.email, name_key(after.email), after.name)
        flags = (list(after.roles), after.is_active, after.is_verified)
        if after.language and after.language not in languages():
            raise InvalidInput([FieldError("language", later("must be one of the languages that are offered"))])
        now = self._clock.now()
        values = (*names, *flags, stored or row["password_hash"], now, after.language)
        updated = await connection.fetchrow(_SQL["update"], user_id, *values)
        if stored is not None or not after.is_active:
            reason = "password changed" if stored is not None else "account disabled"
            await revoke_families(connection, before.id, now, reason)
            await revoke_sessions(connection, before.id, keep_session_id if after.is_active else None)
        if stored is not None:
            await distrust_devices(connection, before.id)
            await void_resets(connection, before.id, now)
        if stored is not None or before.email != after.email or (after.is_verified and not before.is_verified):
            # Begun by whoever knew the old password, or agreed to while there was no address to ask.
            await void_changes(connection, before.id, now)
        if before.is_active != after.is_active:
            await connection.execute(_SQL["tell_of_clients"], user_id)
        await publish(connection, "account", before.id)
        return User.of(_present(updated))

    async def _caught_up(self) -> None:
        if self._feed is not None:
            await self._feed.caught_up()


def _require_revision(row: asyncpg.Record, revision: int | None) -> None:
    """Refuse to change what somebody has changed since it was looked at. The row is locked."""
    if revision is not None and row["revision"] != revision:
        raise Outdated("changed meanwhile")


def _present(row: asyncpg.Record | None) -> asyncpg.Record:
    if row is None:  # a statement with `returning` on a row that was just locked
        raise NotFound("no such user")
    return row


def _taken(conflict: UniqueConflict) -> InvalidInput:
    return InvalidInput([_TAKEN.get(conflict.constraint, FieldError("username", TAKEN))])
