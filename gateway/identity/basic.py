"""Name and password with each request (RFC 7617), for programs that know nothing else: calendars, phones, old scripts.

A password is worked out once: after that the same bytes are known to have proven the stored hash, for as long as the
account has that hash. So a lockout that strangers cause does not lock out a program that signs in as ever.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from weakref import WeakValueDictionary

from gateway.accounts.api_tokens import ApiTokens, looks_like_api_token
from gateway.accounts.factors.factors import SecondFactors, Step
from gateway.accounts.htpasswd import HtpasswdFile
from gateway.accounts.login import PasswordLogin
from gateway.accounts.user import User, name_key
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.errors import CredentialRejected, LoginRefused, TooManyAttempts
from gateway.identity.identity import CredentialKind, Identity
from gateway.identity.presented import Presented
from gateway.identity.verified import KEPT_SECONDS, Verified, roles_of

_MOST: Final = 10_000
_METHODS: Final = ("pwd",)


@dataclass(frozen=True, slots=True)
class NameAndPassword:
    """What a client sends."""

    name: str
    password: str

    def __repr__(self) -> str:
        return "NameAndPassword(...)"


def read_basic(unverified: str) -> NameAndPassword:
    """Return name and password out of the field's value behind the scheme (RFC 7617 section 2, in UTF-8).

    Raises CredentialRejected.
    """
    try:
        text = base64.b64decode(unverified, validate=True).decode("utf-8")
    except ValueError as error:
        raise CredentialRejected("malformed") from error
    name, colon, password = text.partition(":")
    # Section 2: no control characters in either.
    if not colon or not name or any(ord(character) < 32 or ord(character) == 127 for character in text):  # noqa: PLR2004
        raise CredentialRejected("malformed")
    return NameAndPassword(name, password)


class BasicLogins:
    """Verifies names with passwords or API tokens."""

    def __init__(
        self,
        *,
        users: Users,
        password_login: PasswordLogin,
        second_factors: SecondFactors,
        api_tokens: ApiTokens,
        htpasswd: HtpasswdFile | None,
        clock: Clock,
    ) -> None:
        self._users = users
        self._login = password_login
        self._second_factors = second_factors
        self._api_tokens = api_tokens
        self._htpasswd = htpasswd
        self._clock = clock
        # People choose passwords: without a secret, a digest of one could be tried out.
        self._salt = secrets.token_bytes(32)
        self._proven: OrderedDict[bytes, str] = OrderedDict()
        # A program opens several connections at once: one of them works the password out.
        self._at_work: WeakValueDictionary[bytes, asyncio.Lock] = WeakValueDictionary()

    async def __call__(self, presented: Presented, _host: str) -> Verified:
        """Return who it is. Raises CredentialRejected, TooManyAttempts, Overloaded, StorageError."""
        given = read_basic(presented.unverified)
        if looks_like_api_token(given.password):
            return await self._by_api_token(presented, given)
        key = hmac.digest(self._salt, presented.unverified.encode(), sha256)
        lock = self._at_work.setdefault(key, asyncio.Lock())
        async with lock:
            if self._htpasswd is not None and (stored := self._htpasswd.find(given.name)) is not None:
                return await self._of_file(self._htpasswd, presented, given, stored, key)
            return await self._of_account(presented, given, key)

    async def _of_account(self, presented: Presented, given: NameAndPassword, key: bytes) -> Verified:
        known = await self._users.credentials(given.name)
        stored = known[1] if known is not None else None
        if known is None or stored is None or self._proven.get(key) != stored:
            await self._work_out(given, presented.address)
            known = await self._users.credentials(given.name)
            if known is None or known[1] is None:
                raise CredentialRejected("basic_wrong")
            self._remember(key, known[1])
        user = known[0]
        self._login.check_account(user)
        # It would be asked for by nobody: such accounts have API tokens for their programs.
        if await self._second_factors.next_step(user) is not Step.NOTHING:
            raise CredentialRejected("second_factor")
        return self._verified(presented, user)

    async def _work_out(self, given: NameAndPassword, address: str) -> None:
        try:
            await self._login.authenticate(given.name, given.password, address)
        except TooManyAttempts:
            raise
        except LoginRefused as error:
            raise CredentialRejected(f"basic_{error.reason}") from error

    async def _of_file(
        self, file: HtpasswdFile, presented: Presented, given: NameAndPassword, stored: str, key: bytes
    ) -> Verified:
        if self._proven.get(key) != stored:
            if not await self._login.check_elsewhere(given.name, given.password, stored, presented.address):
                raise CredentialRejected("basic_wrong")
            self._remember(key, stored)
        identity = Identity(
            user_id=f"htpasswd|{given.name}",
            username=file.username(given.name),
            email="",
            roles=roles_of(file.roles),
            kind=CredentialKind.BASIC,
            authenticated_at=self._clock.now(),
            methods=_METHODS,
        )
        return self._kept(presented, identity, frozenset())

    async def _by_api_token(self, presented: Presented, given: NameAndPassword) -> Verified:
        owner = await self._api_tokens.find(given.password)
        if owner is None or name_key(given.name) not in {name_key(owner.username), name_key(owner.email)}:
            raise CredentialRejected("api_token_invalid")
        identity = Identity(
            user_id=owner.account_id,
            username=owner.username,
            email=owner.email,
            name=owner.name,
            roles=roles_of(owner.roles),
            kind=CredentialKind.BASIC,
            authenticated_at=owner.created_at,
            scopes=owner.scopes,
            routes=owner.routes,
            hosts=owner.hosts,
            methods=(),
        )
        depends_on = frozenset({("account", owner.account_id), ("api_token", owner.token_id)})
        left = (owner.expires_at - self._clock.now()).total_seconds() if owner.expires_at is not None else KEPT_SECONDS
        return self._kept(presented, identity, depends_on, min(left, KEPT_SECONDS))

    def _verified(self, presented: Presented, user: User) -> Verified:
        identity = Identity(
            user_id=user.id,
            username=user.username,
            email=user.email,
            name=user.name,
            roles=roles_of(user.roles),
            kind=CredentialKind.BASIC,
            authenticated_at=self._clock.now(),
            methods=_METHODS,
        )
        return self._kept(presented, identity, frozenset({("account", user.id)}))

    def _kept(
        self,
        presented: Presented,
        identity: Identity,
        depends_on: frozenset[tuple[str, str]],
        seconds: float = KEPT_SECONDS,
    ) -> Verified:
        expires_at = self._clock.monotonic() + seconds
        return Verified(identity, depends_on, expires_at, consumed=frozenset({presented.header}))

    def _remember(self, key: bytes, stored: str) -> None:
        self._proven[key] = stored
        self._proven.move_to_end(key)
        while len(self._proven) > _MOST:
            self._proven.popitem(last=False)
