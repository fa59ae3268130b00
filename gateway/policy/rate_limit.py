"""How often somebody may ask: a token bucket for each, kept as one number (the generic cell rate algorithm)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_network
from typing import Final

from gateway.policy.requirements import IPAddress

# So many keys are remembered in each of two generations: who fills them forgets others' counts, at the price of as many
# addresses or users.
_KEPT: Final = 50_000
_IPV6_PREFIX: Final = 64
# Sums of many intervals are off by a little: less than this, in seconds and in parts of an interval.
_ROUNDING: Final = 1e-5


@dataclass(frozen=True, slots=True)
class RateLimit:
    """``requests`` within ``seconds``, be it all at once; by user, or by address where nobody is signed in."""

    requests: int
    seconds: float
    by_user: bool

    @property
    def policy(self) -> str:
        """The RateLimit-Policy field's item (draft-ietf-httpapi-ratelimit-headers)."""
        return f'"default";q={self.requests};w={math.ceil(self.seconds)}'


class Buckets:
    """The buckets of one route. Times are monotonic seconds that the caller gives."""

    def __init__(self, limit: RateLimit, kept: int = _KEPT) -> None:
        self.limit = limit
        self._kept = kept
        self._interval = limit.seconds / limit.requests
        # When each bucket will be full again; what is not here is full.
        self._young: dict[str, float] = {}
        self._old: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def wait(self, key: str, now: float) -> float:
        """Return in how many seconds ``key`` may ask again; 0: now."""
        full_at = max(self._young.get(key) or self._old.get(key) or now, now)
        wait = full_at - now - (self.limit.seconds - self._interval)
        return wait if wait > max(_ROUNDING, self._interval * _ROUNDING) else 0.0

    def spend(self, key: str, now: float) -> None:
        """Take note that ``key`` has asked."""
        full_at = max(self._young.get(key) or self._old.get(key) or now, now)
        if len(self._young) >= self._kept and key not in self._young:
            self._old = self._young
            self._young = {}
        self._young[key] = full_at + self._interval


def bucket_key(limit: RateLimit, user_id: str | None, ip: IPAddress | None) -> str:
    """Return whose bucket a request takes from. Of IPv6 a /64 counts as one: it is what one customer is given."""
    if limit.by_user and user_id is not None:
        return f"user {user_id}"
    if isinstance(ip, IPv6Address):
        return f"ip {ip_network((ip, _IPV6_PREFIX), strict=False)}"
    return f"ip {ip}"
