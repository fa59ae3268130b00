"""Signing keys: next, active, retired. All three are published, one signs: one of each algorithm that is in use."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import asyncpg
from jwcrypto.jwk import JWK

from gateway.clock import Clock
from gateway.config.settings import TokenSettings
from gateway.errors import NotFound, StartupError
from gateway.storage.database import Connection, Database
from gateway.storage.events import publish
from gateway.storage.statements import statements
from gateway.tokens.jwt import PrivateKey, VerificationKey
from gateway.tokens.master_key import MasterKey
from gateway.tokens.vault import Vault

_SQL: Final = statements("signing_key")
_PARAMETERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "ES256": {"kty": "EC", "crv": "P-256"},
    "RS256": {"kty": "RSA", "size": 2048},
    "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
}


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key. ``state`` is ``next``, ``active`` or ``retired``."""

    kid: str
    algorithm: str
    state: str
    public: Mapping[str, Any]
    created_at: datetime
    activated_at: datetime | None
    retired_at: datetime | None
    private: PrivateKey | None = field(repr=False, default=None)


class SigningKeys:
    """The keys of this installation, as last read from the database."""

    def __init__(self, database: Database, master_key: MasterKey, settings: TokenSettings, clock: Clock) -> None:
        self._database = database
        self._vault = Vault(master_key)
        self._settings = settings
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._verification: dict[str, VerificationKey] = {}
        self._active: dict[str, SigningKey] = {}  # by algorithm
        self._one_load = asyncio.Lock()

    async def load(self) -> None:
        """Read all keys. Raises StartupError when the active one was stored under another master key."""
        # One after the other: an older answer that comes later would bring a retired key back.
        async with self._one_load:
            self._take(await self._database.fetch(_SQL["all"]))

    def _take(self, rows: Sequence[asyncpg.Record]) -> None:
        keys = [
            SigningKey(
                kid=row["kid"],
                algorithm=row["algorithm"],
                state=row["state"],
                public=json.loads(row["public_jwk"]),
                created_at=row["created_at"],
                activated_at=row["activated_at"],
                retired_at=row["retired_at"],
                private=self._open(row) if row["state"] == "active" else None,
            )
            for row in rows
        ]
        self._keys = {key.kid: key for key in keys}
        self._verification = {key.kid: VerificationKey(key.kid, key.algorithm, JWK(**key.public)) for key in keys}
        self._active = {key.algorithm: key for key in keys if key.state == "active"}

    def _open(self, row: asyncpg.Record) -> PrivateKey:
        return PrivateKey(row["kid"], row["algorithm"], self._vault.open(row["private_jwe"], row["kid"]))

    async def ensure(self) -> None:
        """Make the first keys, rotate when the schedule says so, and forget keys that nothing valid needs."""
        await self.load()
        now = self._clock.now()
        if not self._active or any(self._is_due(key.activated_at) for key in self._active.values()):
            await self._rotate(only_if_due=True)
        longest = max(self._settings.refresh_lifetime, self._settings.access_lifetime)
        if await self._database.execute(_SQL["forget_retired"], now - longest - timedelta(days=1)):
            await self.load()

    async def prepare(self, algorithm: str) -> None:
        """Make keys of an algorithm that nothing has been signed with yet: an active one and the next."""
        if algorithm in self._active:
            return
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["lock"])
            rows = await connection.fetch(_SQL["all"])
            if algorithm not in _activated(rows):
                await self._promote(connection, rows, algorithm)
        await self.load()

    async def rotate(self) -> str:
        """Promote the next keys, retire the active ones, make new next ones. Returns the kid that signs from now on.

        Tokens of the retired keys stay good until they expire. The new active keys have been published since
        the last rotation, so verifiers that cache the key set know them.
        """
        return await self._rotate()

    async def _rotate(self, *, only_if_due: bool = False) -> str:
        algorithm = self._settings.algorithm
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["lock"])
            rows = await connection.fetch(_SQL["all"])
            activated = _activated(rows)
            # Another process was first: a second rotation would sign with a key that nobody has seen.
            due = {each for each, at in activated.items() if not only_if_due or self._is_due(at)}
            if (due or not activated) and algorithm not in activated:
                # The configured algorithm is a new one. `prepare` makes the old ones again, if a client wants them.
                for each in due:
                    await connection.execute(_SQL["drop_next"], each)
                    await connection.execute(_SQL["retire_active"], each, self._clock.now())
                due = {algorithm}
            for each in sorted(due):
                await self._promote(connection, rows, each)
        await self.load()
        return self._signer(None).kid

    async def _promote(self, connection: Connection, rows: Sequence[asyncpg.Record], algorithm: str) -> None:
        upcoming = [row for row in rows if row["state"] == "next" and row["algorithm"] == algorithm]
        usable = [row["kid"] for row in upcoming if self._is_usable(row)]
        if upcoming and not usable:
            await connection.execute(_SQL["drop_next"], algorithm)
        kid = usable[0] if usable else await self._make(connection, algorithm)
        await connection.execute(_SQL["retire_active"], algorithm, self._clock.now())
        await connection.execute(_SQL["activate"], kid, self._clock.now())
        await self._make(connection, algorithm)
        await publish(connection, "key", "rotated")

    def _is_due(self, activated_at: datetime | None) -> bool:
        return activated_at is None or activated_at + self._settings.key_rotation <= self._clock.now()

    def _is_usable(self, row: asyncpg.Record) -> bool:
        """Say whether a next key was stored under this master key."""
        try:
            self._vault.open(row["private_jwe"], row["kid"])
        except StartupError:
            return False
        return True

    async def retire(self, kid: str) -> None:
        """Refuse everything that ``kid`` signed, from now on. Raises NotFound; the active key must be rotated first."""
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["lock"])
            algorithm = await connection.fetchval(_SQL["retire"], kid)
            if algorithm is None:
                raise NotFound(f"no key {kid} that is next or retired; an active key is rotated out first")
            rows = [row for row in await connection.fetch(_SQL["all"]) if row["algorithm"] == algorithm]
            if {row["state"] for row in rows} & {"active", "next"} == {"active"}:
                # A key that was made when it is needed would be news to verifiers.
                await self._make(connection, algorithm)
            await publish(connection, "key", kid)
        await self.load()

    def list(self) -> list[SigningKey]:
        """Return all keys, oldest first."""
        return list(self._keys.values())

    def find(self, kid: str) -> VerificationKey | None:
        """Return the public key that ``kid`` names, or None."""
        return self._verification.get(kid)

    def sign(self, claims: Mapping[str, Any], typ: str, algorithm: str | None = None) -> str:
        """Return ``claims`` signed by the active key, of an algorithm that has been prepared when one is named."""
        active = self._signer(algorithm)
        if active.private is None:
            raise StartupError("there is no active signing key; make one with `gateway keys rotate`")
        return active.private.sign(claims, typ)

    def _signer(self, algorithm: str | None) -> SigningKey:
        active = self._active.get(algorithm or self._settings.algorithm)
        if active is None and algorithm is None:
            # The configured algorithm is a new one: the keys that are there sign until they are due.
            active = min(self._active.values(), key=lambda key: key.created_at, default=None)
        if active is None:
            raise StartupError("there is no active signing key; make one with `gateway keys rotate`")
        return active

    def jwks(self) -> dict[str, Any]:
        """Return the public key set (RFC 7517 section 5)."""
        return {"keys": [dict(key.public) for key in self._keys.values()]}

    async def _make(self, connection: Connection, algorithm: str) -> str:
        # None begins with a hyphen, as one in 64 would: it is given to commands, where that is an option.
        kid = secrets.token_urlsafe(12).replace("-", "_")
        # An RSA key takes a quarter of a second to find.
        key = await asyncio.to_thread(JWK.generate, **_PARAMETERS[algorithm], kid=kid, use="sig", alg=algorithm)
        now = self._clock.now()
        sealed = self._vault.seal(key)
        await connection.execute(_SQL["insert"], kid, algorithm, "next", key.export_public(), sealed, now, None)
        return kid


def _activated(rows: Sequence[asyncpg.Record]) -> dict[str, datetime | None]:
    """Return since when each algorithm's active key has signed."""
    return {row["algorithm"]: row["activated_at"] for row in rows if row["state"] == "active"}
