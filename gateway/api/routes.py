"""The JSON API put together: from what the program already has to routes for the portal's application."""

from __future__ import annotations

from aiohttp import web

from gateway.accounts.accounts import Accounts
from gateway.api.api_tokens import ApiTokensApi
from gateway.api.caller import Callers
from gateway.api.invitations import InvitationsApi
from gateway.api.login import LoginApi
from gateway.api.profile import ProfileApi
from gateway.api.provider_login import ProviderLoginApi
from gateway.api.sessions import SessionsApi
from gateway.api.users import UsersApi
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.federation.federation import Federation
from gateway.identity.resolver import Resolver
from gateway.observability.metrics import Metrics
from gateway.policy.client import TrustedProxies


def build_api(
    settings: Settings,
    accounts: Accounts,
    resolver: Resolver,
    proxies: TrustedProxies,
    metrics: Metrics,
    clock: Clock,
    federation: Federation,
) -> list[web.RouteDef]:
    """Return every route of the API, below the portal's prefix."""
    server = settings.server
    callers = Callers(resolver, accounts.users, server.public_host, server.public_origin, settings.issuer, clock)
    login = _login(accounts, callers, proxies, metrics)
    users = UsersApi(
        callers=callers,
        users=accounts.users,
        second_factors=accounts.second_factors,
        registering=accounts.recovery.registering,
        email_changes=accounts.recovery.email_changes,
        refresh_tokens=accounts.refresh_tokens,
        registration=settings.registration,
        trusted_proxies=proxies,
        clock=clock,
    )
    elsewhere = ProviderLoginApi(
        settings=settings,
        federation=federation,
        login=login,
        users=accounts.users,
        refresh_tokens=accounts.refresh_tokens,
        proxies=proxies,
    )
    every = (
        ProfileApi(callers, accounts.users),  # fixed addresses first: `/users/me` is no user's name
        login,
        elsewhere,
        ApiTokensApi(callers, accounts.api_tokens),
        SessionsApi(callers, accounts.sessions),
        users,
        InvitationsApi(callers, accounts.recovery.invitations),
    )
    return [route for each in every for route in each.routes(server.prefix)]


def _login(accounts: Accounts, callers: Callers, proxies: TrustedProxies, metrics: Metrics) -> LoginApi:
    return LoginApi(
        login=accounts.login,
        second_factors=accounts.second_factors,
        pending_logins=accounts.pending_logins,
        users=accounts.users,
        refresh_tokens=accounts.refresh_tokens,
        sessions=accounts.sessions,
        callers=callers,
        trusted_proxies=proxies,
        metrics=metrics,
    )
