"""Whose access tokens of clients are, while all that they stand on is good."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import asyncpg

from gateway.oauth.state.families import token_hash
from gateway.storage.database import Database
from gateway.storage.lookup import Lookup
from gateway.storage.statements import statements
from gateway.tokens.jwt import VerifiedClaims, audiences_of

_SQL: Final = statements("client_token")


class ClientTokens:
    """Looks up what verified tokens name, those of many requests in one statement."""

    def __init__(self, database: Database) -> None:
        self._granted = Lookup(database, _SQL["granted"])
        self._own = Lookup(database, _SQL["own"])

    async def granted_row(self, family_id: str, client_id: str) -> asyncpg.Record | None:
        """Return the account that granted a family to a client, else None."""
        try:
            return await self._granted.find(UUID(family_id), client_id)
        except ValueError:
            return None

    async def own_row(self, client_id: str, claims: VerifiedClaims) -> asyncpg.Record | None:
        """Return the client of a token that stands for the client itself, else None."""
        row = await self._own.find(client_id, token_hash(str(claims["jti"])))
        if row is None:
            return None
        scopes = None if row["scope"] is None else frozenset(row["scope"].split())
        return row if would_get(claims, scopes, itself=row["stands_for_itself"], routes=row["opens_routes"]) else None


def would_get(claims: VerifiedClaims, scopes: frozenset[str] | None, *, itself: bool, routes: bool) -> bool:
    """Tell whether a client still would get the token that it got for itself.

    No family ends with a right that is taken from it. ``scopes`` are those that it may have, None: any; ``itself``
    says that it may stand for itself, ``routes`` that its tokens may open ordinary ones.
    """
    if not itself or (scopes is not None and not scopes.issuperset(str(claims.get("scope", "")).split())):
        return False
    return routes or claims["iss"] not in audiences_of(claims)
