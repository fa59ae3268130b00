"""The parts that know people and what they sign in with, put together: for the program, and for its commands."""

from __future__ import annotations

from dataclasses import dataclass

from gateway.accounts.api_tokens import ApiTokens
from gateway.accounts.login import PasswordLogin
from gateway.accounts.passwords import PasswordHasher
from gateway.accounts.sessions import Sessions
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.storage.connect import OpenDatabase
from gateway.storage.events import EventFeed
from gateway.tokens.access import AccessTokens
from gateway.tokens.keys import SigningKeys
from gateway.tokens.master_key import MasterKey
from gateway.tokens.refresh import RefreshTokens


@dataclass(frozen=True, slots=True)
class Accounts:
    """The parts that know people and what they sign in with."""

    hasher: PasswordHasher
    users: Users
    login: PasswordLogin
    sessions: Sessions
    api_tokens: ApiTokens
    keys: SigningKeys
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens


def build_accounts(
    settings: Settings,
    opened: OpenDatabase,
    master_key: MasterKey,
    clock: Clock,
    feed: EventFeed | None = None,
) -> Accounts:
    """Wire users, sessions and tokens; without ``feed`` (in a command) other processes hear of changes all the same."""
    database = opened.database
    hasher = PasswordHasher(settings.passwords, master_key)
    users = Users(database, hasher, settings, clock, feed)
    keys = SigningKeys(database, master_key, settings.tokens, clock)
    access_tokens = AccessTokens(keys, settings.issuer, settings.tokens.access_lifetime, clock)
    return Accounts(
        hasher=hasher,
        users=users,
        login=PasswordLogin(database, users, hasher, settings, clock),
        sessions=Sessions(database, settings.sessions, clock, feed),
        api_tokens=ApiTokens(database, clock, feed),
        keys=keys,
        access_tokens=access_tokens,
        refresh_tokens=RefreshTokens(
            database,
            keys,
            access_tokens,
            issuer=settings.issuer,
            lifetime=settings.tokens.refresh_lifetime,
            clock=clock,
            feed=feed,
        ),
    )
