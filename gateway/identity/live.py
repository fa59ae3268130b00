"""Connections that outlive their request's decision: WebSockets and long streams. A revocation closes them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable

from gateway.identity.verified import Dependency, Verified

Close = Callable[[], None]


class LiveConnections:
    """Knows how to close what rests on a dependency."""

    def __init__(self) -> None:
        self._closers: defaultdict[Dependency, dict[object, Close]] = defaultdict(dict)

    def __len__(self) -> int:
        return len({token for closers in self._closers.values() for token in closers})

    def register(self, verified: Verified, close: Close) -> Callable[[], None]:
        """Have ``close`` called when the credential loses its ground. Returns what ends the registration."""
        token = object()
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
        for close in tuple(self._closers.get(dependency, {}).values()):
            close()

    def close_all(self) -> None:
        """Close everything that rests on a credential."""
        closers = {token: close for each in self._closers.values() for token, close in each.items()}
        for close in closers.values():
            close()
