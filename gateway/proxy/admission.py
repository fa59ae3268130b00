"""Whether a request may pass, and as what: route, credential, decision, and what is prepared for its upstream.

The plain path and the fast lane both ask here, so that they cannot differ.
"""

from __future__ import annotations

from typing import Final, Protocol

from gateway.clock import Clock
from gateway.errors import GatewayError
from gateway.identity.certificate import ClientCertificate
from gateway.identity.identity import CredentialKind
from gateway.identity.resolver import NOBODY, Resolver
from gateway.identity.verified import Verified
from gateway.observability.access_log import AccessLog, Who
from gateway.observability.metrics import Metrics
from gateway.policy.cors import origin_of, preflight_method
from gateway.policy.decision import Decision, Outcome, decide
from gateway.policy.origin import same_origin
from gateway.policy.rate_limit import Buckets, bucket_key
from gateway.policy.rules import Access, Rule, RuleTable
from gateway.policy.target import Target
from gateway.proxy.allowance import Allowance
from gateway.proxy.headers import ResponseHeaders
from gateway.proxy.journey import Grant, Journey
from gateway.proxy.plan import Plan
from gateway.proxy.recent import Recent
from gateway.proxy.request_head import RequestHeads, request_line
from gateway.proxy.route_reply import RouteReply
from gateway.proxy.times import Times
from gateway.proxy.upstream.pool import UpstreamPool
from gateway.proxy.upstream.upstreams import Upstreams
from gateway.refusal import BAD_ORIGIN, BAD_UPGRADE, Refused, of_decision

_AMBIENT: Final = frozenset({CredentialKind.SESSION, CredentialKind.CLIENT_CERTIFICATE})
_KEPT_REPLIES: Final = 1024
_ALLOW: Final = Outcome.ALLOW


class Connection(Protocol):
    """A client's connection, as far as it says who the client is."""

    @property
    def certificate(self) -> ClientCertificate | None:
        """The certificate that TLS has verified."""


