"""Whose access tokens of clients are, while all that they stand on is good."""

from __future__ import annotations

from typing import Final
from uuid import UUID

import asyncpg

from gateway.oauth.state.families import token_hash
from gateway.storage.database import Database
from gateway.storage.lookup import Lookup
from gateway.storage.statements import statements

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

    async def own_row(self, client_id: str, jti: str) -> asyncpg.Record | None:
        """Return the client of a token that stands for the client itself, else None."""
        return await self._own.find(client_id, token_hash(jti))
