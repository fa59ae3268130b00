"""Access tokens that were revoked one by one: those of clients that stand for themselves, and have no family to end."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from gateway.clock import Clock
from gateway.oauth.state.families import token_hash
from gateway.storage.database import Database
from gateway.storage.events import EventFeed, publish
from gateway.storage.statements import statements

TOPIC: Final = "token"
_SQL: Final = statements("revoked_token")


class RevokedTokens:
    """Remembers revoked tokens until they would have expired."""

    def __init__(self, database: Database, clock: Clock, feed: EventFeed | None = None) -> None:
        self._database = database
        self._clock = clock
        self._feed = feed

    async def revoke(self, jti: str, expires_at: datetime) -> None:
        """Refuse a token from now on, in every process."""
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["insert"], token_hash(jti), expires_at)
            await publish(connection, TOPIC, jti)
        if self._feed is not None:
            await self._feed.caught_up()

    async def knows(self, jti: str) -> bool:
        """Tell whether a token has been revoked."""
        return bool(await self._database.fetchval(_SQL["find"], token_hash(jti)))

    async def forget_expired(self) -> int:
        """Delete a batch of tokens that are refused for their age. Returns how many."""
        return await self._database.execute(_SQL["forget_expired"], self._clock.now())
