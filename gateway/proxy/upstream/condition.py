"""Whether a server is given requests, and how many: a state machine without a clock or a socket of its own.

Times are monotonic seconds that the caller gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

_LONGEST_EJECTION: Final = 10
_LEAST_WEIGHT: Final = 0.1


@dataclass(frozen=True, slots=True)
class Rules:
    """What takes a server out and brings it back. ``ejection_failures`` of 0: requests never do."""

    ejection_failures: int
    ejection_seconds: float
    unhealthy_after: int
    healthy_after: int
    slow_start_seconds: float


@dataclass(slots=True)
class Condition:
    """What requests and checks have told about one server; it is taken to work until they tell otherwise.

    ``suspected`` is whether a request that succeeds is news.
    ``failures`` are requests that failed in a row, ``streak`` checks in a row that contradict ``healthy`` (``why`` is
    what the last bad one said), ``ejections`` how often it was left alone since a request last succeeded.
    """

    rules: Rules
    healthy: bool = True
    suspected: bool = False
    failures: int = 0
    streak: int = 0
    why: str = ""
    ejections: int = 0
    ejected_until: float = -math.inf
    recovered_at: float = -math.inf

    def ejected(self, now: float) -> bool:
        return now < self.ejected_until

    def available(self, now: float) -> bool:
        """Tell whether it should be given requests."""
        return self.healthy and now >= self.ejected_until

    def weight(self, now: float) -> float:
        """Return its share of requests, from above 0 to 1: it grows for a while after the server came back."""
        since = now - max(self.recovered_at, self.ejected_until)
        if since >= self.rules.slow_start_seconds:
            return 1.0
        return max(since / self.rules.slow_start_seconds, _LEAST_WEIGHT)

    def succeeded(self) -> None:
        """Take note of a request that was answered."""
        self.suspected = False
        self.failures = 0
        self.ejections = 0

    def failed(self, now: float) -> bool:
        """Take note of a request that failed. Returns True when the server is to be left alone from now on.

        One that has just come back is on trial: the first request tells.
        """
        if self.ejected(now):
            return False
        self.suspected = True
        self.failures += 1
        on_trial = self.ejections > 0
        if not self.rules.ejection_failures or (self.failures < self.rules.ejection_failures and not on_trial):
            return False
        self.failures = 0
        self.ejections = min(self.ejections + 1, _LONGEST_EJECTION)
        self.ejected_until = now + self.rules.ejection_seconds * self.ejections
        return True

    def checked(self, *, good: bool, why: str, now: float) -> bool:
        """Take note of a check. Returns True when it takes the server out or brings it back."""
        self.why = why
        if good == self.healthy:
            self.streak = 0
            return False
        self.streak += 1
        if self.streak < (self.rules.healthy_after if good else self.rules.unhealthy_after):
            return False
        self.healthy = good
        self.streak = 0
        if good:
            self.succeeded()
            self.ejected_until = -math.inf
            self.recovered_at = now
        return True