class Admission:
    """Decides on journeys. ``client_seconds`` is how long a client may take nothing of an answer."""

    def __init__(
        self,
        *,
        rules: RuleTable,
        resolver: Resolver,
        upstreams: Upstreams,
        metrics: Metrics,
        access_log: AccessLog,
        heads: RequestHeads,
        response_headers: ResponseHeaders,
        client_seconds: float,
        clock: Clock,
    ) -> None:
        self._rules = rules
        self._resolver = resolver
        self._upstreams = upstreams
        self._metrics = metrics
        self._access_log = access_log
        self._heads = heads
        self._response_headers = response_headers
        self._client_seconds = client_seconds
        self._clock = clock
        # By rule, origin of the target, and the page whose script asks where that matters.
        self._replies: Recent[tuple[int, str, str, int | None, str | None], RouteReply] = Recent(_KEPT_REPLIES)
        self._buckets = {rule.index: Buckets(rule.rate_limit) for rule in rules.rules if rule.rate_limit is not None}

    def route(self, journey: Journey) -> None:
        """Find the rule, and what tells whose the request is. Raises what ``Resolver.key_of`` raises."""
        target, headers = journey.target, journey.plan.headers
        wanted = preflight_method(target.method, headers) if journey.dialect is None else None
        if wanted is not None and self._is_preflight(journey, target._replace(method=wanted)):
            return
        rule = journey.rule = self._rules.find(target, headers)
        if rule is not None and rule.access is not Access.PUBLIC and rule.access is not Access.DENY:
            # A certificate belongs to one connection, and a journey to whoever sends the same fields.
            if CredentialKind.CLIENT_CERTIFICATE not in rule.credentials:
                journey.key = self._key_of(journey.plan, rule, target.host)
            journey.asks = journey.key != NOBODY
        journey.routed = True

    def _is_preflight(self, journey: Journey, wanted: Target) -> bool:
        """Tell whether a preflight is ours to answer: the request that it is about goes to a route with CORS."""
        rule = self._rules.find(wanted, journey.plan.headers)
        if rule is None or rule.cors is None or rule.access is Access.DENY:
            return False
        journey.rule = rule
        journey.preflight = journey.routed = True
        return True

    def _key_of(self, plan: Plan, rule: Rule, host: str) -> bytes | None:
        kinds = rule.credentials
        try:
            return plan.keys[kinds, host]
        except KeyError:
            key = self._resolver.key_of(plan.headers, kinds, host)
            plan.keep_key(kinds, host, key)
            return key

    def known(self, journey: Journey) -> Verified | None:
        """Return who asks, if that is known without asking the database; None says nothing."""
        return self._resolver.known(journey.key) if journey.key is not None else None

    async def whose(self, journey: Journey, connection: Connection | None) -> Verified | None:
        """Return who asks, None without a credential or need of one. Raises what ``Resolver.resolve`` raises.

        ``connection`` is the client's own, None where another proxy asks for it.
        """
        if not journey.routed:
            self.route(journey)
        if not journey.asks:
            return None
        return self.known(journey) or await self._resolve(journey, connection)

    async def _resolve(self, journey: Journey, connection: Connection | None) -> Verified | None:
        kinds = journey.rule.credentials if journey.rule is not None else frozenset()
        counts = self._metrics.authentications
        certificate = None
        # That of a trusted proxy says who the proxy is, not whom it speaks for.
        if connection is not None and not journey.client.trusted and CredentialKind.CLIENT_CERTIFICATE in kinds:
            certificate = connection.certificate
        try:
            verified = await self._resolver.resolve(
                journey.plan.headers, kinds, journey.target.host, certificate, journey.key, journey.client.address
            )
        except GatewayError:
            counts["any", "refused"] += 1
            raise
        if verified is not None:
            counts[verified.kind.value, "accepted"] += 1
        return verified

    def judge(self, journey: Journey, verified: Verified | None) -> Decision:
        """Decide. The same question has the same answer, but for rules that are ``timed``."""
        rule = journey.rule
        now = self._clock.now().timestamp() if rule is not None and rule.timed else None
        identity = verified.identity if verified is not None else None
        return decide(rule, identity, journey.client.ip, now, host=journey.target.host)

    def refusal(self, decision: Decision) -> Refused:
        """Count a decision that is not to allow, and return what the client is told."""
        route = decision.rule.name if decision.rule is not None else ""
        self._metrics.decisions[route, decision.outcome.value, decision.reason] += 1
        return Refused(of_decision(decision))

    def grant(self, journey: Journey, verified: Verified | None) -> Grant | Decision:
        """Return what an allowed request is sent upstream with, else the decision: against it, or for an own answer.

        What was granted to this very verification before is used again. Raises Refused for an upgrade that may not
        pass, TargetRejected for fields that have no single reading.
        """
        rule, target = journey.rule, journey.target
        if rule is not None and rule.timed:
            decision = self.judge(journey, verified)
            if decision.outcome is not _ALLOW:
                return decision
        grant = journey.grant
        if grant is not None and grant.holds_for(verified):
            return grant
        plan = journey.plan
        place = (rule.index if rule else -1, target.scheme, target.host, target.port, journey.client.chain)
        alike = plan.grants.get(place)
        if alike is not None and alike.holds_for(verified):
            grant = journey.grant = alike.towards(request_line(alike.rule, target))
            return grant
        decision = self.judge(journey, verified)
        if rule is None or decision.outcome is not _ALLOW or rule.answer is not None:
            return decision
        grant = journey.grant = self._new_grant(journey, rule, decision, verified)
        if not plan.upgrade:  # which not every method may
            plan.keep_grant(place, grant)
        return grant

    def _new_grant(self, journey: Journey, rule: Rule, decision: Decision, verified: Verified | None) -> Grant:
        plan = journey.plan
        upgrade = plan.upgrade and _wants_websocket(journey, rule, verified)
        pool = self._upstreams[rule.upstream]
        head = self._heads.build(plan, rule, journey.target, journey.client, verified, upgrade=upgrade)
        user = verified.identity.username if verified is not None else ""
        return Grant(
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
            self._reply(rule, journey, pool),
            self.allowance(rule, journey, verified),
        )

    def _reply(self, rule: Rule, journey: Journey, pool: UpstreamPool) -> RouteReply:
        target = journey.target
        origin = origin_of(journey.plan.headers) if rule.cors is not None else None
        place = (rule.index, target.scheme, target.host, target.port, origin)
        reply = self._replies.get(place)
        if reply is None:
            reply = RouteReply(self._response_headers, rule, journey, [server.url for server in pool.servers])
            self._replies.put(place, reply)
        return reply

    def allowance(self, rule: Rule, journey: Journey, verified: Verified | None) -> Allowance | None:
        """Return the bucket that such a request takes from, None on a route without a limit."""
        limit = rule.rate_limit
        if limit is None:
            return None
        user_id = verified.identity.user_id if verified is not None else None
        return Allowance(self._buckets[rule.index], bucket_key(limit, user_id, journey.client.ip))

    def _times(self, rule: Rule, pool: UpstreamPool) -> Times:
        return Times(
            rule.response_timeout_seconds or pool.response_seconds,
            rule.idle_timeout_seconds or pool.idle_seconds,
            self._client_seconds,
            rule.websocket_timeout_seconds or pool.websocket_seconds,
        )


def _wants_websocket(journey: Journey, rule: Rule, verified: Verified | None) -> bool:
    """Tell whether this is a WebSocket handshake that may pass. Raises Refused for any other upgrade."""
    headers, target = journey.plan.headers, journey.target
    connection = {token.strip().lower() for value in headers.getall("Connection", ()) for token in value.split(",")}
    # ASCII only: lower() makes a k of the Kelvin sign, and what is no WebSocket to others would be one here.
    upgrades = [value.lower() if value.isascii() else "" for value in headers.getall("Upgrade")]
    if "upgrade" not in connection:
        return False
    if upgrades != ["websocket"] or target.method != "GET" or not rule.websocket:
        raise Refused(BAD_UPGRADE, close=True)
    # A browser adds these to a WebSocket that any page opens: only Origin tells which page it was.
    if verified is not None and verified.kind in _AMBIENT and not same_origin(headers, target):
        raise Refused(BAD_ORIGIN, close=True)
    return True
