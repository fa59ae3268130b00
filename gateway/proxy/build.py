"""The proxy put together: from what the program already has to the handler of its listening sockets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gateway.authz.endpoints import Endpoints
from gateway.clock import Clock
from gateway.config.settings import Settings
from gateway.identity.identity import Identity
from gateway.identity.live import LiveConnections
from gateway.identity.resolver import Resolver
from gateway.observability.access_log import AccessLog
from gateway.observability.metrics import Metrics
from gateway.observability.request_id import RequestIds
from gateway.policy.client import TrustedProxies
from gateway.policy.rules import RuleTable
from gateway.proxy.admission import Admission
from gateway.proxy.decisions import Decisions
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.front import ErrorPage, Front
from gateway.proxy.handler import ProxyHandler, ProxyLimits
from gateway.proxy.headers import RequestHeaders, ResponseHeaders
from gateway.proxy.journeys import Journeys
from gateway.proxy.own_fields import OwnFields
from gateway.proxy.portal import Portal
from gateway.proxy.request_head import RequestHeads
from gateway.proxy.trip import Book
from gateway.proxy.upstream.upstreams import Upstreams


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the proxy stands in. ``assertion`` signs who asks, for one audience."""

    settings: Settings
    rules: RuleTable
    resolver: Resolver
    upstreams: Upstreams
    live: LiveConnections
    assertion: Callable[[Identity, str], str]
    proxies: TrustedProxies
    metrics: Metrics
    access_log: AccessLog
    request_ids: RequestIds
    clock: Clock


def build_front(
    around: Surroundings, portal: Portal, *, own_cookies: Sequence[str], error_page: ErrorPage
) -> tuple[Front, FastLane]:
    """Return the handler, and the lane that goes before it. ``own_cookies`` are never passed on."""
    server = around.settings.server
    heads = RequestHeads(RequestHeaders(around.rules, own_cookies), around.assertion, around.settings.issuer)
    admission = _admission(around, heads, ResponseHeaders(around.rules, own_cookies))
    endpoints = Endpoints(around.settings.authz.key)
    scheme = "https" if server.secure else "http"
    journeys = Journeys(portal, endpoints, around.proxies, scheme, around.access_log)
    decisions = Decisions(admission, heads, around.metrics, around.access_log)
    lane = FastLane(
        journeys=journeys,
        admission=admission,
        decisions=decisions,
        book=Book(around.metrics, around.access_log),
        request_ids=around.request_ids,
        max_header_bytes=server.limits.header_bytes,
        match_headers=around.rules.match_headers,
    )
    limits = ProxyLimits(server.limits.body_bytes, server.limits.idle_timeout.total_seconds())
    front = Front(
        portal=portal,
        proxy=ProxyHandler(admission=admission, live=around.live, metrics=around.metrics, limits=limits),
        decisions=decisions,
        endpoints=endpoints,
        journeys=journeys,
        lane=lane,
        trusted_proxies=around.proxies,
        portal_url=f"{server.public_url}{server.prefix}",
        access_log=around.access_log,
        metrics=around.metrics,
        request_ids=around.request_ids,
        error_page=error_page,
        own_fields=OwnFields(server.public_origin),
        max_header_bytes=server.limits.header_bytes,
    )
    return front, lane


def _admission(around: Surroundings, heads: RequestHeads, response_headers: ResponseHeaders) -> Admission:
    return Admission(
        rules=around.rules,
        resolver=around.resolver,
        upstreams=around.upstreams,
        metrics=around.metrics,
        access_log=around.access_log,
        heads=heads,
        response_headers=response_headers,
        client_seconds=around.settings.server.limits.idle_timeout.total_seconds(),
        clock=around.clock,
    )
