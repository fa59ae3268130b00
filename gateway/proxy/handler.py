"""The walk of one proxied request: route, credential, decision, upstream, answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import perf_counter
from typing import cast

from aiohttp import HttpVersion11, web

from gateway.identity.live import LiveConnections
from gateway.observability.metrics import Metrics
from gateway.policy.rules import Rule
from gateway.proxy.admission import Admission
from gateway.proxy.body import BodyMalformed, BodyTooLarge, BodyTooSlow, RequestBody
from gateway.proxy.context import RequestContext
from gateway.proxy.exchange import Exchange
from gateway.proxy.headers import ResponseHeaders
from gateway.proxy.journey import Grant, Journey
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
        response_headers: ResponseHeaders,
        limits: ProxyLimits,
    ) -> None:
        self._admission = admission
        self._live = live
        self._metrics = metrics
        self._limits = limits
        self._response_headers = response_headers

    async def __call__(self, request: web.BaseRequest, context: RequestContext, journey: Journey) -> web.StreamResponse:
        """Answer one request. Raises Refused with what the client is told, or a GatewayError that says why not."""
        grant = context.grant = await self._admitted(request, context, journey)
        self._metrics.decisions[grant.counted] += 1
        return await self._carried(self._exchange(request, context, journey, grant), context, grant)

    async def go_on(self, request: web.BaseRequest, context: RequestContext, begun: Trip) -> web.StreamResponse:
        """Answer a request that was sent upstream already."""
        context.journey = begun.journey
        grant = context.grant = begun.grant
        request_id = begun.request_id.encode()
        client = begun.journey.client.address
        filters = self._response_headers
        exchange = Exchange(request, grant, filters, request_id, None, self._live, client, begun.connection)
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

    async def _admitted(self, request: web.BaseRequest, context: RequestContext, journey: Journey) -> Grant:
        """Return what was granted. Raises Refused for everything but an allowed request."""
        verified = context.verified = await self._admission.whose(journey, cast(ClientConnection, request.protocol))
        grant = self._admission.grant(journey, verified)
        if isinstance(grant, Grant):
            return grant
        context.decision = grant
        raise self._admission.refusal(grant)

    def _exchange(self, request: web.BaseRequest, context: RequestContext, journey: Journey, grant: Grant) -> Exchange:
        body = None
        if grant.upgrade and request.version < HttpVersion11:  # the grant may be another version's
            raise Refused(BAD_UPGRADE, close=True)
        if journey.plan.framing:
            body = self._body(request, journey.plan, grant.rule)
            if grant.upgrade and body is not None:
                raise Refused(BAD_UPGRADE, close=True)
        client, request_id = journey.client.address, context.request_id.encode()
        return Exchange(request, grant, self._response_headers, request_id, body, self._live, client)

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
