"""One server of an upstream: where it is, how it does, and the connections to it that rest."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.upstream.balance import seed_of
from gateway.proxy.upstream.condition import Condition
from gateway.proxy.upstream.connector import Connector


@dataclass(slots=True, eq=False)
class Server:
    """``in_flight`` counts requests and tunnels, ``failures`` and ``ejections`` all there ever were."""

    connector: Connector
    condition: Condition
    in_flight: int = 0
    failures: int = 0
    ejections: int = 0
    idle: deque[UpstreamConnection] = field(repr=False, default_factory=deque)
    seed: int = field(init=False)

    def __post_init__(self) -> None:
        self.seed = seed_of(self.connector.url)

    @property
    def url(self) -> str:
        return self.connector.url

    def kept(self) -> UpstreamConnection | None:
        """Return a connection that rests here, the one used last: the others may then grow old and be closed."""
        idle = self.idle
        while idle:
            connection = idle.pop()
            if connection.usable:
                return connection
        return None

    async def connect(self, seconds: float) -> UpstreamConnection:
        """Open a connection within so many seconds. Raises UpstreamUnreachable or UpstreamTimeout."""
        return await self.connector.connect(seconds)

    def close_idle(self, older_than: float) -> None:
        """Close what has rested since before ``older_than``, by the loop's clock, or at an address that is gone."""
        idle = self.idle
        while idle and idle[0].last_used < older_than:
            idle.popleft().close()
        for connection in [each for each in idle if not self.connector.leads_to(each.address)]:
            idle.remove(connection)
            connection.close()

    def close_all(self) -> None:
        """Close all that rests."""
        while self.idle:
            self.idle.popleft().close()
