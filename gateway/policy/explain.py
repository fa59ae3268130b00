"""A decision told step by step, for the person who wrote the routes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.identity.identity import Identity
from gateway.policy.answer import Redirect, Respond
from gateway.policy.decision import Decision, decide
from gateway.policy.fields import Headers
from gateway.policy.host import host_matches
from gateway.policy.presets import ASSERTION_HEADER, identity_headers
from gateway.policy.requirements import Checked, IPAddress, checked
from gateway.policy.rewrite import upstream_target
from gateway.policy.rules import Access, Match, Rule, RuleTable, header_holds
from gateway.policy.target import Target

MASK = "(secret)"


@dataclass(frozen=True, slots=True)
class RouteStep:
    """One route that was looked at; ``miss`` says what did not match, and is empty for the hit."""

    index: int
    name: str
    part: str
    miss: str

    @property
    def hit(self) -> bool:
        return not self.miss


@dataclass(frozen=True, slots=True)
class Explanation:
    """All that led to a decision, and what the upstream would be sent: nothing unless it is allowed."""

    target: Target
    steps: tuple[RouteStep, ...]
    decision: Decision
    checks: tuple[Checked, ...]
    forwarded: str | None
    headers: tuple[tuple[str, str], ...]
    # What else the route does, a sentence each.
    treatment: tuple[str, ...] = ()


def explain(
    table: RuleTable,
    target: Target,
    headers: Headers,
    identity: Identity | None,
    client_ip: IPAddress | None,
    now: float | None = None,
) -> Explanation:
    """Decide as the proxy does, and say how it came about. Secret header values are masked."""
    rule = table.find(target, headers)
    decision = decide(rule, identity, client_ip, now, host=target.host)
    seen = identity if rule is not None and rule.access is not Access.PUBLIC else None
    checks: tuple[Checked, ...] = ()
    if rule is not None and rule.requirement is not None:
        checks = tuple(checked(rule.requirement, seen, client_ip, now))
    allowed = rule if decision.allowed else None
    return Explanation(
        target=target,
        steps=tuple(_steps(table, target, headers)),
        decision=decision,
        checks=checks,
        forwarded=None if allowed is None or allowed.answer else upstream_target(target, allowed.rewrite),
        headers=() if allowed is None or allowed.answer else tuple(_shown_headers(allowed, seen)),
        treatment=() if allowed is None else tuple(_treatment(allowed, target)),
    )


def _treatment(rule: Rule, target: Target) -> Iterator[str]:
    """Yield what the route does besides forwarding. Values of fields may be secrets, so only names are told."""
    match rule.answer:
        case Redirect():
            yield f"answered with {rule.answer.status} to {rule.answer.location(target)}"
        case Respond():
            yield f"answered with {rule.answer.status} by the gateway itself"
    for what, changes in (("request", rule.request_changes), ("answer", rule.response_changes)):
        if changes.set:
            yield f"fields set in the {what}: {', '.join(name for name, _ in changes.set)}"
        if changes.remove:
            yield f"fields removed from the {what}: {', '.join(sorted(changes.remove))}"
    limit = rule.rate_limit
    if limit is not None:
        whom = "user" if limit.by_user else "address"
        yield f"at most {limit.requests} requests in {limit.seconds:g}s for each {whom}"
    if rule.cors is not None:
        yield f"scripts of these origins may read the answer: {', '.join(sorted(rule.cors.origins))}"


def _steps(table: RuleTable, target: Target, headers: Headers) -> list[RouteStep]:
    steps = []
    for rule in table.rules:
        part, miss = first_miss(rule.match, target, headers)
        steps.append(RouteStep(rule.index, rule.name, part, miss))
        if not miss:
            break
    return steps


def first_miss(match: Match, target: Target, headers: Headers) -> tuple[str, str]:
    """Return which part of a match does not hold, and the sentence for it; two empty texts when all does."""
    if match.hosts and not any(host_matches(pattern, target.host) for pattern in match.hosts):
        return "host", f"host is not {' or '.join(match.hosts)}"
    if match.paths and not any(pattern.matches(target.segments) for pattern in match.paths):
        return "path", f"path is not {' or '.join(pattern.text for pattern in match.paths)}"
    if match.regex is not None and not match.regex.fullmatch(target.decoded_path):
        return "path", f"path does not match {match.regex.pattern}"
    if match.methods and target.method not in match.methods:
        return "method", f"method is not {' or '.join(sorted(match.methods))}"
    for name, value in match.headers:
        if not header_holds(headers, name, value):
            return "header", f"header {name} is not sent once as {value}"
    return "", ""


def _shown_headers(rule: Rule, identity: Identity | None) -> list[tuple[str, str]]:
    secrets = {template.name for template in rule.identity.headers if template.secret}
    shown = [(name, MASK if name in secrets else value) for name, value in identity_headers(identity, rule.identity)]
    if rule.identity.assertion_audience is not None and identity is not None:
        shown.append((ASSERTION_HEADER, f"(a JWT for {rule.identity.assertion_audience})"))
    return shown
