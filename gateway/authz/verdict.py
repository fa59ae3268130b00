"""The decision that every dialect serves: judged as the proxy judges, answered in the other proxy's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from gateway.errors import CredentialRejected, TargetRejected
from gateway.identity.identity import CredentialKind, Identity
from gateway.identity.presented import Headers
from gateway.identity.resolver import Resolver
from gateway.identity.verified import Verified
from gateway.observability.metrics import Metrics
from gateway.policy.client import ClientAddress
from gateway.policy.decision import Decision, Outcome, decide
from gateway.policy.origin import same_origin
from gateway.policy.presets import ASSERTION_HEADER, identity_headers
from gateway.policy.rules import Access, RuleTable
from gateway.policy.target import Target

SignAssertion = Callable[[Identity, str], str]


class Verdict(NamedTuple):
    """The decision, and who was recognised."""

    decision: Decision
    verified: Verified | None


class Judge:
    """Decides requests that another proxy describes."""

    def __init__(self, rules: RuleTable, resolver: Resolver, metrics: Metrics, sign_assertion: SignAssertion) -> None:
        self._rules = rules
        self._resolver = resolver
        self._metrics = metrics
        self._sign_assertion = sign_assertion

    async def judge(self, target: Target, headers: Headers, client: ClientAddress) -> Verdict:
        """Decide on ``target`` for whoever ``headers`` speak of. Raises StorageError and TargetRejected."""
        rule = self._rules.find(target, headers)
        verified: Verified | None = None
        if rule is not None and rule.access not in {Access.PUBLIC, Access.DENY}:
            try:
                verified = await self._resolver.resolve(headers, rule.credentials, target.host)
            except CredentialRejected as error:
                return self._counted(Decision(Outcome.LOGIN, rule, error.reason, None), None)
        decision = decide(rule, verified.identity if verified else None, client.ip)
        if decision.allowed and verified is not None and _foreign_websocket(target, headers, verified):
            decision = Decision(Outcome.FORBID, rule, "bad_origin", None)
        return self._counted(decision, verified)

    def identity_headers(self, verdict: Verdict) -> list[tuple[str, str]]:
        """Return what the upstream is to be told when the verdict is to allow."""
        rule = verdict.decision.rule
        if rule is None or not verdict.decision.allowed:
            raise TargetRejected("not_allowed")
        identity = verdict.verified.identity if verdict.verified is not None else None
        fields = identity_headers(identity, rule.identity)
        if identity is not None and (audience := rule.identity.assertion_audience) is not None:
            fields = [*fields, (ASSERTION_HEADER, self._sign_assertion(identity, audience))]
        return fields

    def _counted(self, decision: Decision, verified: Verified | None) -> Verdict:
        route = decision.rule.name if decision.rule is not None else ""
        self._metrics.decisions[route, decision.outcome.value, decision.reason] += 1
        return Verdict(decision, verified)


def _foreign_websocket(target: Target, headers: Headers, verified: Verified) -> bool:
    """Tell whether a page of another host opens a WebSocket with somebody's cookie.

    The proxy in front strips Upgrade from what it asks us, but not the handshake's key.
    """
    handshake = "Sec-WebSocket-Key" in headers and verified.kind is CredentialKind.SESSION
    return handshake and not same_origin(headers, target)
