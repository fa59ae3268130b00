"""What a request is for, read from its line, its fields and its peer."""

from __future__ import annotations

from gateway.authz.dialect import Asked
from gateway.authz.endpoints import Endpoints
from gateway.observability.access_log import AccessLog, Where
from gateway.policy.client import ClientAddress, TrustedProxies
from gateway.policy.target import parse_target
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
        return self._trusted_proxies.client_of(peer, plan.headers)

    def new(self, plan: Plan, place: Place, client: ClientAddress) -> Journey:
        """Return the journey, remembered where it may come again. Raises TargetRejected."""
        host, scheme = plan.host, self._scheme
        dialect = self._endpoints.of(place[1])
        if dialect is not None:
            rest = place[1][len(dialect.path) :]
            target = self._endpoints.target(dialect, Asked(place[0], rest, host, scheme, plan.headers, client))
        else:
            if client.trusted:
                host, scheme = client.host or host, client.scheme or scheme
            target = parse_target(place[0], place[1], host, scheme)
        where = self._access_log.where(Where(client.address, target.method, target.authority, target.path))
        portal = dialect is None and self._portal.owns(target)
        journey = Journey(plan, client, target, where, portal=portal, dialect=dialect)
        plan.keep(place, journey)
        return journey
