"""Access tokens: each is verified by its signature, and the login that it belongs to is asked for once.

A client that renews its token, or holds several, is the same login: the database need not be asked about it again
while what it said may be believed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

import asyncpg

from gateway.clock import Clock
from gateway.errors import CredentialRejected
from gateway.identity.claims import shown
from gateway.identity.identity import CredentialKind, Identity
from gateway.identity.memory import Memory
from gateway.identity.presented import Presented
from gateway.identity.verified import KEPT_SECONDS, Dependency, Verified, roles_of
from gateway.oauth.state.client_tokens import ClientTokens
from gateway.tokens.access import AccessTokens
from gateway.tokens.jwt import VerifiedClaims, audiences_of, key_id
from gateway.tokens.refresh import RefreshTokens

_BEARER: Final = CredentialKind.BEARER
_NEVER: Final = datetime.fromtimestamp(0, UTC)
# What is said in fields of an identity, or is nobody's business but the token's.
_PROTOCOL: Final = frozenset({"iss", "aud", "sub", "sid", "iat", "nbf", "exp", "jti", "auth_time", "amr", "scope"})


@dataclass(frozen=True, slots=True)
class Bearers:
    """Authenticates access tokens."""

    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    client_tokens: ClientTokens
    memory: Memory
    clock: Clock

    async def authenticate(self, presented: Presented, _host: str) -> Verified:
        """Return who a token stands for. Raises CredentialRejected, StorageError."""
        claims = self.access_tokens.verify(presented.unverified)
        login = await self._stands_on(claims)
        scope = claims.get("scope")
        identity = replace(
            login.identity,
            scopes=frozenset(str(scope).split()) if scope is not None else None,
            audiences=frozenset(audiences_of(claims)),
            authenticated_at=datetime.fromtimestamp(int(claims.get("auth_time", claims["iat"])), UTC),
            methods=tuple(str(method) for method in claims.get("amr", ())),
            claims=shown(claims, _PROTOCOL),
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

    async def _stands_on(self, claims: VerifiedClaims) -> Verified:
        """Return the login of a verified token, or the client by itself, without what the token itself says."""
        client_id, family_id = str(claims.get("client_id", "")), claims.get("sid")
        if family_id is None:
            return await self._client(client_id, claims)
        account_id = "" if client_id else str(claims["sub"])
        # Longer than the digests under which credentials are remembered, so it is never taken for one.
        key = f"family\0{family_id}\0{account_id}\0{client_id}".encode("utf-8", "surrogatepass")
        return self.memory.known(key) or await self.memory.verify(
            key, lambda: self._login(str(family_id), account_id, client_id)
        )

    async def _login(self, family_id: str, account_id: str, client_id: str) -> Verified:
        if client_id:  # whose `sub` may be a name that only it knows the account by
            row = await self.client_tokens.granted_row(family_id, client_id)
        else:
            row = await self.refresh_tokens.identity_row(family_id, account_id)
        if row is None:
            raise CredentialRejected("token_revoked")
        identity = _person(row, client_id)
        depends_on = {("account", identity.user_id), ("family", family_id)}
        return self._verified(identity, depends_on | {("client", client_id)} if client_id else depends_on)

    async def _client(self, client_id: str, claims: VerifiedClaims) -> Verified:
        row = await self.client_tokens.own_row(client_id, claims)
        if row is None:
            raise CredentialRejected("token_revoked")
        identity = Identity(
            user_id=client_id,
            # No username has a colon, so no person is ever taken for a program.
            username=f"client:{client_id}",
            email="",
            name=row["name"],
            roles=(),
            kind=_BEARER,
            authenticated_at=_NEVER,
            client_id=client_id,
        )
        return self._verified(identity, {("client", client_id), ("token", str(claims["jti"]))})

    def _verified(self, identity: Identity, depends_on: set[Dependency]) -> Verified:
        return Verified(identity, frozenset(depends_on), self.clock.monotonic() + KEPT_SECONDS)


def _person(row: asyncpg.Record, client_id: str) -> Identity:
    return Identity(
        user_id=str(row["id"]),
        username=row["username"],
        email=row["email"],
        name=row["name"],
        roles=roles_of(row["roles"]),
        kind=_BEARER,
        authenticated_at=_NEVER,
        client_id=client_id,
    )
