"""The demo's accounts: made at the first start, with passwords that stay what they are."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.accounts.users import Changes
from gateway.app import Accounts
from gateway.errors import StartupError

# No letter or digit that is taken for another; twelve of these carry 60 bits.
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"
_TOKEN_KEY: Final = "token"  # noqa: S105 - a key of the file


@dataclass(frozen=True, slots=True)
class Person:
    """An account of the demo. ``password`` is empty once somebody has changed it."""

    username: str
    roles: tuple[str, ...]
    password: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class People:
    """The accounts, and an API token of the first."""

    persons: Sequence[Person]
    token: str = field(repr=False)


PERSONS: Final = (
    Person("ann", ("admin", "user")),
    Person("bob", ("user",)),
    Person("cleo", ("guest",)),
)


async def settle(accounts: Accounts, data_dir: Path) -> People:
    """Make the accounts that are missing, and remember their passwords in ``data_dir/demo.json`` (0600).

    Raises StartupError when that file cannot be read or written.
    """
    path = data_dir / "demo.json"
    known = _read(path)
    persons = await asyncio.gather(*(_settled(accounts, person, known) for person in PERSONS))
    token = await _token(accounts, persons[0], known.get(_TOKEN_KEY, ""))
    kept = {person.username: person.password or known.get(person.username, "") for person in persons}
    _write(path, kept | {_TOKEN_KEY: token})
    return People(persons, token)


async def _settled(accounts: Accounts, person: Person, known: dict[str, str]) -> Person:
    """Return the person with the password that signs them in."""
    password = known.get(person.username) or _new_password()
    found = await accounts.users.credentials(person.username)
    if found is None:
        address = f"{person.username}@example.com"
        await accounts.users.create(person.username, address, password, roles=person.roles, is_verified=True)
        return Person(person.username, person.roles, password)
    user, stored = found
    if person.username not in known:
        await accounts.users.change(user.id, Changes(password=password))
        return Person(person.username, user.roles, password)
    right, _ = await accounts.hasher.verify(password, stored)
    return Person(person.username, user.roles, password if right else "")


async def _token(accounts: Accounts, person: Person, known: str) -> str:
    if known and await accounts.api_tokens.find(known) is not None:
        return known
    found = await accounts.users.credentials(person.username)
    assert found is not None  # noqa: S101 - it was made a moment ago
    _, token = await accounts.api_tokens.create(found[0].id, "demo", (), None)
    return token


def _new_password() -> str:
    parts = ["".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3)]
    return "-".join(parts)


def _read(path: Path) -> dict[str, str]:
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): str(secret) for name, secret in known.items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise StartupError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, AttributeError) as error:
        raise StartupError(f"{path} is damaged; delete it, and the demo makes new passwords") from error


def _write(path: Path, secrets_by_name: dict[str, str]) -> None:
    """Replace the file in one step; nobody but its owner can read it at any moment."""
    beside = path.with_suffix(".new")
    try:
        beside.unlink(missing_ok=True)
        with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            json.dump(secrets_by_name, file)
        beside.replace(path)
    except OSError as error:
        raise StartupError(f"{path} cannot be written: {error.strerror}") from error
