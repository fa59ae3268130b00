"""What a request is for, read from its line, its fields and its peer."""

from __future__ import annotations

from gateway.authz.dialect import Asked, Dialect
from gateway.authz.endpoints import Endpoints
from gateway.observability.access_log import AccessLog, Where
from gateway.policy.client import ClientAddress, TrustedProxies
from gateway.policy.target import Target, parse_target
from gateway.proxy.journey import Journey
from gateway.proxy.plan import Plan
from gateway.proxy.portal import Portal

# Method, raw target, and the connection's peer: None for a unix socket.
Place = tuple[str, str, str | None]


class Journeys:
    """Makes journeys. ``scheme`` is what clients use unless a trusted proxy says otherwise."""

    def __init__(
        self,
        portal: Portal,
        endpoints: Endpoints,
        trusted_proxies: TrustedProxies,
        scheme: str,
        access_log: AccessLog,
    ) -> None:
        self._portal = portal
        self._endpoints = endpoints
        self._trusted_proxies = trusted_proxies
        self._scheme = scheme
        self._access_log = access_log

    def client_of(self, plan: Plan, peer: str | None) -> ClientAddress:
        """Tell who the client is. Raises what ``TrustedProxies.client_of`` raises."""
        client = plan.clients.get(peer)
        if client is None:
            client = self._trusted_proxies.client_of(peer, plan.headers)
            plan.keep_client(peer, client)
        return client

    def new(self, plan: Plan, place: Place, client: ClientAddress) -> Journey:
        """Return the journey, remembered where it may come again. Raises TargetRejected."""
        dialect = self._endpoints.of(place[1])
        if dialect is None:
            host, scheme = plan.host, self._scheme
            if client.trusted:
                host, scheme = client.host or host, client.scheme or scheme
            target = parse_target(place[0], place[1], host, scheme)
            journey = Journey(plan, client, target, self._where(client, target), portal=self._portal.owns(target))
        else:
            journey = self.question(dialect, plan, place, client)
        plan.keep(place, journey)
        return journey

    def question(
        self, dialect: Dialect, plan: Plan, place: Place, client: ClientAddress, address: str | None = None
    ) -> Journey:
        """Return what another proxy asks about: ``address``, or the one in the plan's fields. Raises TargetRejected."""
        rest = place[1][len(dialect.path) :]
        asked = Asked(place[0], rest, plan.host, self._scheme, plan.headers, client, address)
        target = self._endpoints.target(dialect, asked)
        return Journey(plan, client, target, self._where(client, target), portal=False, dialect=dialect)

    def _where(self, client: ClientAddress, target: Target) -> str:
        return self._access_log.where(Where(client.address, target.method, target.authority, target.path))
