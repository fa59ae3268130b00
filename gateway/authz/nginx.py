"""nginx's ``auth_request``: 200 with identity headers, 401 with a login page, 403; and nothing else but 503.

nginx turns any other status into a 500 for the client, so a missing route is 403 here, and never a redirect.
"""

from __future__ import annotations

import logging
from typing import Final

from aiohttp import web

from gateway.authz.verdict import Judge
from gateway.errors import GatewayError, StorageError, TargetRejected
from gateway.policy.challenge import challenge_header, login_url
from gateway.policy.client import TrustedProxies
from gateway.policy.decision import Outcome
from gateway.policy.target import Target, parse_url

PATH: Final = "/.gateway/authz/nginx"
# oauth2-proxy's name for it, so that its nginx configurations work unchanged.
ALIAS: Final = "/oauth2/auth"
_log = logging.getLogger(__name__)


class NginxAuthz:
    """Answers ``auth_request`` subrequests of trusted proxies."""

    def __init__(self, judge: Judge, trusted_proxies: TrustedProxies, portal_url: str) -> None:
        self._judge = judge
        self._trusted_proxies = trusted_proxies
        self._portal_url = portal_url

    def routes(self) -> list[web.RouteDef]:
        return [web.route("*", PATH, self.answer), web.route("*", ALIAS, self.answer)]

    async def answer(self, request: web.Request) -> web.Response:
        """Decide on the request that ``X-Original-URL`` and ``X-Original-Method`` describe."""
        try:
            return await self._answer(request)
        except StorageError:
            return _plain(503, {"Retry-After": "2"})
        except GatewayError as error:
            # Whatever is malformed here came through a proxy that should know better: closed, and said in the log.
            _log.info("auth_request refused: %s", error)
            return _plain(403)

    async def _answer(self, request: web.Request) -> web.Response:
        client = self._trusted_proxies.client_of(request.remote, request.headers)
        if not client.trusted:
            raise TargetRejected("untrusted_caller")
        target = parse_url(_single(request, "X-Original-Method"), _single(request, "X-Original-URL"))
        verdict = await self._judge.judge(target, request.headers, client)
        decision = verdict.decision
        if decision.allowed:
            response = _plain(200)
            for name, value in self._judge.identity_headers(verdict):
                response.headers.add(name, value)
            return response
        if decision.outcome is Outcome.LOGIN and decision.rule is not None:
            challenge = challenge_header(decision.rule.credentials)
            return _plain(401, {"Location": self._login(target), "WWW-Authenticate": challenge})
        return _plain(403)

    def _login(self, target: Target) -> str:
        return login_url(self._portal_url, target.url)


def _single(request: web.Request, name: str) -> str:
    values = request.headers.getall(name, ())
    if len(values) != 1:
        raise TargetRejected(f"{name.lower()} must be sent once")
    return values[0]


def _plain(status: int, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, headers={"Cache-Control": "no-store", **(headers or {})})
