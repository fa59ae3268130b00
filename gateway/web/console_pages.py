"""The console's pages put together, one's own account's and the administrators'."""

from __future__ import annotations

from typing import Protocol

from aiohttp import web

from gateway.accounts.accounts import Accounts
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.federation.federation import Federation
from gateway.oauth.provider import Provider
from gateway.oauth.state.consents import Consents
from gateway.oauth.state.registry import Registry
from gateway.policy.rules import RuleTable
from gateway.web.account.applications import ApplicationsPage
from gateway.web.account.clients import ClientPages
from gateway.web.account.data import DataPage
from gateway.web.account.logins import PAGE as LOGINS
from gateway.web.account.logins import LoginsPage
from gateway.web.account.overview import AccountPage
from gateway.web.account.password import PasswordPage
from gateway.web.account.profile import ProfilePage
from gateway.web.account.security import SecurityPage
from gateway.web.account.security_passkeys import SecurityPasskeys
from gateway.web.account.sessions import SessionsPage
from gateway.web.account.tokens import TokensPage
from gateway.web.admin.users import UsersPages
from gateway.web.console import Console
from gateway.web.frame import Frame
from gateway.web.grant_words import GrantWords
from gateway.web.pages import Pages
from gateway.web.signed_in import SignedIn
from gateway.web.visit import Visits


class Page(Protocol):
    def routes(self) -> list[web.RouteDef]:
        """Return the routes of a page."""
        ...


def console_pages(
    *,
    settings: Settings,
    frame: Frame,
    pages: Pages,
    signed_in: SignedIn,
    visits: Visits,
    clock: Clock,
    accounts: Accounts,
    provider: Provider,
    consents: Consents,
    registry: Registry,
    rules: RuleTable,
    federation: Federation,
) -> tuple[Page, ...]:
    """Build them, behind ``signed_in``."""
    console = Console(pages, signed_in, clock, frozenset() if federation.providers else frozenset({LOGINS}))
    applications = ApplicationsPage(
        pages=pages,
        signed_in=signed_in,
        console=console,
        consents=consents,
        audiences=provider.audiences,
        words=GrantWords(settings, provider.audiences.resources),
    )
    return (
        AccountPage(pages=pages, signed_in=signed_in, console=console),
        *_of_a_person(pages, signed_in, console, visits, accounts),
        *_of_signing_in(frame, pages, signed_in, console, accounts),
        *_of_providers(pages, signed_in, console, accounts, federation),
        TokensPage(pages=pages, signed_in=signed_in, console=console, api_tokens=accounts.api_tokens, rules=rules),
        applications,
        *_of_clients(settings, pages, signed_in, console, registry),
        UsersPages(pages=pages, signed_in=signed_in, console=console, accounts=accounts),
        DataPage(
            pages=pages,
            signed_in=signed_in,
            console=console,
            accounts=accounts,
            consents=consents,
            registry=registry,
            federation=federation,
            clock=clock,
        ),
    )


def _of_clients(
    settings: Settings, pages: Pages, signed_in: SignedIn, console: Console, registry: Registry
) -> tuple[Page, ...]:
    return tuple(
        ClientPages(
            pages=pages,
            signed_in=signed_in,
            console=console,
            registry=registry,
            issuer=settings.issuer,
            by_admin=by_admin,
        )
        for by_admin in (False, True)
    )


def _of_a_person(
    pages: Pages, signed_in: SignedIn, console: Console, visits: Visits, accounts: Accounts
) -> tuple[Page, ...]:
    profile = ProfilePage(
        pages=pages,
        signed_in=signed_in,
        console=console,
        users=accounts.users,
        email_changes=accounts.recovery.email_changes,
    )
    password = PasswordPage(
        pages=pages,
        signed_in=signed_in,
        console=console,
        users=accounts.users,
        attempts=accounts.password_attempts,
        notices=accounts.recovery.notices,
        visits=visits,
    )
    return profile, password


def _of_providers(
    pages: Pages, signed_in: SignedIn, console: Console, accounts: Accounts, federation: Federation
) -> tuple[Page, ...]:
    if not federation.providers:
        return ()
    return (LoginsPage(pages=pages, signed_in=signed_in, console=console, accounts=accounts, federation=federation),)


def _of_signing_in(
    frame: Frame, pages: Pages, signed_in: SignedIn, console: Console, accounts: Accounts
) -> tuple[Page, ...]:
    security = SecurityPage(
        pages=pages,
        signed_in=signed_in,
        console=console,
        users=accounts.users,
        second_factors=accounts.second_factors,
        passkeys=accounts.passkeys,
    )
    passkeys = SecurityPasskeys(
        frame=frame,
        pages=pages,
        signed_in=signed_in,
        console=console,
        security=security,
        users=accounts.users,
        enrolment=accounts.passkey_enrolment,
        may_add=accounts.second_factors.passkeys_open,
    )
    sessions = SessionsPage(
        pages=pages,
        signed_in=signed_in,
        console=console,
        sessions=accounts.sessions,
        refresh_tokens=accounts.refresh_tokens,
    )
    return security, passkeys, sessions
