"""Invitations: an administrator names an address and roles; whoever reads that address makes the account."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from gateway.accounts.mail.letters import Letters
from gateway.accounts.mail.postbox import Postbox
from gateway.accounts.recovery.addresses import INVITE, Addresses
from gateway.accounts.recovery.links import Link, Links, Purpose
from gateway.accounts.user import TAKEN, User, check_names, check_profile, require_valid, sorted_roles
from gateway.accounts.users import Users
from gateway.config.accounts import Registration
from gateway.errors import FieldError, InvalidInput
from gateway.storage.database import Connection, Database

LIFETIME: Final = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Invitation:
    """One that was made. ``sent``: it went by mail; otherwise somebody passes ``url`` on."""

    email: str
    roles: Sequence[str]
    url: str = field(repr=False)
    sent: bool


class Invitations:
    """Makes invitations and takes them."""

    def __init__(
        self,
        *,
        database: Database,
        users: Users,
        links: Links,
        postbox: Postbox,
        letters: Letters,
        addresses: Addresses,
        registration: Registration,
    ) -> None:
        self._database = database
        self._users = users
        self._links = links
        self._postbox = postbox
        self._letters = letters
        self._addresses = addresses
        self._registration = registration

    async def invite(
        self, email: str, roles: Sequence[str] | None = None, *, invited_by: str | None = None
    ) -> Invitation:
        """Invite somebody; what was sent to the same address before is void. Raises InvalidInput."""
        chosen = sorted_roles(self._registration.default_roles if roles is None else roles)
        require_valid(
            [*(each for each in check_names("x", email) if each.field == "email"), *check_profile("", chosen)]
        )
        if await self._users.credentials(email) is not None:
            raise InvalidInput([FieldError("email", TAKEN)])
        async with self._database.transaction() as connection:
            await self._links.void_invitations(connection, email)
            secret = await self._links.issue(
                connection, Purpose.INVITE, email, LIFETIME, roles=chosen, invited_by=invited_by
            )
            url = self._addresses.of(INVITE, secret)
            await self._postbox.put(self._letters.invitation(email, url, LIFETIME), connection)
        return Invitation(email, chosen, url, self._postbox.enabled)

    async def find(self, secret: str) -> Link:
        """Return what an invitation says; it stays good. Raises LinkOver."""
        return await self._links.find(secret, Purpose.INVITE)

    async def accept(self, secret: str, username: str, password: str, name: str = "") -> User:
        """Make the account, with its address confirmed. Raises LinkOver, InvalidInput (the invitation stays good)."""
        link = await self.find(secret)

        async def use(connection: Connection) -> None:
            await self._links.use(connection, secret, Purpose.INVITE)

        return await self._users.create(
            username, link.email, password, name=name, roles=link.roles, is_verified=True, first=use
        )
