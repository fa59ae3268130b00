"""Letters that wait to be sent: sealed rows, written with what they are about, so that neither is lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from gateway.accounts.mail.letter import Letter
from gateway.clock import Clock
from gateway.storage.database import Database, Executor
from gateway.storage.events import EventFeed, publish
from gateway.storage.statements import statements
from gateway.tokens.box import Box
from gateway.tokens.master_key import MasterKey

TOPIC: Final = "mail"
KEPT: Final = timedelta(days=2)
_SQL: Final = statements("outgoing_mail")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A letter and how often it has been tried, this time included. None when it cannot be read any more."""

    id: int
    letter: Letter | None
    attempts: int


class Postbox:
    """Takes letters in and gives them out. ``enabled`` is False where no mail is configured: nothing is kept then."""

    def __init__(
        self, database: Database, master_key: MasterKey, clock: Clock, feed: EventFeed | None = None, *, enabled: bool
    ) -> None:
        self._database = database
        self._box = Box(master_key, "outgoing mail")
        self._clock = clock
        self._feed = feed
        self.enabled = enabled

    async def put(self, letter: Letter, connection: Executor | None = None, *, lifetime: timedelta = KEPT) -> None:
        """Keep a letter until it is sent, in the caller's transaction when there is one."""
        if not self.enabled:
            return None
        if connection is None:
            async with self._database.transaction() as own:
                return await self.put(letter, own, lifetime=lifetime)
        now = self._clock.now()
        await connection.execute(_SQL["put"], self._box.seal(letter.sealed_form()), now, now + min(lifetime, KEPT))
        await publish(connection, TOPIC, "")
        return None

    async def take(self, most: int) -> Sequence[Waiting]:
        """Return letters that are due; each is due again later unless `done` is called."""
        rows = await self._database.fetch(_SQL["take"], self._clock.now(), most)
        return [Waiting(row["id"], self._opened(row["sealed"]), row["attempts"]) for row in rows]

    async def done(self, waiting: Waiting) -> None:
        await self._database.execute(_SQL["done"], waiting.id)

    async def next_due_seconds(self) -> float | None:
        """Return in how many seconds there is something to do; None when there is nothing."""
        now = self._clock.now()
        due: datetime | None = await self._database.fetchval(_SQL["next_due"], now)
        return None if due is None else max(0.0, (due - now).total_seconds())

    async def forget_expired(self) -> int:
        """Delete a batch of letters whose time is over. Returns how many."""
        return await self._database.execute(_SQL["forget_expired"], self._clock.now())

    def _opened(self, sealed: str) -> Letter | None:
        try:
            return Letter.opened(self._box.open(sealed))
        except ValueError:
            return None
