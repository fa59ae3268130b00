"""The walk of one proxied request: route, credential, decision, upstream, answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import cast

from aiohttp import HttpVersion11, web

from gateway.identity.live import LiveConnections
from gateway.identity.verified import Verified
from gateway.observability.metrics import Metrics
from gateway.policy.decision import Decision
from gateway.policy.rules import Rule
from gateway.proxy.admission import Admission
from gateway.proxy.body import BodyMalformed, BodyTooLarge, BodyTooSlow, RequestBody
from gateway.proxy.context import RequestContext
from gateway.proxy.exchange import Exchange
from gateway.proxy.journey import Grant, Journey
from gateway.proxy.own_answers import own_answer, preflight_answer
from gateway.proxy.plan import Plan
from gateway.proxy.server import ClientConnection
from gateway.proxy.trip import Trip
from gateway.refusal import BAD_UPGRADE, BODY_TOO_LARGE, BODY_TOO_SLOW, MALFORMED, Refused


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
        admission: Admission,
        live: LiveConnections,
        metrics: Metrics,
        limits: ProxyLimits,
    ) -> None:
        self._admission = admission
        self._live = live
        self._metrics = metrics
        self._limits = limits

    async def __call__(self, request: web.BaseRequest, context: RequestContext, journey: Journey) -> web.StreamResponse:
        """Answer one request. Raises Refused with what the client is told, or a GatewayError that says why not."""
        admission = self._admission
        if not journey.routed:
            admission.route(journey)
        if journey.preflight and journey.rule is not None:
            return _own(request, preflight_answer(journey.rule, journey), context)
        verified = context.verified = await admission.whose(journey, cast(ClientConnection, request.protocol))
        grant = admission.grant(journey, verified)
        if not isinstance(grant, Grant):
            context.decision = grant
            return _own(request, self._answered(journey, verified, grant), context)
        context.grant = grant
        self._metrics.decisions[grant.counted] += 1
        if grant.allowance is not None:
            grant.allowance.take()
        return await self._carried(self._exchange(request, context, journey, grant), context, grant)

    def _answered(self, journey: Journey, verified: Verified | None, decision: Decision) -> web.Response:
        """Return a route's own answer. Raises Refused for everything but an allowed request."""
        rule = decision.rule
        if rule is None or rule.answer is None or not decision.allowed:
            raise self._admission.refusal(decision)
        self._metrics.decisions[rule.name, "allow", decision.reason] += 1
        allowance = self._admission.allowance(rule, journey, verified)
        if allowance is not None:
            allowance.take()
        return own_answer(rule, rule.answer, journey)

    async def go_on(self, request: web.BaseRequest, context: RequestContext, begun: Trip) -> web.StreamResponse:
        """Answer a request that was sent upstream already."""
        context.journey = begun.journey
        grant = context.grant = begun.grant
        request_id = begun.request_id.encode()
        client = begun.journey.client.address
        exchange = Exchange(request, grant, request_id, None, self._live, client, begun.connection)
        return await self._carried(exchange, context, grant)

    @staticmethod
    async def _carried(exchange: Exchange, context: RequestContext, grant: Grant) -> web.StreamResponse:
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

    def _exchange(self, request: web.BaseRequest, context: RequestContext, journey: Journey, grant: Grant) -> Exchange:
        body = None
        if grant.upgrade and request.version < HttpVersion11:  # the grant may be another version's
            raise Refused(BAD_UPGRADE, close=True)
        if journey.plan.framing:
            body = self._body(request, journey.plan, grant.rule)
            if grant.upgrade and body is not None:
                raise Refused(BAD_UPGRADE, close=True)
        client, request_id = journey.client.address, context.request_id.encode()
        return Exchange(request, grant, request_id, body, self._live, client)

    def _body(self, request: web.BaseRequest, plan: Plan, rule: Rule) -> RequestBody | None:
        if plan.chunked and request.version < HttpVersion11:
            raise Refused(MALFORMED, close=True)  # RFC 9112 section 6.1: HTTP/1.0 knows no chunks
        limit = self._limits.body_bytes if rule.max_body_bytes is None else rule.max_body_bytes
        if plan.content_length is not None and plan.content_length > limit:
            raise Refused(BODY_TOO_LARGE, close=True)
        if not plan.chunked and not request.can_read_body:
            return None
        expects_continue = plan.expects_continue and request.version >= HttpVersion11
        return RequestBody(
            request, limit, self._limits.idle_seconds, chunked=plan.chunked, expects_continue=expects_continue
        )


def _own(request: web.BaseRequest, response: web.Response, context: RequestContext) -> web.Response:
    """Finish an answer of ours. A body that nobody reads would be taken for the next request."""
    response.headers["X-Request-Id"] = context.request_id
    response.headers["Server"] = "gateway"
    if not request.content.is_eof():
        response.force_close()
    return response
