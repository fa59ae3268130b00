"""Whether a request may go where it wants to: the one place that says yes.

The proxy, the endpoints that answer other proxies and ``gateway route explain`` all ask here.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from gateway.identity.identity import Identity
from gateway.policy.host import host_matches
from gateway.policy.requirements import ANONYMOUS, STEPS_UP, IPAddress, Requirement, phrase, unmet_part
from gateway.policy.rules import Access, Rule


class Outcome(StrEnum):
    """What is to be done with a request."""

    ALLOW = "allow"
    LOGIN = "login"
    STEP_UP = "step_up"
    FORBID = "forbid"
    UNKNOWN = "unknown"


# The token is for something else: whoever has it needs another one.
WRONG_AUDIENCE: Final = "wrong_audience"
# The token is kept to other routes, or to other hosts.
WRONG_ROUTE: Final = "wrong_route"
WRONG_HOST: Final = "wrong_host"

_DETAILS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "no_route": "no route matches",
        "denied": "the route denies every request",
        "public": "the route is public",
        "optional": "the route also takes those who have not signed in",
        "authenticated": "someone is signed in, and every requirement holds",
        ANONYMOUS: "the route requires someone signed in",
        WRONG_AUDIENCE: "the token is not for this route: its audience is another",
        WRONG_ROUTE: "the token is kept to other routes",
        WRONG_HOST: "the token is kept to other hosts",
    }
)


class Decision(NamedTuple):
    """The outcome and why. A tuple, because one is made for each request.

    ``reason`` is a fixed word for logs and metrics; ``unmet`` the requirement that decided against it.
    """

    outcome: Outcome
    rule: Rule | None
    reason: str
    unmet: Requirement | None = None

    @property
    def allowed(self) -> bool:
        return self.outcome is Outcome.ALLOW

    @property
    def detail(self) -> str:
        """Say why, to the operator: it names what the route requires, which is nobody else's business."""
        if self.unmet is not None:
            return f"the route requires {phrase(self.unmet)}"
        # A caller may refuse for reasons of its own, such as a bad credential.
        return _DETAILS.get(self.reason, self.reason.replace("_", " "))


# Looked up once: a class attribute and NamedTuple's own __new__ cost more than all the rest of a decision.
_PUBLIC: Final = Access.PUBLIC
_REQUIRED: Final = Access.REQUIRED
_DENY: Final = Access.DENY
_ALLOW: Final = Outcome.ALLOW
_new: Final = tuple.__new__


def decide(
    rule: Rule | None,
    identity: Identity | None,
    client_ip: IPAddress | None,
    now: float | None = None,
    *,
    host: str = "",
) -> Decision:
    """Judge a request by the route that it matched. Pure and total: it raises nothing.

    ``now`` is in POSIX seconds, for rules that are ``timed``; without it what depends on time does not hold.
    ``host`` is the target's; without it a token that is kept to hosts opens nothing.
    """
    if rule is None:
        return Decision(Outcome.UNKNOWN, None, "no_route")
    access = rule.access
    if access is _DENY:
        return Decision(Outcome.FORBID, rule, "denied")
    if access is _PUBLIC:
        identity = None
    elif identity is not None and identity.kind not in rule.kinds:
        # The caller should not have looked at this kind here; it counts for nothing either way.
        identity = None
    astray = None if identity is None else _astray(identity, rule, host)
    if astray is not None:
        # Present and bad: it does not count for less on a route that takes everybody.
        return Decision(Outcome.FORBID, rule, astray)
    if access is _REQUIRED and identity is None:
        return Decision(Outcome.LOGIN, rule, ANONYMOUS)
    requirement = rule.requirement
    if requirement is not None:
        reason = requirement.unmet(identity, client_ip, now)
        if reason is not None:
            return Decision(_against(reason), rule, reason, unmet_part(requirement, identity, client_ip, now))
    grounds = "authenticated" if identity is not None else "public" if access is _PUBLIC else "optional"
    return _new(Decision, (_ALLOW, rule, grounds, None))


def _astray(identity: Identity, rule: Rule, host: str) -> str | None:
    """Return why a credential is not for this route or host, None when it is."""
    if identity.audiences is not None and rule.audience not in identity.audiences:
        return WRONG_AUDIENCE
    if identity.routes is not None and rule.name not in identity.routes:
        return WRONG_ROUTE
    hosts = identity.hosts
    if hosts is not None and host not in hosts and not any(host_matches(pattern, host) for pattern in hosts):
        return WRONG_HOST
    return None


def _against(reason: str) -> Outcome:
    if reason == ANONYMOUS:
        return Outcome.LOGIN
    return Outcome.STEP_UP if reason in STEPS_UP else Outcome.FORBID
