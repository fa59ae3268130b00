"""The authorization server put together: from what the program already has to endpoints and what pages ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from gateway.accounts.attempts import Attempts
from gateway.accounts.login import PasswordLogin
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.oauth.audience import Audiences
from gateway.oauth.authorize import Agreed, Authorization
from gateway.oauth.backchannel import BackChannel
from gateway.oauth.client_assertion import ClientAssertions
from gateway.oauth.client_authentication import ClientAuthentication
from gateway.oauth.client_key_sets import ClientKeySets
from gateway.oauth.device_authorization import PER_ADDRESS, DeviceAuthorization
from gateway.oauth.discovery import Discovery
from gateway.oauth.end_session import EndSessions
from gateway.oauth.grants.authorization_code import S256, AuthorizationCode
from gateway.oauth.grants.client_credentials import ClientCredentials
from gateway.oauth.grants.device_code import DeviceCode
from gateway.oauth.grants.implicit import Implicit
from gateway.oauth.grants.old import OldGrants
from gateway.oauth.grants.password import Password
from gateway.oauth.grants.refresh_token import RefreshToken
from gateway.oauth.id_token_hint import IdTokenHints
from gateway.oauth.introspection import IntrospectionEndpoint
from gateway.oauth.issuing import Issuing
from gateway.oauth.presented_token import PresentedTokens
from gateway.oauth.pushed_request import PushedRequests
from gateway.oauth.revocation import RevocationEndpoint
from gateway.oauth.scopes import ScopePolicy
from gateway.oauth.server import EngineParts, Server
from gateway.oauth.state.client_metadata import DEVICE_CODE
from gateway.oauth.state.clients import Clients
from gateway.oauth.state.codes import Codes
from gateway.oauth.state.device_codes import DeviceCodes
from gateway.oauth.state.families import Families
from gateway.oauth.state.logout_notices import LogoutNotices
from gateway.oauth.state.requests import AuthorizationRequests
from gateway.oauth.state.revoked import RevokedTokens
from gateway.oauth.strangers import Strangers
from gateway.oauth.subject import Subjects
from gateway.oauth.token import TokenEndpoint
from gateway.oauth.userinfo import UserinfoEndpoint
from gateway.observability.metrics import Metrics
from gateway.policy.client import TrustedProxies
from gateway.storage.database import Database
from gateway.storage.events import EventFeed
from gateway.tokens.keys import SigningKeys
from gateway.tokens.master_key import MasterKey
from gateway.tokens.refresh import REFRESH_TYPE
from gateway.tokens.sealed import SealedTokens

# Named in the metadata; a client has those that it is registered for. The old ones, password and implicit, are not
# named: nobody should begin to use them, and whoever was given one knows.
GRANTS: Final = ("authorization_code", "refresh_token", "client_credentials", DEVICE_CODE)


@dataclass(frozen=True, slots=True)
class Provider:
    """What the pages and the program need of it. ``cleaning`` are the batches of housekeeping."""

    requests: AuthorizationRequests
    authorization: Authorization
    audiences: Audiences
    clients: Clients
    devices: DeviceCodes
    device_attempts: Attempts
    end_sessions: EndSessions
    back_channel: BackChannel
    routes: list[web.RouteDef]
    cleaning: tuple[Callable[[], Awaitable[int]], ...]


def build_provider(
    *,
    settings: Settings,
    database: Database,
    clients: Clients,
    feed: EventFeed | None,
    keys: SigningKeys,
    master_key: MasterKey,
    consents: Agreed,
    resources: Mapping[str, str],
    route_scopes: Collection[str],
    proxies: TrustedProxies,
    password_login: PasswordLogin,
    metrics: Metrics,
    clock: Clock,
) -> Provider:
    """Build the authorization server.

    ``resources`` are the identifiers of routes that take tokens of their own, with their names; ``route_scopes`` what
    routes require.
    """
    issuer, portal = settings.issuer, f"{settings.server.public_url}{settings.server.prefix}"
    families = Families(database, clock, feed)
    codes = Codes(database, families, settings.oauth.code_lifetime, clock)
    requests = AuthorizationRequests(database, clock)
    devices = DeviceCodes(database, families, settings.oauth.device_lifetime, clock)
    revoked = RevokedTokens(database, clock, feed)
    subjects = Subjects(master_key)
    audiences = Audiences(issuer, f"{portal}/oauth/userinfo", {issuer: settings.branding.name, **resources})
    addressed = (issuer, f"{portal}/oauth/token", f"{portal}/oauth/par")
    assertions = ClientAssertions(database, ClientKeySets(clock), addressed, clock)
    refresh_tokens = SealedTokens(master_key, "refresh tokens of clients", REFRESH_TYPE, issuer, clock)
    issuing = Issuing(
        keys,
        refresh_tokens,
        audiences,
        subjects,
        issuer=issuer,
        access_lifetime=settings.tokens.access_lifetime,
        clock=clock,
    )
    parts = EngineParts(
        clients=clients,
        authentication=ClientAuthentication(clients, assertions, clock),
        families=families,
        codes=codes,
        devices=devices,
        issuing=issuing,
        refresh_tokens=refresh_tokens,
        scopes=ScopePolicy({*route_scopes, *settings.oauth.scopes}),
        audiences=audiences,
        password_login=password_login,
        old_grants=OldGrants(),
        refresh_grace=settings.oauth.refresh_grace,
        refresh_lifetime=settings.tokens.refresh_lifetime,
        clock=clock,
    )
    server = _server(parts)
    hints = IdTokenHints(keys, subjects, issuer, clock)
    authorization = Authorization(server, requests, consents, hints, issuer=issuer, clock=clock)
    notices = LogoutNotices(database)
    presented = PresentedTokens(keys, refresh_tokens, clients, families, revoked, issuer=issuer, clock=clock)
    authentication = parts.authentication
    endpoints = (
        TokenEndpoint(server, proxies, metrics),
        RevocationEndpoint(authentication, presented, families, revoked),
        IntrospectionEndpoint(authentication, presented),
        PushedRequests(authentication, authorization, requests),
        DeviceAuthorization(server, Strangers(PER_ADDRESS, proxies, clock), verification_uri=f"{portal}/oauth/device"),
        UserinfoEndpoint(keys, clients, families, issuer=issuer, audience=audiences.userinfo, clock=clock),
        Discovery(
            keys,
            issuer=issuer,
            portal=portal,
            grants=GRANTS,
            scopes=sorted(parts.scopes.offered),
            registration=settings.oauth.registration != "off",
        ),
    )
    return Provider(
        requests=requests,
        authorization=authorization,
        audiences=audiences,
        clients=clients,
        devices=devices,
        device_attempts=Attempts("device", database, settings.login, clock),
        end_sessions=EndSessions(clients, hints, subjects),
        back_channel=BackChannel(notices, clients, keys, subjects, issuer=issuer, feed=feed, clock=clock),
        routes=[route for endpoint in endpoints for route in endpoint.routes(settings.server.prefix)],
        cleaning=(
            codes.forget_unused,
            requests.forget_expired,
            devices.forget_expired,
            assertions.forget_expired,
            revoked.forget_expired,
        ),
    )


def _server(parts: EngineParts) -> Server:
    server = Server(parts)
    server.register_grant(AuthorizationCode, [S256()])
    for grant in (RefreshToken, ClientCredentials, DeviceCode, Password, Implicit):
        server.register_grant(grant)
    return server
