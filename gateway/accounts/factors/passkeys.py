"""Passkeys and security keys: kept, and asked to sign. Which page asks, and what follows, is decided elsewhere."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from gateway.accounts.factors.asking import creation_options, request_options
from gateway.accounts.factors.ceremony import (
    NewCredential,
    RelyingParty,
    read_response,
    verify_assertion,
    verify_registration,
)
from gateway.accounts.factors.challenges import Challenges, Purpose
from gateway.accounts.factors.passkey import Passkey, check_name, check_room
from gateway.accounts.user import User
from gateway.clock import Clock
from gateway.errors import NotFound, PasskeyRefused, UniqueConflict
from gateway.storage.database import Connection, Database
from gateway.storage.statements import statements

# RFC 8176: a key that never leaves its device, and one that its owner's devices share.
DEVICE_BOUND: Final = "hwk"
SYNCED: Final = "pop"
_SQL: Final = statements("passkey")
_log: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Proof:
    """Whose passkey has signed. ``method`` is its RFC 8176 name; with ``user_verified`` it stands for two factors."""

    account_id: str
    passkey_id: str
    method: str
    user_verified: bool


class Passkeys:
    """Registers passkeys and checks what they sign.

    ``binding`` is always a secret that the asking browser holds: its answer must come from there.
    """

    def __init__(self, database: Database, challenges: Challenges, party: RelyingParty, clock: Clock) -> None:
        self._database = database
        self._challenges = challenges
        self._party = party
        self._clock = clock

    async def list_for(self, account_id: str) -> list[Passkey]:
        """Return an account's passkeys, the oldest first."""
        return [Passkey.of(row) for row in await self._database.fetch(_SQL["list"], UUID(account_id))]

    async def get(self, account_id: str, passkey_id: UUID) -> Passkey:
        """Return one of an account's passkeys. Raises NotFound."""
        row = await self._database.fetchrow(_SQL["one"], UUID(account_id), passkey_id)
        if row is None:
            raise NotFound("no such passkey")
        return Passkey.of(row)

    async def registration_options(self, user: User, binding: str) -> dict[str, Any]:
        """Return what the browser is asked to make. Raises InvalidInput when there is no room."""
        held = await self.list_for(user.id)
        check_room(len(held))
        challenge = self._challenges.make(Purpose.REGISTER, user.id, binding)
        return creation_options(self._party, user, challenge, held)

    async def verify_new(self, account_id: str, binding: str, unverified: str) -> NewCredential:
        """Check what came of `registration_options`; nothing is kept before `add`. Raises PasskeyRefused."""
        response = read_response(unverified)
        # Used up whatever becomes of the rest.
        await self._challenges.take(response.challenge, Purpose.REGISTER, account_id, binding, self._database)
        return verify_registration(response, self._party)

    async def add(self, connection: Connection, account_id: str, name: str, made: NewCredential) -> Passkey:
        """Keep a new passkey, in a transaction that settles what else goes with a new factor.

        Raises InvalidInput for its name or when there is no room, PasskeyRefused when it is somebody's already.
        """
        chosen = check_name(name)
        await connection.execute(_SQL["lock_account"], UUID(account_id))
        check_room(len(await connection.fetch(_SQL["list"], UUID(account_id))))
        try:
            row = await connection.fetchrow(
                _SQL["insert"],
                made.credential_id,
                UUID(account_id),
                chosen,
                made.public_key,
                made.sign_count,
                list(made.transports),
                made.aaguid,
                made.is_discoverable,
                made.backup_eligible,
                made.backed_up,
                self._clock.now(),
            )
        except UniqueConflict as error:
            # Section 7.1: an id that is known is refused, also on the same account.
            raise PasskeyRefused("registered_before") from error
        if row is None:
            raise LookupError("an insert returned no row")
        return Passkey.of(row)

    def login_options(self, binding: str) -> dict[str, Any]:
        """Return what the browser is asked to find out who is there: any passkey that verifies its user."""
        challenge = self._challenges.make(Purpose.LOGIN, "", binding)
        return request_options(self._party, challenge, (), user_verification=True)

    async def login(self, binding: str, unverified: str) -> Proof:
        """Return who has signed in, with possession and presence proven at once. Raises PasskeyRefused."""
        return await self._prove(Purpose.LOGIN, "", binding, unverified, user_verification=True)

    async def confirmation_options(
        self, account_id: str, binding: str, *, user_verification: bool = False
    ) -> dict[str, Any]:
        """Return what the browser is asked so that somebody known proves one of their passkeys.

        Raises NotFound when there is none. Without ``user_verification`` it is a second factor, no more.
        """
        held = await self.list_for(account_id)
        if not held:
            raise NotFound("no passkey")
        challenge = self._challenges.make(_confirming(user_verification), account_id, binding)
        return request_options(self._party, challenge, held, user_verification=user_verification)

    async def confirm(
        self, account_id: str, binding: str, unverified: str, *, user_verification: bool = False
    ) -> Proof:
        """Take the answer to `confirmation_options` with the same arguments. Raises PasskeyRefused."""
        purpose = _confirming(user_verification)
        return await self._prove(purpose, account_id, binding, unverified, user_verification=user_verification)

    async def rename(self, account_id: str, passkey_id: UUID, name: str) -> None:
        """Give a passkey another name. Raises NotFound, InvalidInput."""
        if not await self._database.execute(_SQL["rename"], UUID(account_id), passkey_id, check_name(name)):
            raise NotFound("no such passkey")

    async def remove(self, connection: Connection, account_id: str, passkey_id: UUID) -> str:
        """Delete a passkey and return its name; the caller settles the rest in its transaction. Raises NotFound."""
        await connection.execute(_SQL["lock_account"], UUID(account_id))
        name = await connection.fetchval(_SQL["delete"], UUID(account_id), passkey_id)
        if name is None:
            raise NotFound("no such passkey")
        return str(name)

    async def forget_challenges(self) -> int:
        """Delete a batch of used challenges that are over anyway. Returns how many."""
        return await self._database.execute(_SQL["forget_challenges"], self._clock.now())

    async def _prove(
        self, purpose: Purpose, account_id: str, binding: str, unverified: str, *, user_verification: bool
    ) -> Proof:
        """Check one answer from top to bottom (section 7.2)."""
        response = read_response(unverified)
        self._challenges.check(response.challenge, purpose, account_id, binding)
        row = await self._database.fetchrow(_SQL["by_credential"], response.credential_id)
        if row is None:  # before anything is written: strangers must not be able to fill a table
            raise PasskeyRefused("unknown")
        await self._challenges.take(response.challenge, purpose, account_id, binding, self._database)
        passkey = Passkey.of(row)
        _check_owner(passkey, account_id, response.user_handle)
        said = verify_assertion(response, self._party, passkey.public_key, user_verification=user_verification)
        if said.backup_eligible != passkey.is_synced:
            raise PasskeyRefused("another_key")
        discovered = purpose is Purpose.LOGIN
        used = await self._database.execute(
            _SQL["used"], UUID(passkey.id), said.sign_count, said.backed_up, discovered, self._clock.now()
        )
        if not used:
            # Two devices hold one key, or one answers twice: either way somebody should look.
            _log.warning("passkey %s of account %s: its count went back", passkey.id, passkey.account_id)
            raise PasskeyRefused("sign_count")
        method = SYNCED if passkey.is_synced else DEVICE_BOUND
        return Proof(passkey.account_id, passkey.id, method, said.user_verified)


def _check_owner(passkey: Passkey, account_id: str, user_handle: bytes | None) -> None:
    """Refuse a passkey of another account than was asked, or than the authenticator itself names."""
    if account_id and passkey.account_id != account_id:
        raise PasskeyRefused("another_account")
    if user_handle is None and not account_id:
        raise PasskeyRefused("nobody_named")
    if user_handle is not None and user_handle != UUID(passkey.account_id).bytes:
        raise PasskeyRefused("another_account")


def _confirming(user_verification: bool) -> Purpose:
    # Two purposes, so that an answer without verification is worth nothing where one with it was asked for.
    return Purpose.CONFIRM_VERIFIED if user_verification else Purpose.CONFIRM
