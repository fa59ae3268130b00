"""Signing keys: next, active, retired. All three are published, one signs."""

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
from gateway.tokens.jwt import VerificationKey, sign
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
    private: JWK | None = field(repr=False, default=None)


class SigningKeys:
    """The keys of this installation, as last read from the database."""

    def __init__(self, database: Database, master_key: MasterKey, settings: TokenSettings, clock: Clock) -> None:
        self._database = database
        self._vault = Vault(master_key)
        self._settings = settings
        self._clock = clock
        self._keys: dict[str, SigningKey] = {}
        self._verification: dict[str, VerificationKey] = {}
        self._active: SigningKey | None = None
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
                private=self._vault.open(row["private_jwe"], row["kid"]) if row["state"] == "active" else None,
            )
            for row in rows
        ]
        self._keys = {key.kid: key for key in keys}
        self._verification = {key.kid: VerificationKey(key.kid, key.algorithm, JWK(**key.public)) for key in keys}
        self._active = next((key for key in keys if key.state == "active"), None)

    async def ensure(self) -> None:
        """Make the first keys, rotate when the schedule says so, and forget keys that nothing valid needs."""
        await self.load()
        now = self._clock.now()
        if self._is_due(self._active.activated_at if self._active else None):
            await self._rotate(only_if_due=True)
        longest = max(self._settings.refresh_lifetime, self._settings.access_lifetime)
        if await self._database.execute(_SQL["forget_retired"], now - longest - timedelta(days=1)):
            await self.load()

    async def rotate(self) -> str:
        """Promote the next key, retire the active one, make a new next. Returns the active kid.

        Tokens of the retired key stay good until they expire. The new active key has been published since
        the last rotation, so verifiers that cache the key set know it.
        """
        return await self._rotate()

    async def _rotate(self, *, only_if_due: bool = False) -> str:
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["lock"])
            rows = await connection.fetch(_SQL["all"])
            active = next((row for row in rows if row["state"] == "active"), None)
            # Another process was first: a second rotation would sign with a key that nobody has seen.
            if not only_if_due or active is None or self._is_due(active["activated_at"]):
                kid = await self._promote(connection, rows)
            else:
                kid = str(active["kid"])
        await self.load()
        return kid

    async def _promote(self, connection: Connection, rows: Sequence[asyncpg.Record]) -> str:
        upcoming = [row for row in rows if row["state"] == "next"]
        usable = [row["kid"] for row in upcoming if self._is_usable(row)]
        if upcoming and not usable:
            await connection.execute(_SQL["drop_next"])
        kid = usable[0] if usable else await self._make(connection)
        await connection.execute(_SQL["retire_active"], self._clock.now())
        await connection.execute(_SQL["activate"], kid, self._clock.now())
        await self._make(connection)
        await publish(connection, "key", "rotated")
        return kid

    def _is_due(self, activated_at: datetime | None) -> bool:
        return activated_at is None or activated_at + self._settings.key_rotation <= self._clock.now()

    def _is_usable(self, row: asyncpg.Record) -> bool:
        """Say whether a next key is of the configured algorithm and was stored under this master key."""
        if row["algorithm"] != self._settings.algorithm:
            return False
        try:
            self._vault.open(row["private_jwe"], row["kid"])
        except StartupError:
            return False
        return True

    async def retire(self, kid: str) -> None:
        """Refuse everything that ``kid`` signed, from now on. Raises NotFound; the active key must be rotated first."""
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["lock"])
            if not await connection.execute(_SQL["retire"], kid):
                raise NotFound(f"no key {kid} that is next or retired; an active key is rotated out first")
            if not any(row["state"] == "next" for row in await connection.fetch(_SQL["all"])):
                await self._make(connection)  # a key that was made when it is needed would be news to verifiers
            await publish(connection, "key", kid)
        await self.load()

    def list(self) -> list[SigningKey]:
        """Return all keys, oldest first."""
        return list(self._keys.values())

    def find(self, kid: str) -> VerificationKey | None:
        """Return the public key that ``kid`` names, or None."""
        return self._verification.get(kid)

    def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        """Return ``claims`` signed by the active key."""
        active = self._active
        if active is None or active.private is None:
            raise StartupError("there is no active signing key; make one with `gateway keys rotate`")
        return sign(active.private, active.kid, active.algorithm, claims, typ)

    def jwks(self) -> dict[str, Any]:
        """Return the public key set (RFC 7517 section 5)."""
        return {"keys": [dict(key.public) for key in self._keys.values()]}

    async def _make(self, connection: Connection) -> str:
        algorithm, kid = self._settings.algorithm, secrets.token_urlsafe(12)
        key = JWK.generate(**_PARAMETERS[algorithm], kid=kid, use="sig", alg=algorithm)
        now = self._clock.now()
        sealed = self._vault.seal(key)
        await connection.execute(_SQL["insert"], kid, algorithm, "next", key.export_public(), sealed, now, None)
        return kid
