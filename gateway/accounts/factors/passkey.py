"""A passkey as it is kept, and what may be said of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import asyncpg

from gateway.errors import FieldError, InvalidInput
from gateway.translation.words import later

MOST_PER_ACCOUNT: Final = 20
LONGEST_NAME: Final = 60


@dataclass(frozen=True, slots=True)
class Passkey:
    """One of an account's. ``is_discoverable``: it can sign in without a name being typed."""

    id: str
    account_id: str
    name: str
    is_discoverable: bool
    is_synced: bool
    created_at: datetime
    last_used_at: datetime | None
    credential_id: bytes = field(repr=False)
    public_key: bytes = field(repr=False)
    transports: Sequence[str] = ()

    @classmethod
    def of(cls, row: asyncpg.Record) -> Passkey:
        return cls(
            id=str(row["id"]),
            account_id=str(row["account_id"]),
            name=row["name"],
            is_discoverable=row["discoverable"],
            is_synced=row["backup_eligible"],
            created_at=row["created_at"],
            last_used_at=row["last_used_at"],
            credential_id=row["credential_id"],
            public_key=row["public_key"],
            transports=tuple(row["transports"]),
        )


def check_name(name: str) -> str:
    """Return a passkey's name as it is stored. Raises InvalidInput."""
    chosen = " ".join(name.split())
    if not 1 <= len(chosen) <= LONGEST_NAME or not chosen.isprintable():
        message = later("must be 1 to %(count)s printable characters")
        raise InvalidInput([FieldError("name", message, {"count": LONGEST_NAME})])
    return chosen


def check_room(held: int) -> None:
    """Raise InvalidInput when an account holds as many as it may."""
    if held >= MOST_PER_ACCOUNT:
        message = later("There are %(count)s passkeys already: remove one first.")
        raise InvalidInput([FieldError("", message, {"count": MOST_PER_ACCOUNT})])
