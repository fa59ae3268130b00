"""The authorization server put together: from what the program already has to endpoints and what pages ask."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from aiohttp import web

from gateway.accounts.factors.factors import SecondFactors
from gateway.accounts.login import PasswordLogin
from gateway.accounts.throttle.attempts import Attempts
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
from gateway.policy.rate_limit import RateLimit
from gateway.storage.database import Database
from gateway.storage.events import EventFeed
from gateway.tokens.keys import SigningKeys
from gateway.tokens.master_key import MasterKey
from gateway.tokens.refresh import REFRESH_TYPE
from gateway.tokens.sealed import SealedTokens

# Each request of somebody who is not signed in waits in the database, as does each that is pushed in a public
# client's name; a whole office may come by one address.
ANONYMOUS: Final = RateLimit(requests=3000, seconds=600, by_user=False)
# Named in the metadata; a client has those that it is registered for. The old ones, password and implicit, are not
# named: nobody should begin to use them, and whoever was given one knows.
GRANTS: Final = ("authorization_code", "refresh_token", "client_credentials", DEVICE_CODE)


class Endpoint(Protocol):
    """A part of the server that answers requests."""

    def routes(self, prefix: str) -> list[web.RouteDef]:
        """Return its routes below the portal's prefix."""
        ...


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
    strangers: Strangers
    routes: list[web.RouteDef]
    cleaning: tuple[Callable[[], Awaitable[int]], ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the authorization server stands in.

    ``resources`` are the identifiers of routes that take tokens of their own, with their names; ``route_scopes`` what
    routes require.
    """

    settings: Settings
    database: Database
    clients: Clients
    feed: EventFeed | None
    keys: SigningKeys
    master_key: MasterKey
    consents: Agreed
    resources: Mapping[str, str]
    route_scopes: Collection[str]
    proxies: TrustedProxies
    password_login: PasswordLogin
    second_factors: SecondFactors
    metrics: Metrics
    clock: Clock

    @property
    def portal(self) -> str:
        return f"{self.settings.server.public_url}{self.settings.server.prefix}"


def build_provider(around: Surroundings) -> Provider:
    """Build the authorization server."""
    settings, database, clients, clock = around.settings, around.database, around.clients, around.clock
    issuer = settings.issuer
    requests = AuthorizationRequests(database, clock)
    revoked = RevokedTokens(database, clock, around.feed)
    subjects = Subjects(around.master_key)
    hints = IdTokenHints(around.keys, subjects, issuer, clock)
    assertions = ClientAssertions(
        database, ClientKeySets(clock), (issuer, f"{around.portal}/oauth/token", f"{around.portal}/oauth/par"), clock
    )
    server = _server(_engine_parts(around, subjects, assertions))
    parts = server.parts
    authorization = Authorization(server, requests, around.consents, hints, issuer=issuer, clock=clock)
    notices = LogoutNotices(database)
    strangers = Strangers(ANONYMOUS, around.proxies, clock)
    pushed = PushedRequests(parts.authentication, authorization, requests, strangers)
    endpoints = _endpoints(around, server, revoked, pushed)
    return Provider(
        requests=requests,
        authorization=authorization,
        audiences=parts.audiences,
        clients=clients,
        devices=parts.devices,
        device_attempts=Attempts("device", database, settings.login, clock),
        end_sessions=EndSessions(clients, hints, subjects),
        back_channel=BackChannel(notices, clients, around.keys, subjects, issuer=issuer, feed=around.feed, clock=clock),
        strangers=strangers,
        routes=[route for endpoint in endpoints for route in endpoint.routes(settings.server.prefix)],
        cleaning=(
            parts.codes.forget_unused,
            requests.forget_expired,
            parts.devices.forget_expired,
            assertions.forget_expired,
            revoked.forget_expired,
        ),
    )


def _engine_parts(around: Surroundings, subjects: Subjects, assertions: ClientAssertions) -> EngineParts:
    settings, database, clock = around.settings, around.database, around.clock
    issuer = settings.issuer
    families = Families(database, clock, around.feed)
    resources = {issuer: settings.branding.name, **around.resources}
    audiences = Audiences(issuer, f"{around.portal}/oauth/userinfo", resources)
    refresh_tokens = SealedTokens(around.master_key, "refresh tokens of clients", REFRESH_TYPE, issuer, clock)
    return EngineParts(
        clients=around.clients,
        authentication=ClientAuthentication(around.clients, assertions, clock),
        families=families,
        codes=Codes(database, families, settings.oauth.code_lifetime, clock),
        devices=DeviceCodes(database, families, settings.oauth.device_lifetime, clock),
        issuing=Issuing(
            around.keys,
            refresh_tokens,
            audiences,
            subjects,
            issuer=issuer,
            access_lifetime=settings.tokens.access_lifetime,
            clock=clock,
        ),
        refresh_tokens=refresh_tokens,
        scopes=ScopePolicy({*around.route_scopes, *settings.oauth.scopes}),
        audiences=audiences,
        password_login=around.password_login,
        second_factors=around.second_factors,
        old_grants=OldGrants(),
        refresh_grace=settings.oauth.refresh_grace,
        refresh_lifetime=settings.tokens.refresh_lifetime,
        clock=clock,
    )


def _server(parts: EngineParts) -> Server:
    server = Server(parts)
    server.register_grant(AuthorizationCode, [S256()])
    for grant in (RefreshToken, ClientCredentials, DeviceCode, Password, Implicit):
        server.register_grant(grant)
    return server


def _endpoints(
    around: Surroundings, server: Server, revoked: RevokedTokens, pushed_requests: PushedRequests
) -> tuple[Endpoint, ...]:
    parts, keys, clients, clock = server.parts, around.keys, around.clients, around.clock
    issuer, authentication, families = around.settings.issuer, parts.authentication, parts.families
    presented = PresentedTokens(keys, parts.refresh_tokens, clients, families, revoked, issuer=issuer, clock=clock)
    strangers = Strangers(PER_ADDRESS, around.proxies, clock)
    return (
        TokenEndpoint(server, around.proxies, around.metrics),
        RevocationEndpoint(authentication, presented, families, revoked),
        IntrospectionEndpoint(authentication, presented),
        pushed_requests,
        DeviceAuthorization(server, strangers, verification_uri=f"{around.portal}/oauth/device"),
        UserinfoEndpoint(keys, clients, families, issuer=issuer, audience=parts.audiences.userinfo, clock=clock),
        Discovery(
            keys,
            issuer=issuer,
            portal=around.portal,
            grants=GRANTS,
            scopes=sorted(parts.scopes.offered),
            registration=around.settings.oauth.registration != "off",
        ),
    )
