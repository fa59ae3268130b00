"""How the upstreams do, for metrics and for people."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import GaugeMetricFamily, Metric

from gateway.proxy.upstream.pool import UpstreamPool


class UpstreamReport:
    """Reads the pools whenever it is asked."""

    def __init__(self, pools: Iterable[UpstreamPool], clock: Callable[[], float] = time.monotonic) -> None:
        self._pools = tuple(pools)
        self._clock = clock

    def lines(self) -> Iterator[str]:
        """Yield a line for each server: whether it is used, and how much it has to do."""
        now = self._clock()
        for pool in self._pools:
            for server in pool.servers:
                condition = server.condition
                state = "out" if not condition.healthy else "left alone" if condition.ejected(now) else "up"
                yield f"upstream {pool.name} {server.url}: {state}, {server.in_flight} in flight"
            if pool.waiting:
                yield f"upstream {pool.name}: {pool.waiting} waiting"

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics' families."""
        labels = ["upstream", "server"]
        up = GaugeMetricFamily("gateway_upstream_up", "1 while a server is given requests.", labels=labels)
        in_flight = GaugeMetricFamily(
            "gateway_upstream_requests_in_flight", "Requests and WebSockets at a server.", labels=labels
        )
        idle = GaugeMetricFamily(
            "gateway_upstream_idle_connections", "Connections kept open to a server.", labels=labels
        )
        queue = GaugeMetricFamily("gateway_upstream_queue", "Requests that wait for room.", labels=labels[:1])
        now = self._clock()
        for pool in self._pools:
            queue.add_metric([pool.name], pool.waiting)
            for server in pool.servers:
                names = [pool.name, server.url]
                up.add_metric(names, float(server.condition.available(now)))
                in_flight.add_metric(names, server.in_flight)
                idle.add_metric(names, len(server.idle))
        yield from (up, in_flight, idle, queue)
