"""Keys, tokens and an account to issue them for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

import pytest

from gateway.config.settings import Settings
from gateway.storage.database import Database
from gateway.tokens.access import AccessTokens
from gateway.tokens.keys import SigningKeys
from gateway.tokens.master_key import MasterKey
from gateway.tokens.refresh import RefreshTokens
from tests.fake_clock import FakeClock

ISSUER = "https://portal.example.com"
ACCOUNT = """
    insert into account (username, username_key, email, email_key, created_at, updated_at)
    values ($1, $1, $2, $2, now(), now()) returning id
"""


@dataclass
class Mint:
    """Everything that issues tokens, over one database and one clock."""

    database: Database
    settings: Settings
    master_key: MasterKey
    clock: FakeClock
    keys: SigningKeys
    access: AccessTokens
    refresh: RefreshTokens
    ann: str

    def other_process(self, master_key: MasterKey | None = None) -> SigningKeys:
        """Return the keys as another process of this installation holds them, not loaded yet."""
        return SigningKeys(self.database, master_key or self.master_key, self.settings.tokens, self.clock)

    async def events(self, topic: str) -> list[str]:
        rows = await self.database.fetch("select key from event where topic = $1 order by seq", topic)
        return [row["key"] for row in rows]


@pytest.fixture
def master_key() -> MasterKey:
    return MasterKey(b"m" * 32)


@pytest.fixture
async def mint(
    database: Database, clock: FakeClock, master_key: MasterKey, settings_for: Callable[..., Settings]
) -> Mint:
    settings = settings_for("tokens: {access_lifetime: 15m, refresh_lifetime: 30d, key_rotation: 90d}\n")
    keys = SigningKeys(database, master_key, settings.tokens, clock)
    await keys.ensure()
    access = AccessTokens(keys, ISSUER, timedelta(minutes=15), clock)
    refresh = RefreshTokens(database, keys, access, issuer=ISSUER, lifetime=timedelta(days=30), clock=clock)
    ann = str(await database.fetchval(ACCOUNT, "ann", "ann@example.com"))
    return Mint(database, settings, master_key, clock, keys, access, refresh, ann)
