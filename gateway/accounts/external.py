"""A login here that rests on one elsewhere: so that whoever signs out there is signed out here."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Final, Self
from uuid import UUID

from gateway.storage.database import Connection
from gateway.storage.statements import statements

_SQL: Final = statements("external_session")


@dataclass(frozen=True, slots=True)
class External:
    """A login at a provider: whose it is there, and what that calls it (``sid``), empty where it has no name."""

    authority: str
    subject: str
    provider: str
    session: str = ""

    @property
    def text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def of(cls, text: str) -> Self | None:
        """Return what ``text`` holds; None for the empty one."""
        return cls(**json.loads(text)) if text else None


async def rest_on(connection: Connection, login_id: str, external: External) -> None:
    """Note what a login rests on, inside the transaction that begins it."""
    place = (external.authority, external.subject, external.provider, external.session)
    await connection.execute(_SQL["note"], UUID(login_id), *place)
