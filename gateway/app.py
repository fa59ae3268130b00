"""Composition: from settings and a database to a gateway that can be started and stopped. All wiring, nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web

from gateway.accounts.api_tokens import ApiTokens
from gateway.accounts.login import PasswordLogin
from gateway.accounts.passwords import PasswordHasher
from gateway.accounts.sessions import Sessions, session_cookie_name
from gateway.accounts.users import Users
from gateway.api.api_tokens import ApiTokensApi
from gateway.api.caller import SCOPE, Callers
from gateway.api.login import LoginApi
from gateway.api.profile import ProfileApi
from gateway.api.users import UsersApi
from gateway.authz.endpoints import Endpoints
from gateway.clock import Clock, SystemClock
from gateway.config.rules import compile_rules
from gateway.config.settings import Settings
from gateway.housekeeping import Housekeeping
from gateway.identity.activity import Activity
from gateway.identity.authenticators import Authenticators
from gateway.identity.cache import CredentialCache
from gateway.identity.ledger import RevocationLedger
from gateway.identity.live import LiveConnections
from gateway.identity.presented import Presenter
from gateway.identity.resolver import Resolver
from gateway.identity.revocation import Revocation
from gateway.oauth.protected_resource import ProtectedResources
from gateway.oauth.provider import Provider, build_provider
from gateway.oauth.registration import Registration
from gateway.oauth.state.client_tokens import ClientTokens
from gateway.oauth.state.clients import Clients
from gateway.oauth.state.consents import Consents
from gateway.oauth.state.registry import Registry
from gateway.observability.access_log import AccessLog
from gateway.observability.health import Health
from gateway.observability.logs import wants_json
from gateway.observability.metrics import Metrics
from gateway.observability.request_id import RequestIds
from gateway.policy.client import TrustedProxies
from gateway.policy.resource import Resource
from gateway.proxy.admission import Admission
from gateway.proxy.decisions import Decisions
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.front import Front
from gateway.proxy.handler import ProxyHandler, ProxyLimits
from gateway.proxy.headers import RequestHeaders, ResponseHeaders
from gateway.proxy.journeys import Journeys
from gateway.proxy.portal import CONTEXT, Portal
from gateway.proxy.request_head import RequestHeads
from gateway.proxy.server import GatewayServer
from gateway.proxy.trip import Book
from gateway.proxy.upstream.report import UpstreamReport
from gateway.proxy.upstream.upstreams import Upstreams
from gateway.storage.connect import OpenDatabase
from gateway.storage.events import EventFeed
from gateway.tokens.access import AccessTokens
from gateway.tokens.keys import SigningKeys
from gateway.tokens.master_key import MasterKey
from gateway.tokens.refresh import RefreshTokens
from gateway.web.cookies import Cookies
from gateway.web.site import Site, build_site


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


class Gateway:
    """A wired gateway. ``start`` before serving, ``stop`` after."""

    def __init__(
        self, settings: Settings, opened: OpenDatabase, master_key: MasterKey, clock: Clock | None = None
    ) -> None:
        self.settings = settings
        self.clock = clock or SystemClock()
        self.rules = compile_rules(settings)
        self.metrics = Metrics()
        self.request_ids = RequestIds()
        self.trusted_proxies = TrustedProxies(settings.server.trusted_proxies)
        self.feed = EventFeed(opened.dsn_args, settings.database.max_staleness, self.clock)
        self.accounts = build_accounts(settings, opened, master_key, self.clock, self.feed)
        self.clients = Clients(opened.database, self.clock, self.feed)
        self.registry = Registry(opened.database, self.clock, self.feed)
        self._database = opened.database
        self.ledger = RevocationLedger()
        self.cache = CredentialCache(self.clock, self.ledger)
        self.live = LiveConnections(self.ledger, self.clock)
        self.revocation = Revocation(self.cache, self.live, self.accounts.keys)
        self.activity = Activity(self.accounts.sessions, self.accounts.api_tokens)
        self.resolver = self._resolver()
        self.upstreams = Upstreams(settings)
        report = UpstreamReport(self.upstreams)
        self.metrics.add(report.collect)
        self.health = Health(self.feed.fresh, self.metrics, report.lines)
        self.access_log = AccessLog(as_json=wants_json(settings.logging.format))
        self.consents = Consents(opened.database, self.clock, self.feed)
        self.provider = self._provider(opened, master_key)
        self.protected_resources = self._protected_resources()
        self.housekeeping = Housekeeping(
            (
                *self.provider.cleaning,
                self.registry.forget_unused,
                self.accounts.sessions.forget_expired,
                self.accounts.refresh_tokens.forget_expired,
                self.accounts.login.forget_old,
                self.accounts.keys.ensure,
            )
        )
        self.site = self._site(master_key)
        self.front = self._front()
        self._gauges(opened)

    async def start(self) -> None:
        """Read the keys, follow revocations, watch upstreams."""
        await self.accounts.keys.ensure()
        self.revocation.attach(self.feed)
        await self.feed.start()
        self.activity.start()
        self.upstreams.start()
        self.housekeeping.start()
        self.provider.back_channel.start()

    async def stop(self) -> None:
        """End everything that ``start`` began; what was noted and logged is written first."""
        await self.provider.back_channel.stop()
        await self.housekeeping.stop()
        self.live.close_all()
        await self.upstreams.stop()
        await self.activity.stop()
        await self.revocation.stop()
        await self.feed.stop()
        self.accounts.hasher.close()
        self.access_log.flush()

    def server(self) -> GatewayServer:
        """Return the handler of listening sockets."""
        return GatewayServer(
            self.front,
            request_factory=self.front.make_request,
            limits=self.settings.server.limits,
            malformed=self.front.malformed,
            lane=self.lane,
        )

    @property
    def portal_url(self) -> str:
        return f"{self.settings.server.public_url}{self.settings.server.prefix}"

    def _resolver(self) -> Resolver:
        accounts = self.accounts
        authenticators = Authenticators(
            sessions=accounts.sessions,
            access_tokens=accounts.access_tokens,
            refresh_tokens=accounts.refresh_tokens,
            client_tokens=ClientTokens(self._database),
            api_tokens=accounts.api_tokens,
            users=accounts.users,
            client_certificates=self.settings.client_certificates,
            clock=self.clock,
        )
        presenter = Presenter(session_cookie_name(secure=self.settings.server.secure))
        return Resolver(presenter, authenticators, self.cache, self.ledger, self.feed, self.activity, self.clock)

    def _provider(self, opened: OpenDatabase, master_key: MasterKey) -> Provider:
        return build_provider(
            settings=self.settings,
            database=opened.database,
            clients=self.clients,
            feed=self.feed,
            keys=self.accounts.keys,
            master_key=master_key,
            consents=self.consents,
            resources=self.rules.audiences,
            route_scopes=self.rules.scopes,
            proxies=self.trusted_proxies,
            password_login=self.accounts.login,
            metrics=self.metrics,
            clock=self.clock,
        )

    def _protected_resources(self) -> ProtectedResources:
        server, issuer = self.settings.server, self.settings.issuer
        resources = [rule.resource for rule in self.rules.rules if rule.resource is not None]
        api = Resource(issuer, server.public_origin, server.public_host, "", self.settings.branding.name, (SCOPE,))
        return ProtectedResources(resources, api, issuer, host_of)

    def _site(self, master_key: MasterKey) -> Site:
        accounts = self.accounts
        return build_site(
            settings=self.settings,
            rules=self.rules,
            proxies=self.trusted_proxies,
            sessions=accounts.sessions,
            users=accounts.users,
            password_login=accounts.login,
            provider=self.provider,
            consents=self.consents,
            registry=self.registry,
            master_key=master_key,
            clock=self.clock,
            request_id=request_id_of,
        )

    def _front(self) -> Front:
        settings, accounts = self.settings, self.accounts
        cookies = Cookies.named(secure=settings.server.secure)
        own_cookies = [cookies.session.name, cookies.form.name, cookies.nonce.name]
        fields = RequestHeaders(self.rules, own_cookies)
        idle_seconds = settings.server.limits.idle_timeout.total_seconds()
        heads = RequestHeads(fields, accounts.access_tokens.assertion, settings.issuer)
        admission = Admission(
            rules=self.rules,
            resolver=self.resolver,
            upstreams=self.upstreams,
            metrics=self.metrics,
            access_log=self.access_log,
            heads=heads,
            response_headers=ResponseHeaders(self.rules, own_cookies),
            client_seconds=idle_seconds,
        )
        proxy = ProxyHandler(
            admission=admission,
            live=self.live,
            metrics=self.metrics,
            limits=ProxyLimits(settings.server.limits.body_bytes, idle_seconds),
        )
        portal = Portal(self._application(), settings.server.public_host, self.protected_resources.places)
        endpoints = Endpoints(settings.authz.key)
        scheme = "https" if settings.server.secure else "http"
        journeys = Journeys(portal, endpoints, self.trusted_proxies, scheme, self.access_log)
        decisions = Decisions(admission, heads, self.metrics, self.access_log)
        self.lane = FastLane(
            journeys=journeys,
            admission=admission,
            decisions=decisions,
            book=Book(self.metrics, self.access_log),
            request_ids=self.request_ids,
            max_header_bytes=settings.server.limits.header_bytes,
            match_headers=self.rules.match_headers,
        )
        return Front(
            portal=portal,
            proxy=proxy,
            decisions=decisions,
            endpoints=endpoints,
            journeys=journeys,
            lane=self.lane,
            trusted_proxies=self.trusted_proxies,
            portal_url=self.portal_url,
            access_log=self.access_log,
            metrics=self.metrics,
            request_ids=self.request_ids,
            error_page=self.site.pages.error_page,
            max_header_bytes=settings.server.limits.header_bytes,
        )

    def _application(self) -> web.Application:
        application = web.Application()
        described = self.protected_resources.routes()
        routes = [*self.site.routes, *self.provider.routes, *described, *self.health.public_routes(), *self._api()]
        application.add_routes(routes)
        return application

    def _api(self) -> Sequence[web.RouteDef]:
        settings, accounts = self.settings, self.accounts
        server = settings.server
        callers = Callers(self.resolver, accounts.users, server.public_host, server.public_origin, settings.issuer)
        login = LoginApi(
            login=accounts.login,
            users=accounts.users,
            refresh_tokens=accounts.refresh_tokens,
            sessions=accounts.sessions,
            callers=callers,
            trusted_proxies=self.trusted_proxies,
            metrics=self.metrics,
        )
        users = UsersApi(callers, accounts.users, accounts.refresh_tokens, settings.registration)
        profile = ProfileApi(callers, accounts.users)
        tokens = ApiTokensApi(callers, accounts.api_tokens)
        registration = Registration(
            settings=settings.oauth,
            portal_url=self.portal_url,
            registry=self.registry,
            clients=self.clients,
            api_tokens=accounts.api_tokens,
            proxies=self.trusted_proxies,
            clock=self.clock,
        )
        # Fixed addresses first: `/users/me` is no user's name.
        return [route for each in (profile, login, tokens, users, registration) for route in each.routes(server.prefix)]

    def _gauges(self, opened: OpenDatabase) -> None:
        gauge = self.metrics.gauge
        gauge("gateway_revocation_lag_seconds", "Age of the last look at revocations.", self.feed.lag_seconds)
        gauge("gateway_revocation_fresh", "1 while cached credentials are trusted.", lambda: float(self.feed.fresh()))
        self.metrics.labelled_gauge(
            "gateway_database_connections",
            "Connections of the pool.",
            "state",
            lambda: dict(zip(("open", "idle"), opened.database.connections, strict=True)),
        )


def host_of(request: web.BaseRequest) -> str:
    """Return the host that a request is for, as the front has read it."""
    context = request.get(CONTEXT) if isinstance(request, web.Request) else None
    return context.journey.target.host if context is not None and context.journey is not None else ""


def request_id_of(request: web.BaseRequest) -> str:
    """Return the id that the front gave a request."""
    context = request.get(CONTEXT) if isinstance(request, web.Request) else None
    return context.request_id if context is not None else ""
