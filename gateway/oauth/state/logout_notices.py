"""Logouts that clients are to be told of: written by the database where a login ends, told by any process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gateway.storage.database import Database
from gateway.storage.statements import statements

_SQL: Final = statements("logout_notice")


@dataclass(frozen=True, slots=True)
class LogoutNotice:
    """One client that is to be told of one login's end. ``attempts`` counts this one, too."""

    id: int
    client_id: str
    account_id: str
    login_id: str
    attempts: int


class LogoutNotices:
    """The notices of this installation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def take(self, most: int) -> Sequence[LogoutNotice]:
        """Return notices that are due. Each comes again, later each time, until it is ``done``."""
        rows = await self._database.fetch(_SQL["take"], most)
        return [
            LogoutNotice(row["id"], row["client_id"], str(row["account_id"]), str(row["login_id"]), row["attempts"])
            for row in rows
        ]

    async def done(self, notice: LogoutNotice) -> None:
        """Forget a notice that has been told, or never will be."""
        await self._database.execute(_SQL["done"], notice.id)

    async def next_due_seconds(self) -> float | None:
        """Return in how many seconds a notice is due; None when there is none."""
        seconds: float | None = await self._database.fetchval(_SQL["next_due"])
        return seconds
