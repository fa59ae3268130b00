"""What commands about accounts and clients work with: the database, beside a running ``serve`` or alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from gateway.accounts.accounts import Accounts, build_accounts
from gateway.accounts.user import User
from gateway.clock import SystemClock
from gateway.config.secrets import secret_key
from gateway.config.settings import Settings
from gateway.errors import NotFound
from gateway.oauth.state.registry import Registry
from gateway.storage.connect import open_database
from gateway.tokens.master_key import MasterKey


@dataclass(frozen=True, slots=True)
class Office:
    """Accounts, and the clients that may belong to them."""

    accounts: Accounts
    registry: Registry


@asynccontextmanager
async def workshop(settings: Settings) -> AsyncIterator[Accounts]:
    """Open the configured database for one command. Raises StartupError or StorageError."""
    async with client_office(settings) as office:
        yield office.accounts


@asynccontextmanager
async def client_office(settings: Settings) -> AsyncIterator[Office]:
    """Open the configured database for one command about clients. Raises StartupError or StorageError."""
    master_key = MasterKey(secret_key(settings))
    clock = SystemClock()
    async with open_database(settings, migrate=False) as opened:
        accounts = build_accounts(settings, opened.database, master_key, clock)
        try:
            yield Office(accounts, Registry(opened.database, clock))
        finally:
            accounts.hasher.close()


async def named_user(accounts: Accounts, reference: str) -> User:
    """Return a user by id, username or e-mail address. Raises NotFound that says what to do."""
    user = await accounts.users.find(reference)
    if user is None and (known := await accounts.users.credentials(reference)) is not None:
        user = known[0]
    if user is None:
        raise NotFound(f"there is no user {reference!r}; see: gateway user list")
    return user
