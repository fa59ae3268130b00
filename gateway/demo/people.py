"""The demo's accounts: made at the first start, with passwords that stay what they are."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gateway.accounts.accounts import Accounts
from gateway.accounts.changes import Changes
from gateway.errors import StartupError

# No letter or digit that is taken for another; twelve of these carry 60 bits.
_ALPHABET: Final = "abcdefghjkmnpqrstuvwxyz23456789"


@dataclass(frozen=True, slots=True)
class Person:
    """An account of the demo. ``password`` is empty once somebody has changed it."""

    username: str
    roles: tuple[str, ...]
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)


PERSONS: Final = (
    Person("ann", ("admin", "user")),
    Person("bob", ("user",)),
    Person("cleo", ("guest",)),
)


async def settle(accounts: Accounts, data_dir: Path) -> Sequence[Person]:
    """Make what is missing of the accounts and their API tokens; keep the secrets in ``data_dir/demo.json`` (0600).

    Raises StartupError when that file cannot be read or written.
    """
    path = data_dir / "demo.json"
    known = _read(path)
    persons = await asyncio.gather(*(_settled(accounts, person, known) for person in PERSONS))
    kept: dict[str, str] = {}
    for person in persons:
        kept[person.username] = person.password or known.get(person.username, "")
        kept[_token_key(person)] = person.token
        kept[_proof_key(person)] = await _proof(accounts, person)
    _write(path, kept)
    return persons


def _token_key(person: Person) -> str:
    return f"{person.username} token"


def _proof_key(person: Person) -> str:
    return f"{person.username} proof"


async def _proof(accounts: Accounts, person: Person) -> str:
    """Return what stays the same while the account's password does; empty when ours is not the account's.

    It spares the next start to hash three passwords, which takes most of a second.
    """
    found = await accounts.users.credentials(person.username)
    if not person.password or found is None:
        return ""
    return hashlib.sha256(str(found[1]).encode()).hexdigest()


async def _settled(accounts: Accounts, person: Person, known: dict[str, str]) -> Person:
    """Return the person with the password that signs them in, and a token."""
    password = known.get(person.username) or _new_password()
    found = await accounts.users.credentials(person.username)
    if found is None:
        address = f"{person.username}@example.com"
        user = await accounts.users.create(person.username, address, password, roles=person.roles, is_verified=True)
    else:
        user, stored = found
        proven = known.get(_proof_key(person)) == hashlib.sha256(str(stored).encode()).hexdigest()
        if person.username not in known:
            await accounts.users.change(user.id, Changes(password=password))
        elif not proven and not (await accounts.hasher.verify(password, stored))[0]:
            password = ""
    token = await _token(accounts, user.id, known.get(_token_key(person), ""))
    return Person(person.username, user.roles, password, token)


async def _token(accounts: Accounts, user_id: str, known: str) -> str:
    if known and await accounts.api_tokens.find(known) is not None:
        return known
    _, token = await accounts.api_tokens.create(user_id, "demo")
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
