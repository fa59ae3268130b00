"""What stands first: reads one canonical target, sends the request to the portal or the proxy, and says how it ended.

Whatever goes wrong here is an answer without the request having been let through, and without a word about the inside.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from time import perf_counter
from typing import Any, Final, cast

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from multidict import CIMultiDict

from gateway.authz.endpoints import Endpoints
from gateway.errors import GatewayError
from gateway.identity.identity import CredentialKind
from gateway.observability.access_log import AccessLog, Where, Who
from gateway.observability.metrics import Metrics
from gateway.observability.request_id import RequestIds
from gateway.policy.challenge import login_url
from gateway.policy.client import TrustedProxies
from gateway.policy.cors import origin_of
from gateway.policy.navigation import is_navigation, redirect_status
from gateway.policy.rules import Rule
from gateway.policy.target import Target
from gateway.problem import Problem, problem_response
from gateway.proxy.context import RequestContext
from gateway.proxy.decisions import Decisions
from gateway.proxy.fast_lane import FastLane
from gateway.proxy.handler import ProxyHandler
from gateway.proxy.journey import Journey
from gateway.proxy.journeys import Journeys
from gateway.proxy.own_fields import OwnFields
from gateway.proxy.plan import Plans
from gateway.proxy.portal import Portal
from gateway.proxy.reply import SentReply
from gateway.proxy.server import ClientConnection
from gateway.refusal import BAD_VERSION, INTERNAL, Refused, of_error

ErrorPage = Callable[[Problem, str, web.BaseRequest], web.StreamResponse]
_UNAUTHENTICATED: Final = 401
_NO_HEADERS: Final[CIMultiDict[str]] = CIMultiDict()
_VERSIONS: Final = frozenset({(1, 1), (1, 0)})
_log = logging.getLogger(__name__)


class Front:
    """The handler of the low-level server."""

    def __init__(
        self,
        *,
        portal: Portal,
        proxy: ProxyHandler,
        decisions: Decisions,
        endpoints: Endpoints,
        journeys: Journeys,
        lane: FastLane,
        trusted_proxies: TrustedProxies,
        portal_url: str,
        access_log: AccessLog,
        metrics: Metrics,
        request_ids: RequestIds,
        error_page: ErrorPage,
        own_fields: OwnFields,
        max_header_bytes: int,
    ) -> None:
        self._portal = portal
        self._proxy = proxy
        self._decisions = decisions
        self._endpoints = endpoints
        self._trusted_proxies = trusted_proxies
        self._journeys = journeys
        self._lane = lane
        self._portal_url = portal_url
        self._access_log = access_log
        self._metrics = metrics
        self._request_ids = request_ids
        self._error_page = error_page
        self._own_fields = own_fields
        self._plans = Plans(max_header_bytes)

    def make_request(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: Any,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        """Make the request object: the portal's kind where the portal may answer, aiohttp's plain one elsewhere."""
        if message.path[:1] != "/" and message.url.absolute:
            # aiohttp would decode the host's name, and where that fails it would neither answer nor close.
            message = message._replace(url=message.url.relative())
        if self._endpoints.of(message.path) is None and self._portal.may_own(message.path):
            return self._portal.make_request(message, payload, protocol, writer, task)
        return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever happens."""
        started = perf_counter()  # the loop's own clock has milliseconds only
        metrics = self._metrics
        begun = _connection(request).take_begun(request._message)  # noqa: SLF001 - which bytes it was read from hangs on it
        if begun is None:  # else it has been counted since it left
            metrics.in_flight += 1
        context = RequestContext(self._request_ids.new() if begun is None else begun.request_id)
        response: web.StreamResponse | None = None
        try:
            if begun is not None:
                started = begun.started
                response = await self._proxy.go_on(request, context, begun)
                return response
            journey = self._journey(request, context)
            if journey.portal:
                response = self._own_fields.on(await self._portal.handle(request, context), portal=True)
            elif journey.dialect is not None:
                response = await self._decisions(request, context, journey)
            else:
                response = await self._proxy(request, context, journey)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception as error:  # whatever it was, it lets nobody in
            response = self._failed(request, context, error)
        finally:
            metrics.in_flight -= 1
            self._record(request, context, response, perf_counter() - started)
        return response

    def _journey(self, request: web.BaseRequest, context: RequestContext) -> Journey:
        """Find out what is asked for. Raises TargetRejected or Refused."""
        if request.version not in _VERSIONS:
            request._cache["version"] = HttpVersion11  # noqa: SLF001 - aiohttp would answer HTTP/0.9 in kind
            raise Refused(BAD_VERSION, close=True)
        plan = self._plans.of(request)
        connection = _connection(request)
        block = connection.take_block(request._message)  # noqa: SLF001 - which bytes it was read from hangs on it
        if block:
            self._lane.learn(block, plan, request)
        place = (request.method, request.raw_path, connection.peer_address)
        journey = plan.journeys.get(place)
        if journey is None:
            context.client = client = self._journeys.client_of(plan, place[2])
            if client.trusted:
                context.request_id = self._request_ids.keep(request.headers.get("X-Request-Id"))
            journey = self._journeys.new(plan, place, client)
        elif journey.client.trusted:
            context.request_id = self._request_ids.keep(request.headers.get("X-Request-Id"))
        context.journey = journey
        return journey

    def _failed(self, request: web.BaseRequest, context: RequestContext, error: Exception) -> web.StreamResponse:
        if isinstance(error, Refused):
            context.error = error.problem.code
            return self._refuse(request, context, error.problem, close=error.close)
        if isinstance(error, GatewayError):
            problem = self._problem(error, context)
            context.error = getattr(error, "reason", problem.code)
            return self._refuse(request, context, problem, close=False)
        _log.error("a request failed", exc_info=error, extra={"request_id": context.request_id})
        context.error = INTERNAL.code
        return self._refuse(request, context, INTERNAL, close=True)

    @staticmethod
    def _problem(error: GatewayError, context: RequestContext) -> Problem:
        kinds = context.rule.credentials if context.rule is not None else None
        return of_error(error) if kinds is None else of_error(error, kinds)

    def _refuse(
        self, request: web.BaseRequest, context: RequestContext, problem: Problem, *, close: bool
    ) -> web.StreamResponse:
        rule = context.rule
        response = self._refusal(request, context, _told_by(problem, rule))
        response.headers["X-Request-Id"] = context.request_id
        cors = rule.cors if rule is not None else context.cors
        if cors is not None:  # a script may read why, too
            for name, value in cors.fields(origin_of(request.headers)):
                response.headers.add(name, value)
        # A body that is still on its way, or waits for our 100, would be read as the next request.
        if close or not request.content.is_eof():
            response.force_close()
        return self._own_fields.on(response, portal=context.journey is not None and context.journey.portal)

    def malformed(self, request: web.BaseRequest, problem: Problem) -> str:
        """Record a request that could not even be read, and return its id."""
        context = RequestContext(self._request_ids.new(), error=problem.code, sent_status=problem.status)
        context.client = self._trusted_proxies.client_of(_connection(request).peer_address, _NO_HEADERS)
        self._record(request, context, None, 0.0)
        return context.request_id

    def _refusal(self, request: web.BaseRequest, context: RequestContext, problem: Problem) -> web.StreamResponse:
        target = context.journey.target if context.journey is not None else None
        dialect = self._endpoints.of(request.raw_path)
        if dialect is not None:
            login = login_url(self._portal_url, target.url, problem.asks) if target is not None else None
            problem = dialect.refusal(problem, login)
        method = target.method if target is not None else request.method
        if (dialect is not None and not dialect.redirects) or not is_navigation(method, request.headers):
            return problem_response(problem, context.request_id)
        if problem.status == _UNAUTHENTICATED and target is not None and _takes_a_login(context.rule):
            return self._to_login(target, problem)
        try:
            return self._error_page(problem, context.request_id, request)
        except Exception:  # a page that cannot be drawn must not hide what happened
            _log.exception("an error page failed", extra={"request_id": context.request_id})
            return problem_response(problem, context.request_id)

    def _to_login(self, target: Target, problem: Problem) -> web.Response:
        # What was to be done with another method cannot be done by coming back; the page it was on can be shown.
        location = login_url(self._portal_url, target.url, problem.asks)
        status = redirect_status(target.method)
        return web.Response(status=status, headers={"Location": location, "Cache-Control": "no-store"})

    def _record(
        self, request: web.BaseRequest, context: RequestContext, response: web.StreamResponse | None, seconds: float
    ) -> None:
        journey, grant, client = context.journey, context.grant, context.client
        status = response.status if response is not None else context.sent_status
        where = (
            journey.where
            if journey is not None
            else self._access_log.where(Where(client.address if client is not None else "", request.method, "", ""))
        )
        route = grant.rule.name if grant is not None else context.rule.name if context.rule is not None else ""
        method = journey.target.method if journey is not None else request.method
        self._metrics.request(route, method, status, seconds)
        who = grant.who if grant is not None and not context.error else self._who(context, route)
        self._access_log.write(context.request_id, where, status, _sent_bytes(response), seconds, who)

    def _who(self, context: RequestContext, route: str) -> str:
        grant = context.grant
        verified = grant.verified if grant is not None else context.verified
        decision = grant.decision if grant is not None else context.decision
        return self._access_log.who(
            Who(
                route,
                verified.identity.username if verified is not None else "",
                decision.reason if decision is not None else "",
                grant.pool.name if grant is not None else "",
                context.error,
            )
        )


def _takes_a_login(rule: Rule | None) -> bool:
    """Say whether somebody who has signed in is let in by that: a session is one of the kinds that count there."""
    return rule is None or CredentialKind.SESSION in rule.credentials


def _connection(request: web.BaseRequest) -> ClientConnection:
    return cast(ClientConnection, request.protocol)


def _sent_bytes(response: web.StreamResponse | None) -> int:
    if type(response) is SentReply:
        return response.body_bytes
    if isinstance(response, web.Response):
        return response.content_length or 0
    return response.body_length if response is not None else 0


def _told_by(problem: Problem, rule: Rule | None) -> Problem:
    """Return a refusal that says where a program gets a token, on a route that is a resource of its own."""
    challenge = problem.headers.get("WWW-Authenticate")
    if rule is None or rule.resource is None or challenge is None:
        return problem
    return replace(problem, headers={**problem.headers, "WWW-Authenticate": rule.resource.challenge(challenge)})
