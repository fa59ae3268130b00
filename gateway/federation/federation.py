"""Signing in with other providers, put together for pages and the JSON API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from gateway.accounts.sessions import Sessions
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.federation.discovery import Discoveries
from gateway.federation.exchange import Answer, Exchange
from gateway.federation.key_sets import KeySets
from gateway.federation.people import ExternalLogins
from gateway.federation.profile import FederationRefused, Profile
from gateway.federation.provider import Provider, providers_of
from gateway.federation.sessions import ExternalSessions
from gateway.federation.starts import Started, Starts
from gateway.storage.database import Database
from gateway.tokens.box import Box
from gateway.tokens.master_key import MasterKey


@dataclass(frozen=True, slots=True)
class Returned:
    """Somebody who came back: from which provider, of which start, and who they are there."""

    provider: Provider
    started: Started
    profile: Profile


@dataclass(frozen=True, slots=True)
class Federation:
    """The providers, and the way there and back."""

    providers: Mapping[str, Provider]
    starts: Starts
    exchange: Exchange
    logins: ExternalLogins
    sessions: ExternalSessions
    clock: Clock

    @property
    def cleaning(self) -> tuple[Callable[[], Awaitable[int]], ...]:
        return (self.starts.forget_old, self.sessions.forget_old)

    async def stop(self) -> None:
        """End the questions to providers that are under way."""
        await self.exchange.stop()

    async def begin(
        self,
        provider: Provider,
        purpose: str,
        browser: str,
        redirect_uri: str,
        *,
        anew: bool = False,
        login_hint: str = "",
        more: Mapping[str, str] | None = None,
    ) -> str:
        """Return where the browser that holds the secret ``browser`` is sent. Raises FederationRefused."""
        started = Started(provider.name, purpose, self.clock.now().timestamp(), anew, dict(more or {}))
        state = await self.starts.begin(browser, started)
        return await self.exchange.url(provider, started, state, redirect_uri, login_hint)

    async def take_back(
        self, name: str, purposes: frozenset[str], answer: Answer, browser: str | None, redirect_uri: str
    ) -> Returned:
        """Return who came back to the address of the provider ``name``. Raises FederationRefused."""
        started = await self.starts.take(answer.text("state"), browser)
        provider = self.providers.get(name)
        # A state is good where it was sent: what another provider returns with it is a mix-up (RFC 9700 section 4.4).
        if started is None or provider is None or started.provider != name or started.purpose not in purposes:
            raise FederationRefused("not_begun")
        return Returned(provider, started, await self.exchange.profile(provider, started, answer, redirect_uri))


def build_federation(
    settings: Settings, database: Database, master_key: MasterKey, users: Users, sessions: Sessions, clock: Clock
) -> Federation:
    """Wire it."""
    discoveries, key_sets = Discoveries(clock), KeySets(clock)
    return Federation(
        providers=providers_of(settings.providers),
        starts=Starts(database, Box(master_key, "federation"), clock),
        exchange=Exchange(discoveries, key_sets, clock),
        logins=ExternalLogins(database, users, settings.registration, clock),
        sessions=ExternalSessions(database, sessions, discoveries, key_sets, clock),
        clock=clock,
    )
