"""Where a request goes, and as what: worked out once for what comes again, and asked for each request whose it is.

A ``Journey`` is a function of the header fields, the request line, the peer and the compiled rules. A ``Grant`` adds
who was verified, by the very object that the resolver gave: another verification is another grant.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.authz.dialect import Dialect
from gateway.identity.verified import Verified
from gateway.observability.metrics import Histogram
from gateway.policy.client import ClientAddress
from gateway.policy.decision import Decision
from gateway.policy.rules import Rule
from gateway.policy.target import Target
from gateway.proxy.allowance import Allowance
from gateway.proxy.plan import Plan
from gateway.proxy.request_head import RequestHead
from gateway.proxy.times import Times
from gateway.proxy.upstream.pool import UpstreamPool

if TYPE_CHECKING:
    from gateway.proxy.route_reply import RouteReply


class Journey:
    """One kind of request. ``where`` is its part of the access log's line.

    With a ``dialect`` another proxy asks about it: ``target`` is the request that it describes.
    """

    __slots__ = (
        "asks",
        "client",
        "dialect",
        "grant",
        "key",
        "plan",
        "portal",
        "preflight",
        "routed",
        "rule",
        "target",
        "where",
    )

    def __init__(
        self,
        plan: Plan,
        client: ClientAddress,
        target: Target,
        where: str,
        *,
        portal: bool,
        dialect: Dialect | None = None,
    ) -> None:
        self.plan = plan
        self.client = client
        self.target = target
        self.where = where
        self.portal = portal
        self.dialect = dialect
        # Filled in by admission: the rule, whether it asks for a credential that is there, and that one's cache key.
        self.routed = False
        self.preflight = False
        self.rule: Rule | None = None
        self.asks = False
        self.key: bytes | None = None
        self.grant: Grant | None = None


@dataclass(slots=True)
class Grant:
    """What follows once it is known who asks: the decision to allow, and everything that is sent but the request's id.

    ``until`` is in monotonic seconds: a signed assertion in ``head`` does not live for ever. ``who`` is a part of the
    access log's line, ``counted`` the metric's labels; ``upgrade`` is a WebSocket's handshake. ``reply`` filters what
    the upstream answers; ``allowance`` is the bucket that each such request takes from.
    """

    verified: Verified | None = field(repr=False)
    decision: Decision
    rule: Rule
    head: RequestHead = field(repr=False)
    pool: UpstreamPool
    times: Times
    durations: Histogram
    who: str
    counted: tuple[str, str, str]
    upgrade: bool
    reply: RouteReply
    allowance: Allowance | None

    def towards(self, line: bytes) -> Grant:
        """Return the same for another method and target of the same origin."""
        head = self.head
        return Grant(
            self.verified,
            self.decision,
            self.rule,
            RequestHead(line, head.host, head.fields, head.last_fields, head.until),
            self.pool,
            self.times,
            self.durations,
            self.who,
            self.counted,
            self.upgrade,
            self.reply,
            self.allowance,
        )

    def holds_for(self, verified: Verified | None) -> bool:
        """Tell whether this was granted to that very verification, and is still fit to be sent."""
        if self.verified is not verified:
            return False
        until = self.head.until
        return until == math.inf or until > time.monotonic()
