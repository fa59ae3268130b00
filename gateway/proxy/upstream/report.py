"""How the upstreams do, for metrics and for people."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from gateway.proxy.upstream.condition import Condition
from gateway.proxy.upstream.pool import UpstreamPool
from gateway.proxy.upstream.server import Server


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
                state = _state(server.condition, now)
                yield f"upstream {pool.name} {server.url}: {state}, {server.in_flight} in flight"
            if pool.waiting:
                yield f"upstream {pool.name}: {pool.waiting} waiting"

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics' families."""
        yield self._gauge("up", "1 while a server works, as far as is known.", self._is_up)
        yield self._gauge("requests_in_flight", "Requests and WebSockets at a server.", lambda each: each.in_flight)
        yield self._gauge("idle_connections", "Connections kept open to a server.", lambda each: len(each.idle))
        yield self._counter("failures", "Requests that failed by a server's doing.", lambda each: each.failures)
        yield self._counter("ejections", "Times that a server was left alone for a while.", lambda each: each.ejections)
        queue = GaugeMetricFamily("gateway_upstream_queue", "Requests that wait for room.", labels=["upstream"])
        refused = CounterMetricFamily(
            "gateway_upstream_refused", "Requests answered with 503 for want of a server.", labels=["upstream"]
        )
        for pool in self._pools:
            queue.add_metric([pool.name], pool.waiting)
            refused.add_metric([pool.name], pool.refused)
        yield from (queue, refused)

    def _is_up(self, server: Server) -> float:
        return float(server.condition.available(self._clock()))

    def _gauge(self, name: str, documentation: str, read: Callable[[Server], float]) -> Metric:
        family = GaugeMetricFamily(f"gateway_upstream_{name}", documentation, labels=["upstream", "server"])
        return self._filled(family, read)

    def _counter(self, name: str, documentation: str, read: Callable[[Server], float]) -> Metric:
        family = CounterMetricFamily(f"gateway_upstream_{name}", documentation, labels=["upstream", "server"])
        return self._filled(family, read)

    def _filled(self, family: GaugeMetricFamily | CounterMetricFamily, read: Callable[[Server], float]) -> Metric:
        for pool in self._pools:
            for server in pool.servers:
                family.add_metric([pool.name, server.url], read(server))
        return family


def _state(condition: Condition, now: float) -> str:
    if not condition.healthy:
        return f"out ({condition.why})" if condition.why else "out (not good for long enough)"
    if condition.ejected(now):
        return f"left alone for {math.ceil(condition.ejected_until - now)} s, it failed requests"
    return "up" if condition.weight(now) >= 1 else "up, starting slowly"
