"""Rate limits as requests meet them."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

from gateway.policy.rate_limit import Buckets
from gateway.problem import Problem
from gateway.refusal import Refused


class Allowance(NamedTuple):
    """The bucket that a kind of request takes from."""

    buckets: Buckets
    key: str

    def open(self) -> bool:
        """Tell whether a request may pass now."""
        return self.buckets.wait(self.key, time.monotonic()) <= 0

    def spend(self) -> None:
        """Take note of a request that passes."""
        self.buckets.spend(self.key, time.monotonic())

    def take(self) -> None:
        """Let a request pass. Raises Refused with 429 when there were too many."""
        now = time.monotonic()
        wait = math.ceil(self.buckets.wait(self.key, now))
        if wait > 0:
            fields = {
                "Retry-After": str(wait),
                "RateLimit-Policy": self.buckets.limit.policy,
                "RateLimit": f'"default";r=0;t={wait}',
            }
            detail = "This was asked for too often. Wait, then try again."
            raise Refused(Problem(429, "rate_limited", detail, headers=fields))
        self.buckets.spend(self.key, now)
