"""Everything between a request's header fields and an identity, over a real database and a real feed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from multidict import CIMultiDict

from gateway.accounts.api_tokens import ApiTokens
from gateway.accounts.passwords.hasher import PasswordHasher
from gateway.accounts.sessions import Login, Session, Sessions
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.config.server import ClientCertificates
from gateway.config.settings import Settings
from gateway.identity.activity import Activity
from gateway.identity.authenticators import Authenticators
from gateway.identity.cache import CredentialCache
from gateway.identity.identity import CredentialKind
from gateway.identity.ledger import RevocationLedger
from gateway.identity.live import LiveConnections
from gateway.identity.presented import Presenter
from gateway.identity.resolver import Resolver
from gateway.identity.revocation import Revocation
from gateway.identity.verified import Verified
from gateway.oauth.state.client_tokens import ClientTokens
from gateway.storage.database import Database
from gateway.storage.events import EventFeed
from gateway.tokens.access import AccessTokens
from gateway.tokens.keys import SigningKeys
from gateway.tokens.master_key import MasterKey
from gateway.tokens.refresh import RefreshTokens
from tests.fake_clock import FakeClock

HOST = "wiki.example.com"
ISSUER = "https://portal.example.com"
KINDS = frozenset({CredentialKind.SESSION, CredentialKind.BEARER, CredentialKind.API_TOKEN})


@dataclass
class Desk:
    """Who asks, and everything that knows."""

    database: Database
    clock: FakeClock
    feed: EventFeed
    users: Users
    sessions: Sessions
    api_tokens: ApiTokens
    keys: SigningKeys
    access: AccessTokens
    refresh: RefreshTokens
    cache: CredentialCache
    live: LiveConnections
    activity: Activity
    revocation: Revocation
    resolver: Resolver
    ann: User
    bob: User

    async def ask(self, *fields: tuple[str, str], kinds: frozenset[CredentialKind] = KINDS) -> Verified | None:
        return await self.resolver.resolve(CIMultiDict(fields), kinds, HOST)

    def at_once(self, *fields: tuple[str, str]) -> Verified | None:
        """Return what is known without asking the database."""
        key = self.resolver.key_of(CIMultiDict(fields), KINDS, HOST)
        return self.resolver.known(key) if key is not None else None

    async def cookie(self, user: User | None = None, host: str = HOST) -> tuple[tuple[str, str], Session]:
        secret, session = await self.sessions.create(Login((user or self.ann).id, host, self.clock.now()))
        return ("Cookie", f"gateway={secret}"), session

    async def bearer(self, user: User | None = None) -> tuple[str, str]:
        pair = await self.refresh.start_family((user or self.ann).id)
        return ("Authorization", f"Bearer {pair.access_token}")

    async def api_token(self, user: User | None = None, field: str = "X-API-Key") -> tuple[tuple[str, str], str]:
        token, text = await self.api_tokens.create((user or self.ann).id, "ci", ["wiki:read"])
        return (field, text if field == "X-API-Key" else f"Bearer {text}"), token.id


@pytest.fixture
async def desk(
    database: Database, dsn_args: dict[str, Any], clock: FakeClock, settings_for: Callable[..., Settings]
) -> AsyncIterator[Desk]:
    settings = settings_for("passwords: {bcrypt_cost: 4}\nsessions: {idle_timeout: 10m, lifetime: 12h}\n")
    master_key = MasterKey(b"m" * 32)
    hasher = PasswordHasher(settings.passwords, master_key, workers=1)
    feed = EventFeed(dsn_args, timedelta(seconds=3), clock)
    sessions, api_tokens = Sessions(database, settings.sessions, clock, feed), ApiTokens(database, clock, feed)
    users = Users(database, hasher, settings, clock, feed)
    keys = SigningKeys(database, master_key, settings.tokens, clock)
    await keys.ensure()
    access = AccessTokens(keys, ISSUER, timedelta(minutes=15), clock)
    refresh = RefreshTokens(database, keys, access, issuer=ISSUER, lifetime=timedelta(days=30), clock=clock, feed=feed)
    ledger = RevocationLedger()
    cache, live, activity = (
        CredentialCache(clock, ledger),
        LiveConnections(ledger, clock),
        Activity(sessions, api_tokens),
    )
    authenticators = Authenticators(
        sessions, access, refresh, ClientTokens(database), api_tokens, users, ClientCertificates(), clock
    )
    revocation = Revocation(cache, live, keys)
    revocation.attach(feed)
    await feed.start()
    yield Desk(
        database=database,
        clock=clock,
        feed=feed,
        users=users,
        sessions=sessions,
        api_tokens=api_tokens,
        keys=keys,
        access=access,
        refresh=refresh,
        cache=cache,
        live=live,
        activity=activity,
        revocation=revocation,
        resolver=Resolver(Presenter("gateway"), authenticators, cache, ledger, feed, activity, clock),
        ann=await users.create("ann", "ann@example.com", None, roles=["b", "a"]),
        bob=await users.create("bob", "bob@example.com", None),
    )
    await feed.stop()
    await revocation.stop()
    hasher.close()
