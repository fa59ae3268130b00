"""There is always somebody to administer."""

from __future__ import annotations

from typing import Final
from uuid import UUID

from gateway.errors import FieldError, LastAdministrator
from gateway.storage.database import Connection
from gateway.storage.statements import statements
from gateway.translation.words import later

_SQL: Final = statements("account")


async def leave_an_admin(connection: Connection, user_id: UUID) -> None:
    """Refuse what would leave nobody to administer. Locks the administrators' rows, so that two cannot cross.

    Raises LastAdministrator.
    """
    admins = [row["id"] for row in await connection.fetch(_SQL["lock_admins"])]
    if admins == [user_id]:
        raise LastAdministrator(
            [FieldError("roles", later("this is the last active administrator: name another one first"))]
        )
