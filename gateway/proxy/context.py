"""What is known about one request while it is answered: filled step by step, read once at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.identity.verified import Verified
from gateway.policy.client import ClientAddress
from gateway.policy.decision import Decision
from gateway.policy.rules import Rule
from gateway.policy.target import Target
from gateway.proxy.plan import Plan


@dataclass(slots=True)
class RequestContext:
    """The request's id, who sent it, what for, and what came of it."""

    request_id: str
    plan: Plan | None = None
    client: ClientAddress | None = None
    target: Target | None = None
    rule: Rule | None = None
    decision: Decision | None = None
    verified: Verified | None = field(default=None, repr=False)
    upstream: str = ""
    error: str = ""
    # Of a head that was passed on although the rest was cut short; 499, as nginx has it, when the client left before.
    sent_status: int = 499
