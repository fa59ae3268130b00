"""Composition: from settings and a database to a gateway that can be started and stopped. All wiring, nothing else."""

from __future__ import annotations

from aiohttp import web

from gateway.accounts.accounts import build_accounts
from gateway.accounts.htpasswd import HtpasswdFile
from gateway.accounts.sessions import session_cookie_name
from gateway.api.caller import SCOPE
from gateway.api.routes import build_api
from gateway.clock import Clock, SystemClock
from gateway.config.rules import compile_rules
from gateway.config.settings import Settings
from gateway.federation.federation import build_federation
from gateway.federation.issuers import TrustedIssuers
from gateway.housekeeping import Chore, Housekeeping
from gateway.identity.activity import Activity
from gateway.identity.authenticators import Authenticators
from gateway.identity.basic import BasicLogins
from gateway.identity.cache import CredentialCache
from gateway.identity.foreigners import Foreigners
from gateway.identity.ledger import RevocationLedger
from gateway.identity.live import LiveConnections
from gateway.identity.presented import Presenter
from gateway.identity.resolver import Resolver
from gateway.identity.revocation import Revocation
from gateway.oauth.protected_resource import ProtectedResources
from gateway.oauth.provider import Provider, build_provider
from gateway.oauth.provider import Surroundings as ProviderSurroundings
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
from gateway.policy.cors import Cors
from gateway.policy.resource import Resource
from gateway.proxy.build import Surroundings, build_front
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.front import Front
from gateway.proxy.portal import CONTEXT, Portal
from gateway.proxy.server import GatewayServer
from gateway.proxy.upstream.report import UpstreamReport
from gateway.proxy.upstream.upstreams import Upstreams
from gateway.storage.connect import OpenDatabase
from gateway.storage.events import EventFeed
from gateway.tokens.master_key import MasterKey
from gateway.web.cookies import Cookies
from gateway.web.site import Site, build_site


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
        self.accounts = build_accounts(settings, opened.database, master_key, self.clock, self.feed)
        self.clients = Clients(opened.database, self.clock, self.feed)
        self.registry = Registry(opened.database, self.clock, self.feed)
        self._database = opened.database
        self.ledger = RevocationLedger()
        self.cache = CredentialCache(self.clock, self.ledger)
        self.live = LiveConnections(self.ledger, self.clock)
        self.revocation = Revocation(self.cache, self.live, self.accounts.keys)
        self.activity = Activity(self.accounts.sessions, self.accounts.api_tokens)
        self.trusted_issuers = TrustedIssuers(settings.trusted_issuers, self.clock)
        self.resolver = self._resolver()
        self.upstreams = Upstreams(settings)
        report = UpstreamReport(self.upstreams)
        self.metrics.add(report.collect)
        self.health = Health(self.feed.fresh, self.metrics, report.lines)
        self.access_log = AccessLog(as_json=wants_json(settings.logging.format))
        self.consents = Consents(opened.database, self.clock, self.feed)
        self.provider = self._provider(opened, master_key)
        self.protected_resources = self._protected_resources()
        self.federation = build_federation(
            settings, opened.database, master_key, self.accounts.users, self.accounts.sessions, self.clock
        )
        self.housekeeping = Housekeeping(self._cleaning())
        self.site = self._site(master_key)
        self.front, self.lane = self._front()
        self._gauges(opened)

    def _cleaning(self) -> tuple[Chore, ...]:
        """Return what is to be done now and then."""
        return (
            *self.federation.cleaning,
            *self.provider.cleaning,
            self.registry.forget_unused,
            self.accounts.sessions.forget_expired,
            self.accounts.refresh_tokens.forget_expired,
            self.accounts.login.forget_old,
            self.accounts.passkeys.forget_challenges,
            self.accounts.pending_logins.forget_expired,
            self.accounts.second_factors.totps.forget_unproven,
            self.accounts.devices.forget_expired,
            *self.accounts.recovery.cleaning,
            self.accounts.keys.ensure,
        )

    async def start(self) -> None:
        """Read the keys, follow revocations, watch upstreams."""
        await self.accounts.keys.ensure()
        self.revocation.attach(self.feed)
        await self.feed.start()
        self.activity.start()
        self.upstreams.start()
        self.housekeeping.start()
        self.provider.back_channel.start()
        self.accounts.recovery.postman.start()

    async def stop(self) -> None:
        """End everything that ``start`` began; what was noted and logged is written first."""
        await self.accounts.recovery.postman.stop()
        await self.provider.back_channel.stop()
        await self.housekeeping.stop()
        self.live.close_all()
        await self.upstreams.stop()
        await self.activity.stop()
        await self.trusted_issuers.stop()
        await self.federation.stop()
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
            foreigners=Foreigners(self.trusted_issuers, self.settings.issuer, self.clock),
            basic=self._basic(),
        )
        presenter = Presenter(session_cookie_name(secure=self.settings.server.secure))
        return Resolver(presenter, authenticators, self.cache, self.ledger, self.feed, self.activity, self.clock)

    def _basic(self) -> BasicLogins:
        accounts, file = self.accounts, self.settings.htpasswd.file
        return BasicLogins(
            users=accounts.users,
            password_login=accounts.login,
            second_factors=accounts.second_factors,
            api_tokens=accounts.api_tokens,
            htpasswd=HtpasswdFile(self.settings.htpasswd, file) if file is not None else None,
            clock=self.clock,
        )

    def _provider(self, opened: OpenDatabase, master_key: MasterKey) -> Provider:
        return build_provider(
            ProviderSurroundings(
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
                second_factors=self.accounts.second_factors,
                metrics=self.metrics,
                clock=self.clock,
            )
        )

    def _protected_resources(self) -> ProtectedResources:
        server, issuer = self.settings.server, self.settings.issuer
        resources = [rule.resource for rule in self.rules.rules if rule.resource is not None]
        api = Resource(issuer, server.public_origin, server.public_host, "", self.settings.branding.name, (SCOPE,))
        return ProtectedResources(resources, api, issuer, host_of)

    def _site(self, master_key: MasterKey) -> Site:
        return build_site(
            settings=self.settings,
            rules=self.rules,
            proxies=self.trusted_proxies,
            accounts=self.accounts,
            provider=self.provider,
            consents=self.consents,
            registry=self.registry,
            master_key=master_key,
            federation=self.federation,
            clock=self.clock,
            request_id=request_id_of,
        )

    def _front(self) -> tuple[Front, FastLane]:
        cookies = Cookies.named(secure=self.settings.server.secure)
        return build_front(
            Surroundings(
                settings=self.settings,
                rules=self.rules,
                resolver=self.resolver,
                upstreams=self.upstreams,
                live=self.live,
                assertion=self.accounts.access_tokens.assertion,
                proxies=self.trusted_proxies,
                metrics=self.metrics,
                access_log=self.access_log,
                request_ids=self.request_ids,
                clock=self.clock,
            ),
            Portal(
                self._application(),
                self.settings.server.public_host,
                self.protected_resources.places,
                cors=own_cors(self.settings),
                api=f"{self.settings.server.prefix}/api/",
            ),
            own_cookies=cookies.names,
            error_page=self.site.pages.error_page,
        )

    def _application(self) -> web.Application:
        application = web.Application()
        registration = Registration(
            settings=self.settings.oauth,
            portal_url=self.portal_url,
            registry=self.registry,
            clients=self.clients,
            api_tokens=self.accounts.api_tokens,
            proxies=self.trusted_proxies,
            clock=self.clock,
        )
        for routes in (
            self.site.routes,
            self.provider.routes,
            self.protected_resources.routes(),
            registration.routes(self.settings.server.prefix),
            self.health.public_routes(),
            build_api(
                self.settings,
                self.accounts,
                self.resolver,
                self.trusted_proxies,
                self.metrics,
                self.clock,
                self.federation,
            ),
        ):
            application.add_routes(routes)
        return application

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


def own_cors(settings: Settings) -> Cors | None:
    """Return which pages' scripts may use the API; None when no other origin's may."""
    given = settings.cors
    if not given.allow_origins:
        return None
    return Cors(
        frozenset(given.allow_origins),
        ("GET", "HEAD", "POST", "PUT", "DELETE"),
        ("authorization", "content-type", "if-match", "x-api-key"),
        ("ETag", "Retry-After", "X-Request-Id"),
        max_age_seconds=int(given.max_age.total_seconds()),
    )
