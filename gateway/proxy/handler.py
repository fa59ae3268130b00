"""The walk of one proxied request: route, credential, decision, upstream, answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final

from aiohttp import HttpVersion11, web

from gateway.errors import GatewayError, TargetRejected
from gateway.identity.identity import CredentialKind
from gateway.identity.live import LiveConnections
from gateway.identity.resolver import Resolver
from gateway.identity.verified import Verified
from gateway.observability.metrics import Metrics
from gateway.policy.decision import Outcome, decide
from gateway.policy.origin import same_origin
from gateway.policy.rules import Access, Rule, RuleTable
from gateway.policy.target import Target
from gateway.proxy.body import BodyMalformed, BodyTooLarge, BodyTooSlow, RequestBody
from gateway.proxy.context import RequestContext
from gateway.proxy.exchange import Exchange, Times
from gateway.proxy.headers import ResponseHeaders
from gateway.proxy.request_head import RequestHeads
from gateway.proxy.upstream import Upstreams
from gateway.refusal import BAD_ORIGIN, BAD_UPGRADE, BODY_TOO_LARGE, BODY_TOO_SLOW, MALFORMED, Refused, of_decision

_ALLOW: Final = Outcome.ALLOW
_MOST_PLACES: Final = 64


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
        heads: RequestHeads,
        response_headers: ResponseHeaders,
        limits: ProxyLimits,
    ) -> None:
        self._rules = rules
        self._resolver = resolver
        self._upstreams = upstreams
        self._live = live
        self._metrics = metrics
        self._heads = heads
        self._limits = limits
        self._response_headers = response_headers

    async def __call__(self, request: web.BaseRequest, context: RequestContext) -> web.StreamResponse:
        """Answer one request. Raises Refused with what the client is told, or a GatewayError that says why not."""
        target, client = context.target, context.client
        if target is None or client is None or context.plan is None:
            raise TargetRejected("no_target")
        rule = context.rule = self._rules.find(target, request.headers)
        verified: Verified | None = None
        if rule is not None and rule.access is not Access.PUBLIC and rule.access is not Access.DENY:
            verified = self._known(request, context, rule, target) or await self._resolve(request, rule, target)
        context.verified = verified
        context.decision = decision = decide(rule, verified.identity if verified else None, client.ip)
        outcome = decision.outcome
        if rule is None or outcome is not _ALLOW:
            self._metrics.decisions[rule.name if rule else "", outcome.value, decision.reason] += 1
            raise Refused(of_decision(decision))
        self._metrics.decisions[rule.name, "allow", decision.reason] += 1
        return await self._forward(request, context, rule)

    def _known(self, request: web.BaseRequest, context: RequestContext, rule: Rule, target: Target) -> Verified | None:
        """Return who asks when that is known without asking the database."""
        keys = context.plan.credential_keys if context.plan is not None else {}
        place = (rule.index, target.host)
        try:
            key = keys[place]
        except KeyError:
            key = self._resolver.key_of(request.headers, rule.credentials, target.host)
            if len(keys) < _MOST_PLACES:  # clients choose hosts
                keys[place] = key
        return self._resolver.known(key) if key is not None else None

    async def _resolve(self, request: web.BaseRequest, rule: Rule, target: Target) -> Verified | None:
        counts = self._metrics.authentications
        try:
            verified = await self._resolver.resolve(request.headers, rule.credentials, target.host)
        except GatewayError:
            counts["any", "refused"] += 1
            raise
        if verified is not None:
            counts[verified.kind.value, "accepted"] += 1
        return verified

    async def _forward(self, request: web.BaseRequest, context: RequestContext, rule: Rule) -> web.StreamResponse:
        started = time.monotonic()
        exchange = self._exchange(request, context, rule)
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
                self._metrics.upstream_durations[context.upstream].observe(time.monotonic() - started)

    def _exchange(self, request: web.BaseRequest, context: RequestContext, rule: Rule) -> Exchange:
        target, client, plan, verified = context.target, context.client, context.plan, context.verified
        if target is None or client is None or plan is None:
            raise TargetRejected("no_target")
        pool = self._upstreams[rule.upstream]
        context.upstream = pool.name
        upgrade = plan.upgrade and _wants_websocket(request, target, rule, verified)
        if plan.framing.startswith(b"T") and request.version < HttpVersion11:
            raise Refused(MALFORMED, close=True)  # RFC 9112 section 6.1: HTTP/1.0 knows no chunks
        limit = self._limits.body_bytes if rule.max_body_bytes is None else rule.max_body_bytes
        try:
            body = RequestBody(request, plan, limit, self._limits.idle_seconds)
        except BodyTooLarge as error:
            raise Refused(BODY_TOO_LARGE, close=True) from error
        if upgrade and body.present:
            raise Refused(BAD_UPGRADE, close=True)
        head = self._heads.build(
            request,
            plan,
            rule,
            target,
            client,
            verified,
            request_id=context.request_id,
            upgrade=upgrade,
        )
        times = Times(
            rule.response_timeout_seconds or pool.response_seconds,
            rule.idle_timeout_seconds or pool.idle_seconds,
            self._limits.idle_seconds,
        )
        reply_fields = b"X-Request-Id: %b\r\n" % context.request_id.encode()
        return Exchange(
            request,
            pool,
            self._response_headers,
            head=head,
            body=body,
            times=times,
            upgrade=upgrade,
            reply_fields=reply_fields,
            live=self._live,
            verified=verified,
        )


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
