"""Connections that outlive their request's decision: WebSockets and long streams. A revocation closes them."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable

from gateway.identity.ledger import RevocationLedger
from gateway.identity.verified import Dependency, Verified

Close = Callable[[], None]
_log = logging.getLogger(__name__)


class LiveConnections:
    """Knows how to close what rests on a dependency."""

    def __init__(self, ledger: RevocationLedger) -> None:
        self._ledger = ledger
        self._closers: defaultdict[Dependency, dict[object, Close]] = defaultdict(dict)

    def __len__(self) -> int:
        return len({token for closers in self._closers.values() for token in closers})

    def register(self, verified: Verified, close: Close) -> Callable[[], None]:
        """Have ``close`` called when the credential loses its ground. Returns what ends the registration.

        Where that happened between the decision and now, ``close`` is called as soon as the caller has let go.
        """
        token = object()
        if self._ledger.revoked_since(verified.depends_on, verified.began):
            asyncio.get_running_loop().call_soon(close)
        for dependency in verified.depends_on:
            self._closers[dependency][token] = close

        def unregister() -> None:
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
