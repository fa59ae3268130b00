"""The walk of one proxied request: route, credential, decision, upstream, answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import Final

from aiohttp import HttpVersion11, web

from gateway.errors import GatewayError
from gateway.identity.identity import CredentialKind
from gateway.identity.live import LiveConnections
from gateway.identity.resolver import Resolver
from gateway.identity.verified import Verified
from gateway.observability.access_log import AccessLog, Who
from gateway.observability.metrics import Metrics
from gateway.policy.decision import Outcome, decide
from gateway.policy.origin import same_origin
from gateway.policy.rules import Access, Rule, RuleTable
from gateway.policy.target import Target
from gateway.proxy.body import BodyMalformed, BodyTooLarge, BodyTooSlow, RequestBody
from gateway.proxy.context import RequestContext
from gateway.proxy.exchange import Exchange
from gateway.proxy.headers import ResponseHeaders
from gateway.proxy.journey import Grant, Journey
from gateway.proxy.plan import Plan
from gateway.proxy.request_head import RequestHeads
from gateway.proxy.times import Times
from gateway.proxy.upstream import UpstreamPool, Upstreams
from gateway.refusal import BAD_ORIGIN, BAD_UPGRADE, BODY_TOO_LARGE, BODY_TOO_SLOW, MALFORMED, Refused, of_decision

_ALLOW: Final = Outcome.ALLOW


@dataclass(frozen=True, slots=True)
class ProxyLimits:
    """What one request may cost, unless its route says otherwise."""

    body_bytes: int
    idle_seconds: float


class ProxyHandler:
    """Answers requests that are for upstreams."""

    def __init__(
        self,
        *,
        rules: RuleTable,
        resolver: Resolver,
        upstreams: Upstreams,
        live: LiveConnections,
        metrics: Metrics,
        access_log: AccessLog,
        heads: RequestHeads,
        response_headers: ResponseHeaders,
        limits: ProxyLimits,
    ) -> None:
        self._rules = rules
        self._resolver = resolver
        self._upstreams = upstreams
        self._live = live
        self._metrics = metrics
        self._access_log = access_log
        self._heads = heads
        self._limits = limits
        self._response_headers = response_headers

    async def __call__(self, request: web.BaseRequest, context: RequestContext, journey: Journey) -> web.StreamResponse:
        """Answer one request. Raises Refused with what the client is told, or a GatewayError that says why not."""
        if not journey.routed:
            self._route(request, journey)
        verified: Verified | None = None
        if journey.asks:
            verified = self._resolver.known(journey.key) if journey.key is not None else None
            if verified is None:
                verified = context.verified = await self._resolve(request, journey)
        grant = journey.grant
        if grant is None or not grant.holds_for(verified):
            grant = self._judge(request, context, journey, verified)
        context.grant = grant
        self._metrics.decisions[grant.counted] += 1
        exchange = self._exchange(request, context, journey, grant)
        started = perf_counter()
        try:
            return await exchange.run()
        except BodyTooLarge as error:
            raise Refused(BODY_TOO_LARGE, close=True) from error
        except BodyTooSlow as error:
            raise Refused(BODY_TOO_SLOW, close=True) from error
        except BodyMalformed as error:
            raise Refused(MALFORMED, close=True) from error
        except (asyncio.CancelledError, ConnectionError):
            context.sent_status = exchange.sent_status or context.sent_status
            raise
        finally:
            if not exchange.switched:
                grant.durations.observe(perf_counter() - started)

    def _route(self, request: web.BaseRequest, journey: Journey) -> None:
        """Find the rule, and what tells whose the request is. Raises what ``Resolver.key_of`` raises."""
        target = journey.target
        rule = journey.rule = self._rules.find(target, request.headers)
        if rule is not None and rule.access is not Access.PUBLIC and rule.access is not Access.DENY:
            journey.asks = True
            journey.key = self._resolver.key_of(request.headers, rule.credentials, target.host)
        journey.routed = True

    def _judge(
        self, request: web.BaseRequest, context: RequestContext, journey: Journey, verified: Verified | None
    ) -> Grant:
        """Decide, and prepare what is sent. Raises Refused for everything but an allowed request."""
        context.verified = verified
        rule = journey.rule
        decision = decide(rule, verified.identity if verified is not None else None, journey.client.ip)
        if rule is None or decision.outcome is not _ALLOW:
            context.refused = decision
            self._metrics.decisions[rule.name if rule else "", decision.outcome.value, decision.reason] += 1
            raise Refused(of_decision(decision))
        plan = journey.plan
        upgrade = plan.upgrade and _wants_websocket(request, journey.target, rule, verified)
        pool = self._upstreams[rule.upstream]
        head = self._heads.build(request, plan, rule, journey.target, journey.client, verified, upgrade=upgrade)
        user = verified.identity.username if verified is not None else ""
        grant = Grant(
            verified,
            decision,
            rule,
            head,
            pool,
            self._times(rule, pool),
            self._metrics.upstream_durations[pool.name],
            self._access_log.who(Who(rule.name, user, decision.reason, pool.name)),
            (rule.name, "allow", decision.reason),
            upgrade,
        )
        journey.grant = grant
        return grant

    def _times(self, rule: Rule, pool: UpstreamPool) -> Times:
        return Times(
            rule.response_timeout_seconds or pool.response_seconds,
            rule.idle_timeout_seconds or pool.idle_seconds,
            self._limits.idle_seconds,
        )

    async def _resolve(self, request: web.BaseRequest, journey: Journey) -> Verified | None:
        counts = self._metrics.authentications
        kinds = journey.rule.credentials if journey.rule is not None else frozenset()
        try:
            verified = await self._resolver.resolve(request.headers, kinds, journey.target.host)
        except GatewayError:
            counts["any", "refused"] += 1
            raise
        if verified is not None:
            counts[verified.kind.value, "accepted"] += 1
        return verified

    def _exchange(self, request: web.BaseRequest, context: RequestContext, journey: Journey, grant: Grant) -> Exchange:
        body = None
        if grant.upgrade and request.version < HttpVersion11:  # the grant may be another version's
            raise Refused(BAD_UPGRADE, close=True)
        if journey.plan.framing:
            body = self._body(request, journey.plan, grant.rule)
            if grant.upgrade and body is not None:
                raise Refused(BAD_UPGRADE, close=True)
        return Exchange(request, grant, self._response_headers, context.request_id.encode(), body, self._live)

    def _body(self, request: web.BaseRequest, plan: Plan, rule: Rule) -> RequestBody | None:
        if plan.chunked and request.version < HttpVersion11:
            raise Refused(MALFORMED, close=True)  # RFC 9112 section 6.1: HTTP/1.0 knows no chunks
        limit = self._limits.body_bytes if rule.max_body_bytes is None else rule.max_body_bytes
        if plan.content_length is not None and plan.content_length > limit:
            raise Refused(BODY_TOO_LARGE, close=True)
        if not plan.chunked and not request.can_read_body:
            return None
        return RequestBody(request, limit, self._limits.idle_seconds, chunked=plan.chunked)


def _wants_websocket(request: web.BaseRequest, target: Target, rule: Rule, verified: Verified | None) -> bool:
    """Tell whether this is a WebSocket handshake that may pass. Raises Refused for any other upgrade."""
    headers = request.headers
    connection = {token.strip().lower() for value in headers.getall("Connection", ()) for token in value.split(",")}
    upgrades = [value.strip().lower() for value in headers.getall("Upgrade")]
    if "upgrade" not in connection:
        return False
    if upgrades != ["websocket"] or request.method != "GET" or not rule.websocket or request.version < (1, 1):
        raise Refused(BAD_UPGRADE, close=True)
    # A browser sends cookies with a WebSocket that any page opens: only Origin tells which page it was.
    if verified is not None and verified.kind is CredentialKind.SESSION and not same_origin(headers, target):
        raise Refused(BAD_ORIGIN, close=True)
    return True
