"""What is kept of a registration whose address had an account already: enough that its asker learns nothing of that.

They were told to look at their mail, as everybody is. So their username is taken from then on, and signing in by it
with their password is answered as it would be if the address had only to be confirmed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from gateway.accounts.user import TAKEN, name_key
from gateway.clock import Clock
from gateway.errors import FieldError, InvalidInput
from gateway.storage.database import Connection, Database
from gateway.storage.statements import statements

_KEPT_FOR: Final = timedelta(days=365)
_SQL: Final = statements("decoy")


class Decoys:
    """Remembers usernames and password hashes that stand for no account."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def put(self, username: str, password_hash: str) -> None:
        """Keep what was registered."""
        await self._database.execute(_SQL["put"], name_key(username), password_hash, self._clock.now())

    async def refuse_taken(self, connection: Connection, username: str) -> None:
        """Raise InvalidInput when the username is in use here, as it would be by an account."""
        if await connection.fetchval(_SQL["find"], name_key(username)) is not None:
            raise InvalidInput([FieldError("username", TAKEN)])

    async def password_hash(self, login: str) -> str | None:
        """Return what was kept under a username."""
        found: str | None = await self._database.fetchval(_SQL["find"], name_key(login))
        return found

    async def forget_old(self) -> int:
        """Delete a batch of old ones. Returns how many."""
        return await self._database.execute(_SQL["forget_old"], self._clock.now() - _KEPT_FOR)
