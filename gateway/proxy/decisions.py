"""Decisions for other proxies: judged as our own requests are, and answered instead of forwarded."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import Final

from aiohttp import HttpVersion, HttpVersion11, web

from gateway.identity.identity import CredentialKind
from gateway.identity.verified import Verified
from gateway.observability.access_log import AccessLog, Who
from gateway.observability.metrics import Metrics
from gateway.policy.decision import Decision, Outcome
from gateway.policy.origin import same_origin
from gateway.policy.rules import Rule
from gateway.proxy.admission import Admission
from gateway.proxy.context import RequestContext
from gateway.proxy.journey import Journey
from gateway.proxy.reply import SentReply
from gateway.proxy.request_head import RequestHeads

_ALLOWED: Final = b"HTTP/1.1 200 OK\r\nCache-Control: no-store\r\nContent-Length: 0\r\n"


@dataclass(frozen=True, slots=True)
class Consent:
    """The answer that a request may pass: a function of the question and of who was verified.

    ``until`` is in monotonic seconds: a signed assertion in ``head`` does not live for ever. ``who`` is a part of the
    access log's line, ``counted`` the metric's labels.
    """

    verified: Verified | None = field(repr=False)
    decision: Decision
    head: bytes = field(repr=False)
    until: float
    who: str
    counted: tuple[str, str, str]

    def answer(self, request_id: str, version: HttpVersion = HttpVersion11, *, keep_alive: bool = True) -> bytes:
        """Return the bytes for one request of an HTTP version."""
        connection = b""
        if not keep_alive:
            connection = b"Connection: close\r\n"
        elif version < HttpVersion11:
            connection = b"Connection: keep-alive\r\n"
        return b"%b%bX-Request-Id: %b\r\n\r\n" % (self.head, connection, request_id.encode())

    def holds_for(self, verified: Verified | None) -> bool:
        """Tell whether this was said of that very verification, and is still fit to be sent."""
        return self.verified is verified and (self.until == math.inf or self.until > time.monotonic())


class Decisions:
    """Answers the journeys that another proxy asks about."""

    def __init__(self, admission: Admission, heads: RequestHeads, metrics: Metrics, access_log: AccessLog) -> None:
        self._admission = admission
        self._heads = heads
        self._metrics = metrics
        self._access_log = access_log

    async def __call__(self, request: web.BaseRequest, context: RequestContext, journey: Journey) -> web.StreamResponse:
        """Answer one question, without waiting for its body. Raises Refused for everything but an allowed request."""
        verified = context.verified = await self._admission.whose(journey, None)
        consent = self.consent(journey, verified)
        if isinstance(consent, Decision):
            context.decision = consent
            raise self._admission.refusal(consent)
        context.decision = consent.decision
        self._metrics.decisions[consent.counted] += 1
        # A body that is still on its way would be read as the next request, and so would a WebSocket's first frame.
        keep_alive = bool(request.keep_alive) and request.content.is_eof() and not journey.plan.upgrade
        if request.transport is not None:
            request.transport.write(consent.answer(context.request_id, request.version, keep_alive=keep_alive))
        return SentReply(200, keep_alive=keep_alive, body_bytes=0)

    def consent(self, journey: Journey, verified: Verified | None) -> Consent | Decision:
        """Return the answer for an allowed request, else the decision against it."""
        rule, plan = journey.rule, journey.plan
        if rule is None:
            return self._admission.judge(journey, verified)
        # The same whatever the path is: it is a function of the route, the fields, the client, who was verified, and
        # of the host, which a route may have several of and a token be kept to one of.
        key = (rule.index, journey.client.address, journey.target.host)
        consent = plan.consents.get(key)
        if consent is None or rule.timed or not consent.holds_for(verified):
            decision = self._admission.judge(journey, verified)
            if not decision.allowed:
                return decision
            consent = self._new_consent(rule, decision, verified)
            plan.keep_consent(key, consent)
        reason = _barred_socket(journey, rule, verified)
        return consent if reason is None else Decision(Outcome.FORBID, rule, reason)

    def _new_consent(self, rule: Rule, decision: Decision, verified: Verified | None) -> Consent:
        until, fields = self._heads.identity_block(rule, verified)
        user = verified.identity.username if verified is not None else ""
        who = self._access_log.who(Who(rule.name, user, decision.reason))
        return Consent(verified, decision, _ALLOWED + fields, until, who, (rule.name, "allow", decision.reason))


def _barred_socket(journey: Journey, rule: Rule, verified: Verified | None) -> str | None:
    """Return why a WebSocket's handshake may not pass, None for everything else.

    The proxy in front strips Upgrade from what it asks us, but not the handshake's key. A browser sends cookies with a
    WebSocket that any page opens: only Origin tells which page it was.
    """
    headers = journey.plan.headers
    if "Sec-WebSocket-Key" not in headers:
        return None
    if not rule.websocket:
        return "no_websocket"
    by_cookie = verified is not None and verified.kind is CredentialKind.SESSION
    return "bad_origin" if by_cookie and not same_origin(headers, journey.target) else None
