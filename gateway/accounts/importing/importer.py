"""Takes accounts over: all of a file, or none with everything that is wrong."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.accounts.importing.formats import Found, Record, Trouble
from gateway.accounts.passwords.foreign import check_foreign
from gateway.accounts.user import check_names, check_profile, name_key, sorted_roles, spelled
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.storage.database import Database
from gateway.storage.statements import statements

_SQL: Final = statements("account")


@dataclass(frozen=True, slots=True)
class Imported:
    """How many accounts were made, or would be; or what is wrong, in the order of the lines."""

    count: int
    troubles: Sequence[Trouble]


class Importer:
    """Checks what a file holds against the rules for accounts, against itself, and against who is there."""

    def __init__(self, database: Database, settings: Settings, clock: Clock) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock

    async def take(self, found: Iterable[Found], *, dry_run: bool = False) -> Imported:
        """Make the accounts, in one transaction. With ``dry_run`` only say what would happen."""
        everything = list(found)
        records = [each for each in everything if isinstance(each, Record)]
        troubles = [each for each in everything if isinstance(each, Trouble)]
        troubles += [trouble for record in records for trouble in self._wrong(record)]
        troubles += _twice(records)
        troubles += await self._taken(records)
        if troubles:
            return Imported(0, sorted(troubles, key=lambda each: each.line))
        if not dry_run:
            await self._make(records)
        return Imported(len(records), ())

    def _wrong(self, record: Record) -> list[Trouble]:
        errors = check_names(record.username, record.email) + check_profile(record.name, record.roles or ())
        troubles = [Trouble(record.line, f"{error.field} {error.detail}") for error in errors]
        if record.password_hash is not None:
            try:
                check_foreign(record.password_hash)
            except ValueError as error:
                troubles.append(Trouble(record.line, f"the password's hash {error}"))
        return troubles

    async def _taken(self, records: Sequence[Record]) -> list[Trouble]:
        keys = [key for record in records for key in (name_key(record.username), name_key(record.email))]
        rows = await self._database.fetch(_SQL["taken"], [key for key in keys if _storable(key)])
        taken = {row["key"] for row in rows}
        return [
            Trouble(record.line, f"{field} {value} has an account already")
            for record in records
            for field, value in (("username", record.username), ("email", record.email))
            if name_key(value) in taken
        ]

    async def _make(self, records: Sequence[Record]) -> None:
        now, default = self._clock.now(), self._settings.registration.default_roles
        async with self._database.transaction() as connection:
            for record in records:
                await connection.fetchrow(
                    _SQL["insert"],
                    spelled(record.username),
                    name_key(record.username),
                    record.email,
                    name_key(record.email),
                    record.name,
                    record.password_hash,
                    sorted_roles(default if record.roles is None else record.roles),
                    record.is_active,
                    record.is_verified,
                    now,
                )


def _twice(records: Sequence[Record]) -> list[Trouble]:
    first: dict[str, int] = {}
    troubles = []
    for record in records:
        for field, value in (("username", record.username), ("email", record.email)):
            at = first.setdefault(f"{field} {name_key(value)}", record.line)
            if at != record.line:
                troubles.append(Trouble(record.line, f"{field} {value} is that of line {at} already"))
    return troubles


def _storable(text: str) -> bool:
    return text.isprintable() and text.encode("utf-8", "ignore").decode() == text
