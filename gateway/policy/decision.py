"""Whether a request may go where it wants to: the one place that says yes.

The proxy, the endpoints that answer other proxies and ``gateway route explain`` all ask here.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from gateway.identity.identity import Identity
from gateway.policy.requirements import ANONYMOUS, IPAddress, unmet_part
from gateway.policy.rules import Access, Rule


class Outcome(StrEnum):
    """What is to be done with a request."""

    ALLOW = "allow"
    LOGIN = "login"
    STEP_UP = "step_up"
    FORBID = "forbid"
    UNKNOWN = "unknown"


class Decision(NamedTuple):
    """The outcome and why. A tuple, because one is made for each request.

    ``reason`` is a fixed word for logs and metrics. ``detail`` is for the log and the operator: it names
    what the route requires, which is nobody else's business.
    """

    outcome: Outcome
    rule: Rule | None
    reason: str
    detail: str

    @property
    def allowed(self) -> bool:
        return self.outcome is Outcome.ALLOW


def decide(rule: Rule | None, identity: Identity | None, client_ip: IPAddress | None) -> Decision:
    """Judge a request by the route that it matched. Pure and total: it raises nothing."""
    if rule is None:
        return Decision(Outcome.UNKNOWN, None, "no_route", "no route matches")
    access = rule.access
    if access is Access.DENY:
        return Decision(Outcome.FORBID, rule, "denied", "the route denies every request")
    if access is Access.PUBLIC:
        identity = None
    elif identity is not None and identity.kind not in rule.credentials:
        # The caller should not have looked at this kind here; it counts for nothing either way.
        identity = None
    if access is Access.REQUIRED and identity is None:
        return Decision(Outcome.LOGIN, rule, ANONYMOUS, "the route requires someone signed in")
    requirement = rule.requirement
    if requirement is not None:
        reason = requirement.unmet(identity, client_ip)
        if reason is not None:
            outcome = Outcome.LOGIN if reason == ANONYMOUS else Outcome.FORBID
            part = unmet_part(requirement, identity, client_ip)
            return Decision(outcome, rule, reason, f"requires {part.description}")
    return Decision(Outcome.ALLOW, rule, _grounds(access, identity), "")


def _grounds(access: Access, identity: Identity | None) -> str:
    if access is Access.PUBLIC:
        return "public"
    return "optional" if identity is None else "authenticated"
