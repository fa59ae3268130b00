"""From who somebody is elsewhere to their account here: found, linked, made, or refused.

An address alone opens no account: it must be verified there, trusted by the configuration, and confirmed here as well.
"""

from __future__ import annotations

import logging
import re
import secrets
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from gateway.accounts.changes import Changes
from gateway.accounts.user import User, name_key
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.config.accounts import Registration
from gateway.errors import AddressTaken, FieldError, InvalidInput, LastAdministrator, UniqueConflict
from gateway.federation.claims import roles_by
from gateway.federation.profile import FederationRefused, Profile
from gateway.federation.provider import Provider
from gateway.storage.database import Connection, Database
from gateway.storage.statements import statements
from gateway.translation.words import later

_PRIMARY_KEY: Final = "external_login_pkey"
_TRIES: Final = 20
_LONGEST_USERNAME: Final = 50  # a number goes behind it
_NOT_IN_NAMES: Final = re.compile(r"[^\w.+-]+")
_SQL: Final = statements("federation")
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ExternalLogin:
    """One way in through a provider, as its owner's account page shows it."""

    authority: str
    subject: str
    provider: str
    shown: str
    created_at: datetime
    last_login_at: datetime | None

    def document(self) -> dict[str, str | None]:
        """Return what a copy of the account's data holds of it."""
        used = self.last_login_at.isoformat() if self.last_login_at else None
        return {
            "issuer": self.authority,
            "subject": self.subject,
            "name": self.shown,
            "created_at": self.created_at.isoformat(),
            "last_used_at": used,
        }


class ExternalLogins:
    """Knows whose account belongs to whom at which provider."""

    def __init__(self, database: Database, users: Users, registration: Registration, clock: Clock) -> None:
        self._database = database
        self._users = users
        self._registration = registration
        self._clock = clock

    async def sign_in(self, provider: Provider, profile: Profile) -> User:
        """Return the account of somebody who has come back from a provider. Raises FederationRefused."""
        for _ in range(2):
            row = await self._database.fetchrow(_SQL["find"], profile.authority, profile.subject)
            if row is not None:
                user = await self._users.get(str(row["account_id"]))
                return await self._seen(provider, profile, user, row["roles"])
            try:
                return await self._first(provider, profile)
            except UniqueConflict as conflict:  # the same person, in another window
                if conflict.constraint != _PRIMARY_KEY:
                    raise
        raise FederationRefused("again")

    async def link(self, account_id: str, provider: Provider, profile: Profile) -> None:
        """Let somebody sign in to their account by a provider from now on. Raises FederationRefused."""
        row = await self._database.fetchrow(_SQL["find"], profile.authority, profile.subject)
        if row is not None and str(row["account_id"]) != account_id:
            raise FederationRefused("anothers")
        if row is not None:
            return
        try:
            await self._insert(self._database, account_id, provider, profile, ())
        except UniqueConflict as conflict:
            raise FederationRefused("anothers") from conflict

    async def list_for(self, account_id: str) -> Sequence[ExternalLogin]:
        """Return an account's ways in through providers."""
        rows = await self._database.fetch(_SQL["list"], UUID(account_id))
        return [ExternalLogin(**dict(row)) for row in rows]

    async def unlink(self, account_id: str, authority: str, subject: str, *, others: bool) -> bool:
        """Take one away. ``others``: whether there is a way in beside providers. Returns False when there is none such.

        Raises InvalidInput for the last way in.
        """
        async with self._database.transaction() as connection:
            await connection.fetchrow(_SQL["lock_account"], UUID(account_id))
            held = await connection.fetch(_SQL["list"], UUID(account_id))
            if not others and len(held) == 1:
                raise InvalidInput([FieldError("", later("This is the last way in: set a password first."))])
            gone = await connection.fetchval(_SQL["unlink"], UUID(account_id), authority, subject)
        return gone is not None

    async def _first(self, provider: Provider, profile: Profile) -> User:
        known = await self._users.credentials(profile.email) if profile.email else None
        owner = known[0] if known is not None and name_key(known[0].email) == name_key(profile.email) else None
        if owner is not None:
            # Whoever made an unconfirmed account need not be who reads the address.
            if not (provider.settings.trust_email and profile.email_verified and owner.is_verified):
                raise FederationRefused("address_taken")
            await self._insert(self._database, owner.id, provider, profile, ())
            return await self._seen(provider, profile, owner, ())
        if not provider.settings.create_accounts:
            raise FederationRefused("no_account")
        if not profile.email:
            raise FederationRefused("no_address")
        return await self._create(provider, profile)

    async def _create(self, provider: Provider, profile: Profile) -> User:
        granted = roles_by(provider.roles, profile.claims)
        roles = sorted({*self._registration.default_roles, *granted})
        own = sorted(granted - set(self._registration.default_roles))

        async def link(connection: Connection, account_id: UUID) -> None:
            await self._insert(connection, str(account_id), provider, profile, own)

        for username in _usernames(profile):
            try:
                return await self._users.create(
                    username,
                    profile.email,
                    None,
                    name=profile.name,
                    roles=roles,
                    is_verified=profile.email_verified and provider.settings.trust_email,
                    then=link,
                )
            except AddressTaken as error:  # a moment ago
                raise FederationRefused("address_taken") from error
            except InvalidInput as error:
                if [each.field for each in error.errors] != ["username"]:
                    raise FederationRefused("bad_profile", str(error)) from error
        raise FederationRefused("no_name")

    async def _seen(self, provider: Provider, profile: Profile, user: User, before: Iterable[str]) -> User:
        """Give the roles that the claims give now, and take those that they gave before."""
        granted, given = roles_by(provider.roles, profile.claims), set(before)
        local = set(user.roles) - given
        own = sorted(granted - local)
        wanted = sorted(local | granted)
        if wanted != sorted(user.roles):
            try:
                user = await self._users.change(user.id, Changes(roles=wanted))
            except LastAdministrator:
                _log.warning("%s stays an administrator: there is no other", user.username)
                own = sorted({*own, *(given & set(user.roles))})
        now = self._clock.now()
        place = (profile.authority, profile.subject)
        await self._database.execute(_SQL["seen"], *place, provider.name, profile.shown, own, now)
        return user

    async def _insert(
        self,
        connection: Connection | Database,
        account_id: str,
        provider: Provider,
        profile: Profile,
        roles: Sequence[str],
    ) -> None:
        place = (profile.authority, profile.subject, UUID(account_id))
        await connection.execute(_SQL["link"], *place, provider.name, profile.shown, list(roles), self._clock.now())


def _usernames(profile: Profile) -> Iterable[str]:
    """Yield what an account may be called: as there, else by the address, else with a number."""
    told = profile.username or profile.email.partition("@")[0] or profile.name
    plain = _NOT_IN_NAMES.sub("-", unicodedata.normalize("NFKC", told).partition("@")[0]).strip(".-+_")
    base = plain[:_LONGEST_USERNAME] or "user"
    yield base
    for number in range(2, _TRIES):
        yield f"{base}-{number}"
    yield f"{base}-{secrets.token_hex(4)}"
