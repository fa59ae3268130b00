"""The parts that know people and what they sign in with, put together: for the program, and for its commands."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from gateway.accounts.api_tokens import ApiTokens
from gateway.accounts.decoys import Decoys
from gateway.accounts.devices import KnownDevices
from gateway.accounts.factors.ceremony import RelyingParty, can_be_asked
from gateway.accounts.factors.challenges import Challenges
from gateway.accounts.factors.enrolling import PasskeyEnrolment
from gateway.accounts.factors.factors import ATTEMPTS_KIND, SecondFactors
from gateway.accounts.factors.passkey_login import PasskeyLogin
from gateway.accounts.factors.passkeys import Passkeys
from gateway.accounts.factors.pending import PendingLogins
from gateway.accounts.factors.recovery_codes import RecoveryCodes
from gateway.accounts.factors.totp import Totps
from gateway.accounts.importing.importer import Importer
from gateway.accounts.login import PasswordLogin, Sleep
from gateway.accounts.mail.notices import Notices
from gateway.accounts.mail.room import build_mail_room
from gateway.accounts.passwords.hasher import PasswordHasher
from gateway.accounts.recovery.recovery import Recovery, build_recovery
from gateway.accounts.sessions import Sessions
from gateway.accounts.throttle.attempts import Attempts
from gateway.accounts.throttle.failures import Failures
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.storage.database import Database
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
    importer: Importer
    login: PasswordLogin
    second_factors: SecondFactors
    pending_logins: PendingLogins
    devices: KnownDevices
    passkeys: Passkeys
    passkey_login: PasskeyLogin
    passkey_enrolment: PasskeyEnrolment
    sessions: Sessions
    api_tokens: ApiTokens
    keys: SigningKeys
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    recovery: Recovery
    password_attempts: Attempts


def build_accounts(
    settings: Settings,
    database: Database,
    master_key: MasterKey,
    clock: Clock,
    feed: EventFeed | None = None,
    sleep: Sleep = asyncio.sleep,
) -> Accounts:
    """Wire users, sessions and tokens; without ``feed`` (in a command) other processes hear of changes all the same."""
    hasher = PasswordHasher(settings.passwords, master_key)
    users = Users(database, hasher, settings, clock, feed)
    keys = SigningKeys(database, master_key, settings.tokens, clock)
    access_tokens = AccessTokens(keys, settings.issuer, settings.tokens.access_lifetime, clock)
    devices = KnownDevices(database, clock)
    decoys = Decoys(database, clock)
    mail = build_mail_room(settings, database, master_key, clock, feed)
    login = PasswordLogin(
        users=users,
        hasher=hasher,
        failures=Failures(database, settings.login, clock, feed),
        devices=devices,
        decoys=decoys,
        settings=settings,
        tell_locked=mail.notices.locked,
        sleep=sleep,
    )
    second_factors = build_second_factors(settings, database, master_key, devices, mail.notices, clock)
    passkeys = build_passkeys(settings, database, master_key, clock)
    recovery = build_recovery(settings, database, clock, mail, users, decoys, login)
    return Accounts(
        hasher=hasher,
        users=users,
        importer=Importer(database, settings, clock),
        login=login,
        second_factors=second_factors,
        pending_logins=PendingLogins(database, clock),
        devices=devices,
        passkeys=passkeys,
        passkey_login=PasskeyLogin(passkeys, users, settings.registration),
        passkey_enrolment=PasskeyEnrolment(database, passkeys, second_factors),
        sessions=Sessions(database, settings.sessions, clock, feed),
        api_tokens=ApiTokens(database, clock, feed),
        keys=keys,
        access_tokens=access_tokens,
        refresh_tokens=_refresh_tokens(settings, database, keys, access_tokens, clock, feed),
        recovery=recovery,
        password_attempts=Attempts("password", database, settings.login, clock),
    )


def _refresh_tokens(
    settings: Settings,
    database: Database,
    keys: SigningKeys,
    access_tokens: AccessTokens,
    clock: Clock,
    feed: EventFeed | None,
) -> RefreshTokens:
    return RefreshTokens(
        database,
        keys,
        access_tokens,
        issuer=settings.issuer,
        lifetime=settings.tokens.refresh_lifetime,
        clock=clock,
        feed=feed,
    )


def build_passkeys(settings: Settings, database: Database, master_key: MasterKey, clock: Clock) -> Passkeys:
    """Wire what signs in by a key; the portal is whom it signs in to."""
    server = settings.server
    party = RelyingParty(server.public_host, server.public_origin, settings.branding.name)
    return Passkeys(database, Challenges(master_key, clock), party, clock)


def build_second_factors(
    settings: Settings,
    database: Database,
    master_key: MasterKey,
    devices: KnownDevices,
    notices: Notices,
    clock: Clock,
) -> SecondFactors:
    """Wire what people prove beside their password."""
    return SecondFactors(
        database=database,
        totps=Totps(database, master_key, settings.branding.name, clock),
        recovery_codes=RecoveryCodes(database, master_key, clock),
        devices=devices,
        attempts=Attempts(ATTEMPTS_KIND, database, settings.login, clock),
        settings=settings.second_factors,
        passkeys_open=settings.second_factors.passkeys and can_be_asked(settings.server.public_host),
        notices=notices,
    )
