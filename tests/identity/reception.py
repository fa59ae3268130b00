"""The resolver wired as the gateway wires it, over a real database and a clock that a test moves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest

from gateway.accounts.accounts import Accounts, build_accounts
from gateway.accounts.sessions import Login
from gateway.accounts.user import User
from gateway.config.settings import Settings
from gateway.identity.activity import Activity
from gateway.identity.authenticators import Authenticators
from gateway.identity.cache import CredentialCache
from gateway.identity.identity import CredentialKind
from gateway.identity.ledger import RevocationLedger
from gateway.identity.live import LiveConnections
from gateway.identity.presented import Headers, Presenter
from gateway.identity.resolver import Resolver
from gateway.identity.revocation import Revocation
from gateway.identity.verified import Verified
from gateway.oauth.state.client_tokens import ClientTokens
from gateway.storage.database import Database
from gateway.storage.events import EventFeed
from gateway.tokens.keys import SigningKeys
from gateway.tokens.master_key import MasterKey
from tests.fake_clock import FakeClock
from tests.identity.credentials import ALL_KINDS, HOST, bearer, cookie


@dataclass
class Reception:
    """Who knows whom, with the doors to each part. ``ann`` is whom credentials are made for."""

    clock: FakeClock
    settings: Settings
    database: Database
    accounts: Accounts
    feed: EventFeed
    ledger: RevocationLedger
    cache: CredentialCache
    live: LiveConnections
    revocation: Revocation
    activity: Activity
    resolver: Resolver
    ann: User
    people: int = 0

    async def ask(
        self, headers: Headers, host: str = HOST, kinds: frozenset[CredentialKind] = ALL_KINDS
    ) -> Verified | None:
        return await self.resolver.resolve(headers, kinds, host)

    def known(self, headers: Headers, host: str = HOST) -> Verified | None:
        """Return what is believed without asking the database."""
        key = self.resolver.key_of(headers, ALL_KINDS, host)
        return None if key is None else self.resolver.known(key)

    async def next_person(self) -> None:
        """Put somebody else in ann's place."""
        self.people += 1
        name = f"ann{self.people}"
        self.ann = await self.accounts.users.create(name, f"{name}@example.com", None, roles=["user"])

    async def pass_time(self, seconds: float) -> None:
        """Move the clock on, with the feed keeping up."""
        self.clock.advance(seconds)
        await self.feed.caught_up()

    async def other_process(self) -> SigningKeys:
        """Return the signing keys as another process of this installation holds them."""
        keys = SigningKeys(self.database, MasterKey(b"m" * 32), self.settings.tokens, self.clock)
        await keys.load()
        return keys

    async def by_session(self, *, remembered: bool = False) -> Headers:
        login = Login(self.ann.id, HOST, self.clock.now(), remembered=remembered)
        return cookie((await self.accounts.sessions.create(login))[0])

    async def by_jwt(self) -> Headers:
        return bearer((await self.accounts.refresh_tokens.start_family(self.ann.id)).access_token)

    async def by_api_token(self) -> Headers:
        return bearer((await self.accounts.api_tokens.create(self.ann.id, "ci", ["wiki:read"]))[1])

    @property
    def ways(self) -> dict[str, Callable[[], Awaitable[Headers]]]:
        """Return what signs ann in, by kind."""
        return {"session": self.by_session, "bearer": self.by_jwt, "api_token": self.by_api_token}


@pytest.fixture(name="reception")
async def open_reception(
    database: Database, dsn_args: dict[str, Any], clock: FakeClock, settings_for: Callable[..., Settings]
) -> AsyncIterator[Reception]:
    settings = settings_for("passwords: {bcrypt_cost: 4}\nsessions: {idle_timeout: 10m, lifetime: 1h}\n")
    feed = EventFeed(dsn_args, settings.database.max_staleness, clock)
    accounts = build_accounts(settings, database, MasterKey(b"m" * 32), clock, feed)
    ledger = RevocationLedger()
    cache, live = CredentialCache(clock, ledger), LiveConnections(ledger, clock)
    authenticators = Authenticators(
        sessions=accounts.sessions,
        access_tokens=accounts.access_tokens,
        refresh_tokens=accounts.refresh_tokens,
        client_tokens=ClientTokens(database),
        api_tokens=accounts.api_tokens,
        users=accounts.users,
        client_certificates=settings.client_certificates,
        clock=clock,
    )
    activity = Activity(accounts.sessions, accounts.api_tokens)
    resolver = Resolver(Presenter("gateway"), authenticators, cache, ledger, feed, activity, clock)
    revocation = Revocation(cache, live, accounts.keys)
    await accounts.keys.ensure()
    revocation.attach(feed)
    await feed.start()
    ann = await accounts.users.create("ann", "ann@example.com", "correct horse battery", roles=["user", "staff"])
    await feed.caught_up()
    yield Reception(clock, settings, database, accounts, feed, ledger, cache, live, revocation, activity, resolver, ann)
    await feed.stop()
    await revocation.stop()
    accounts.hasher.close()
