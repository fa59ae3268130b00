"""Access tokens: each is verified by its signature, and the login that it belongs to is asked for once.

A client that renews its token, or holds several, is the same login: the database need not be asked about it again
while what it said may be believed.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from gateway.clock import Clock
from gateway.errors import CredentialRejected
from gateway.identity.identity import CredentialKind, Identity
from gateway.identity.memory import Memory
from gateway.identity.presented import Presented
from gateway.identity.verified import KEPT_SECONDS, Verified, roles_of
from gateway.tokens.access import AccessTokens
from gateway.tokens.jwt import key_id
from gateway.tokens.refresh import RefreshTokens

_BEARER: Final = CredentialKind.BEARER
_NEVER: Final = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True, slots=True)
class Bearers:
    """Authenticates access tokens."""

    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    memory: Memory
    clock: Clock

    async def authenticate(self, presented: Presented, _host: str) -> Verified:
        """Return who a token stands for. Raises CredentialRejected, StorageError."""
        claims = self.access_tokens.verify(presented.unverified)
        login = await self._login(str(claims["sid"]), str(claims["sub"]))
        known, scope = login.identity, claims.get("scope")
        identity = Identity(
            user_id=known.user_id,
            username=known.username,
            email=known.email,
            name=known.name,
            roles=known.roles,
            kind=_BEARER,
            authenticated_at=datetime.fromtimestamp(int(claims["auth_time"]), UTC),
            scopes=frozenset(str(scope).split()) if scope is not None else None,
            methods=tuple(str(method) for method in claims["amr"]),
        )
        ends_at = self.clock.monotonic() + float(claims["exp"]) - self.clock.now().timestamp()
        return Verified(
            identity=identity,
            depends_on=login.depends_on | {("key", key_id(presented.unverified))},
            # No later than the login was asked for: one token after the other must not carry it on.
            expires_at=min(login.expires_at, ends_at),
            ends_at=ends_at,
            consumed=frozenset({presented.header}),
        )

    async def _login(self, family_id: str, account_id: str) -> Verified:
        """Return the login of a verified token, without what the token itself says."""
        # Longer than the digests under which credentials are remembered, so it is never taken for one.
        key = f"family\0{family_id}\0{account_id}".encode("utf-8", "surrogatepass")
        return self.memory.known(key) or await self.memory.verify(key, lambda: self._ask(family_id, account_id))

    async def _ask(self, family_id: str, account_id: str) -> Verified:
        row = await self.refresh_tokens.identity_row(family_id, account_id)
        if row is None:
            raise CredentialRejected("token_revoked")
        identity = Identity(
            user_id=str(row["id"]),
            username=row["username"],
            email=row["email"],
            name=row["name"],
            roles=roles_of(row["roles"]),
            kind=_BEARER,
            authenticated_at=_NEVER,
        )
        depends_on = frozenset({("account", identity.user_id), ("family", family_id)})
        return Verified(identity, depends_on, self.clock.monotonic() + KEPT_SECONDS)
