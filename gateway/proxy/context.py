"""What is known about one request while it is answered: filled step by step, read once at the end."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.identity.verified import Verified
from gateway.policy.client import ClientAddress
from gateway.policy.cors import Cors
from gateway.policy.decision import Decision
from gateway.policy.rules import Rule
from gateway.proxy.journey import Grant, Journey


@dataclass(slots=True)
class RequestContext:
    """The request's id, who sent it, what for, and what came of it."""

    request_id: str
    client: ClientAddress | None = None
    journey: Journey | None = None
    grant: Grant | None = None
    verified: Verified | None = field(default=None, repr=False)
    decision: Decision | None = None
    error: str = ""
    # Which pages' scripts may read the answer, where no route says so.
    cors: Cors | None = None
    # Of a head that was passed on although the rest was cut short; 499, as nginx has it, when the client left before.
    sent_status: int = 499

    @property
    def rule(self) -> Rule | None:
        return self.journey.rule if self.journey is not None else None
