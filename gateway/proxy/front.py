"""What stands first: reads one canonical target, sends the request to the portal or the proxy, and says how it ended.

Whatever goes wrong here is an answer without the request having been let through, and without a word about the inside.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import perf_counter
from typing import Any, Final

from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from multidict import CIMultiDict

from gateway.errors import GatewayError
from gateway.observability.access_log import Access, AccessLog
from gateway.observability.metrics import Metrics
from gateway.observability.request_id import RequestIds
from gateway.policy.challenge import login_url
from gateway.policy.client import TrustedProxies
from gateway.policy.navigation import is_navigation, redirect_status
from gateway.policy.target import Target, parse_target
from gateway.problem import Problem, problem_response
from gateway.proxy.context import RequestContext
from gateway.proxy.plan import Plans
from gateway.proxy.portal import Portal
from gateway.proxy.reply import SentReply
from gateway.refusal import BAD_VERSION, INTERNAL, Refused, of_error

ErrorPage = Callable[[Problem, str, web.BaseRequest], web.StreamResponse]
Handler = Callable[[web.BaseRequest, RequestContext], Any]
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
        proxy: Handler,
        trusted_proxies: TrustedProxies,
        scheme: str,
        portal_url: str,
        access_log: AccessLog,
        metrics: Metrics,
        request_ids: RequestIds,
        error_page: ErrorPage,
        max_header_bytes: int,
    ) -> None:
        self._portal = portal
        self._proxy = proxy
        self._trusted_proxies = trusted_proxies
        self._scheme = scheme
        self._portal_url = portal_url
        self._access_log = access_log
        self._metrics = metrics
        self._request_ids = request_ids
        self._error_page = error_page
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
        if self._portal.may_own(message.path):
            return self._portal.make_request(message, payload, protocol, writer, task)
        return web.BaseRequest(message, payload, protocol, writer, task, asyncio.get_running_loop())

    async def __call__(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever happens."""
        started = perf_counter()  # the loop's own clock has milliseconds only
        metrics = self._metrics
        metrics.in_flight += 1
        context = RequestContext("")
        response: web.StreamResponse | None = None
        try:
            response = await self._answer(request, context)
            return response
        finally:
            metrics.in_flight -= 1
            status = response.status if response is not None else context.sent_status
            self._record(request, context, status, _sent_bytes(response), perf_counter() - started)

    async def _answer(self, request: web.BaseRequest, context: RequestContext) -> web.StreamResponse:
        try:
            self._read(request, context)
            if context.target is not None and self._portal.owns(context.target):
                return _unnamed(await self._portal.handle(request, context))
            answer: web.StreamResponse = await self._proxy(request, context)
        except Refused as refused:
            context.error = refused.problem.code
            return self._refuse(request, context, refused.problem, close=refused.close)
        except GatewayError as error:
            problem = self._problem(error, context)
            context.error = getattr(error, "reason", problem.code)
            return self._refuse(request, context, problem, close=False)
        except (ConnectionError, asyncio.CancelledError):
            raise
        except Exception:  # whatever it was, it lets nobody in
            _log.exception("a request failed", extra={"request_id": context.request_id})
            context.error = INTERNAL.code
            return self._refuse(request, context, INTERNAL, close=True)
        else:
            return answer

    def _read(self, request: web.BaseRequest, context: RequestContext) -> None:
        """Fill in who asks and what for. Raises TargetRejected."""
        headers = request.headers
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        context.request_id = self._request_ids.new()
        client = self._trusted_proxies.client_of(peer[0] if isinstance(peer, tuple) else None, headers)
        context.client = client
        scheme = self._scheme
        host = None
        if client.trusted:
            context.request_id = self._request_ids.keep(headers.get("X-Request-Id"))
            host, scheme = client.host, client.scheme or scheme
        if request.version not in _VERSIONS:
            request._cache["version"] = HttpVersion11  # noqa: SLF001 - aiohttp would answer HTTP/0.9 in kind
            raise Refused(BAD_VERSION, close=True)
        plan = context.plan = self._plans.of(request)
        context.target = parse_target(request.method, request.raw_path, host or plan.host, scheme)

    @staticmethod
    def _problem(error: GatewayError, context: RequestContext) -> Problem:
        kinds = context.rule.credentials if context.rule is not None else None
        return of_error(error) if kinds is None else of_error(error, kinds)

    def _refuse(
        self, request: web.BaseRequest, context: RequestContext, problem: Problem, *, close: bool
    ) -> web.StreamResponse:
        response = self._refusal(request, context, problem)
        response.headers["X-Request-Id"] = context.request_id
        # A body that is still on its way, or waits for our 100, would be read as the next request.
        if close or not request.content.is_eof():
            response.force_close()
        return _unnamed(response)

    def malformed(self, request: web.BaseRequest, problem: Problem) -> str:
        """Record a request that could not even be read, and return its id."""
        context = RequestContext(self._request_ids.new(), error=problem.code)
        peer = request.transport.get_extra_info("peername") if request.transport is not None else None
        context.client = self._trusted_proxies.client_of(peer[0] if isinstance(peer, tuple) else None, _NO_HEADERS)
        self._record(request, context, problem.status, 0, 0.0)
        return context.request_id

    def _refusal(self, request: web.BaseRequest, context: RequestContext, problem: Problem) -> web.StreamResponse:
        if not is_navigation(request.method, request.headers):
            return problem_response(problem, context.request_id)
        if problem.status == _UNAUTHENTICATED and context.target is not None:
            return self._to_login(request.method, context.target)
        return self._error_page(problem, context.request_id, request)

    def _to_login(self, method: str, target: Target) -> web.Response:
        # What was to be done with another method cannot be done by coming back; the page it was on can be shown.
        location = login_url(self._portal_url, target.url)
        return web.Response(status=redirect_status(method), headers={"Location": location, "Cache-Control": "no-store"})

    def _record(
        self,
        request: web.BaseRequest,
        context: RequestContext,
        status: int,
        sent: int,
        seconds: float,
    ) -> None:
        rule, target, client, decision = context.rule, context.target, context.client, context.decision
        route = rule.name if rule is not None else ""
        self._metrics.request(route, request.method, status, seconds)
        self._access_log.write(
            Access(
                context.request_id,
                client.address if client is not None else "",
                request.method,
                target.authority if target is not None else "",
                target.path if target is not None else "",
                status,
                sent,
                seconds,
                route,
                context.verified.identity.username if context.verified is not None else "",
                decision.reason if decision is not None else "",
                context.upstream,
                context.error,
            )
        )


def _sent_bytes(response: web.StreamResponse | None) -> int:
    if type(response) is SentReply:
        return response.body_bytes
    if isinstance(response, web.Response):
        return response.content_length or 0
    return response.body_length if response is not None else 0


def _unnamed(response: web.StreamResponse) -> web.StreamResponse:
    """Keep aiohttp from telling its version and Python's."""
    response.headers.setdefault("Server", "gateway")
    return response
