"""Accounts for a gateway that is running, with what each may present."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from gateway.accounts.sessions import Login
from gateway.cli.workshop import workshop
from gateway.clock import SystemClock
from gateway.config.load import load_settings

PASSWORD = "correct horse battery"


@dataclass(frozen=True, slots=True)
class Person:
    """An account and a credential of each kind. ``host`` is where the session counts."""

    id: str
    name: str
    session: str = field(repr=False)
    api_token: str = field(repr=False)


async def people(config: Path, count: int, host: str = "localhost") -> list[Person]:
    """Make so many accounts with the role ``user``, beside the running gateway."""
    made: list[Person] = []
    async with workshop(load_settings(config, {}).settings) as accounts:
        await accounts.keys.load()
        for number in range(count):
            name = f"person{number}"
            user = await accounts.users.create(name, f"{name}@example.com", PASSWORD, roles=("user",), is_verified=True)
            session, _ = await accounts.sessions.create(Login(user.id, host, SystemClock().now()))
            _, api_token = await accounts.api_tokens.create(user.id, "soak", (), None)
            made.append(Person(user.id, name, session, api_token))
    return made
