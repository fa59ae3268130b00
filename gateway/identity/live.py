"""Connections that outlive their request's decision: WebSockets and long streams.

A revocation closes them, and so does the end of their credential.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable

from gateway.clock import Clock
from gateway.identity.ledger import RevocationLedger
from gateway.identity.verified import Dependency, Verified

Close = Callable[[], None]
_log = logging.getLogger(__name__)


class LiveConnections:
    """Knows how to close what rests on a dependency, or on a credential that ends by itself."""

    def __init__(self, ledger: RevocationLedger, clock: Clock) -> None:
        self._ledger = ledger
        self._clock = clock
        self._closers: defaultdict[Dependency, dict[object, Close]] = defaultdict(dict)

    def __len__(self) -> int:
        return len({token for closers in self._closers.values() for token in closers})

    def register(self, verified: Verified, close: Close) -> Callable[[], None]:
        """Have ``close`` called when the credential ends or loses its ground. Returns what ends the registration.

        Where that happened between the decision and now, ``close`` is called as soon as the caller has let go.
        """
        token = object()
        loop = asyncio.get_running_loop()
        left = verified.ends_at - self._clock.monotonic()
        end = loop.call_later(max(left, 0), close) if left != math.inf else None
        if self._ledger.revoked_since(verified.depends_on, verified.began):
            loop.call_soon(close)
        for dependency in verified.depends_on:
            self._closers[dependency][token] = close

        def unregister() -> None:
            if end is not None:
                end.cancel()
            for dependency in verified.depends_on:
                closers = self._closers.get(dependency)
                if closers is None:
                    continue
                closers.pop(token, None)
                if not closers:
                    del self._closers[dependency]

        return unregister

    def close(self, dependency: Dependency) -> None:
        """Close all that rests on ``dependency``."""
        _close_each(tuple(self._closers.get(dependency, {}).values()))

    def close_all(self) -> None:
        """Close everything that rests on a credential."""
        closers = {token: close for each in self._closers.values() for token, close in each.items()}
        _close_each(closers.values())


def _close_each(closers: Iterable[Close]) -> None:
    for close in closers:
        try:
            close()
        except Exception:  # one connection that cannot be closed must not keep the others open
            _log.exception("a connection could not be closed")
