"""Accounts over one database and one clock."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.accounts.api_tokens import ApiTokens
from gateway.accounts.decoys import Decoys
from gateway.accounts.devices import KnownDevices
from gateway.accounts.login import PasswordLogin
from gateway.accounts.passwords.hasher import PasswordHasher
from gateway.accounts.sessions import Sessions
from gateway.accounts.throttle.failures import Failures
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.config.settings import Settings
from gateway.storage.database import Database
from gateway.tokens.master_key import MasterKey
from tests.fake_clock import FakeClock

PASSWORD = "correct horse battery"
DEFAULTS: dict[str, dict[str, Any]] = {
    "passwords": {"bcrypt_cost": 4},
    "login": {"max_failures": 3, "window": "15m", "lockout": "10m", "per_ip": 8},
    "sessions": {"idle_timeout": "1h", "lifetime": "12h", "remember_for": "30d", "max_per_user": 3},
}


@dataclass
class Office:
    """Everything that keeps accounts."""

    database: Database
    settings: Settings
    clock: FakeClock
    hasher: PasswordHasher
    users: Users
    login: PasswordLogin
    sessions: Sessions
    api_tokens: ApiTokens
    devices: KnownDevices
    told: list[tuple[str, str]]
    slept: list[float] = field(default_factory=list)

    async def add(self, username: str = "ann", **options: Any) -> User:
        email = options.pop("email", f"{username.lower()}@example.com")
        return await self.users.create(username, email, options.pop("password", PASSWORD), **options)

    async def events(self) -> list[tuple[str, str]]:
        rows = await self.database.fetch("select topic, key from event order by seq")
        return [(row["topic"], row["key"]) for row in rows]

    async def count(self, table: str) -> int:
        return int(await self.database.fetchval(f"select count(*) from {table}"))


OfficeWith = Callable[..., Office]


@pytest.fixture
def office_with(database: Database, clock: FakeClock, settings_for: Callable[..., Settings]) -> Iterator[OfficeWith]:
    """Make an office with other settings: each keyword is a section."""
    hashers: list[PasswordHasher] = []

    def make(**sections: dict[str, Any]) -> Office:
        merged = {name: {**DEFAULTS.get(name, {}), **sections.get(name, {})} for name in {*DEFAULTS, *sections}}
        settings = settings_for("\n".join(f"{name}: {json.dumps(value)}" for name, value in merged.items()))
        hasher = PasswordHasher(settings.passwords, MasterKey(b"m" * 32), workers=2)
        hashers.append(hasher)
        users = Users(database, hasher, settings, clock)
        devices = KnownDevices(database, clock)
        slept: list[float] = []
        told: list[tuple[str, str]] = []

        async def tell(user: User, address: str) -> None:
            told.append((user.username, address))

        async def sleep(seconds: float) -> None:
            slept.append(seconds)

        return Office(
            database=database,
            settings=settings,
            clock=clock,
            hasher=hasher,
            users=users,
            login=PasswordLogin(
                decoys=Decoys(database, clock),
                users=users,
                hasher=hasher,
                failures=Failures(database, settings.login, clock),
                devices=devices,
                settings=settings,
                tell_locked=tell,
                sleep=sleep,
            ),
            devices=devices,
            told=told,
            sessions=Sessions(database, settings.sessions, clock),
            api_tokens=ApiTokens(database, clock),
            slept=slept,
        )

    yield make
    for hasher in hashers:
        hasher.close()


@pytest.fixture
def office(office_with: OfficeWith) -> Office:
    return office_with()
