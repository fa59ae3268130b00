"""Metrics for Prometheus. Requests are counted in plain dictionaries and turned into samples when asked for.

No label ever holds a user's name or anything else that clients can choose freely.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)
_SWITCHING: Final = 101
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Histogram:
    """Observations by bucket, in seconds."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        self.counts[bisect_left(BUCKETS, seconds)] += 1
        self.total += seconds

    def buckets(self) -> list[tuple[str, float]]:
        """Return cumulative counts, as the exposition format has them."""
        running = 0
        found: list[tuple[str, float]] = []
        for bound, count in zip([*map(str, BUCKETS), "+Inf"], self.counts, strict=True):
            running += count
            found.append((bound, running))
        return found


class Metrics(Collector):
    """What this process counts. Gauges are asked for when they are read."""

    def __init__(self) -> None:
        self.requests: defaultdict[tuple[str, str, int], int] = defaultdict(int)
        self.durations: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.decisions: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self.authentications: defaultdict[tuple[str, str], int] = defaultdict(int)
        self.tokens: defaultdict[str, int] = defaultdict(int)
        self.upstream_durations: defaultdict[str, Histogram] = defaultdict(Histogram)
        self.in_flight = 0
        self._gauges: list[tuple[str, str, Callable[[], float]]] = []
        self._labelled: list[tuple[str, str, str, Callable[[], Mapping[str, float]]]] = []
        self._counters: list[tuple[str, str, str, Callable[[], Mapping[str, int]]]] = []
        self._collectors: list[Callable[[], Iterator[Metric]]] = []
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        self.requests[route, method if method in _METHODS else "other", status] += 1
        if status != _SWITCHING:  # how long a WebSocket stays open says nothing about answering
            self.durations[route].observe(seconds)

    def gauge(self, name: str, documentation: str, read: Callable[[], float]) -> None:
        """Have ``read`` called whenever the metrics are asked for."""
        self._gauges.append((name, documentation, read))

    def labelled_gauge(
        self, name: str, documentation: str, label: str, read: Callable[[], Mapping[str, float]]
    ) -> None:
        """Have ``read`` called for values by label whenever the metrics are asked for."""
        self._labelled.append((name, documentation, label, read))

    def labelled_counter(
        self, name: str, documentation: str, label: str, read: Callable[[], Mapping[str, int]]
    ) -> None:
        """Have ``read`` called for counts by label whenever the metrics are asked for."""
        self._counters.append((name, documentation, label, read))

    def add(self, collect: Callable[[], Iterator[Metric]]) -> None:
        """Have ``collect`` called for further families whenever the metrics are asked for."""
        self._collectors.append(collect)

    def render(self) -> bytes:
        """Return the text exposition format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        yield self._requests()
        yield _histograms("gateway_http_request_duration_seconds", "Time to answer.", "route", self.durations)
        yield GaugeMetricFamily("gateway_http_requests_in_flight", "Requests being answered.", self.in_flight)
        decisions = CounterMetricFamily(
            "gateway_decisions", "Decisions by route and reason.", labels=["route", "decision", "reason"]
        )
        for labels, count in self.decisions.items():
            decisions.add_metric(list(labels), count)
        yield decisions
        authentications = CounterMetricFamily(
            "gateway_authentications", "Credentials looked at.", labels=["method", "outcome"]
        )
        for pair, count in self.authentications.items():
            authentications.add_metric(list(pair), count)
        yield authentications
        tokens = CounterMetricFamily("gateway_tokens_issued", "Tokens issued.", labels=["grant"])
        for grant, count in self.tokens.items():
            tokens.add_metric([grant], count)
        yield tokens
        name = "gateway_upstream_request_duration_seconds"
        yield _histograms(name, "Time until the upstream had answered.", "upstream", self.upstream_durations)
        for gauge, documentation, read in self._gauges:
            yield GaugeMetricFamily(gauge, documentation, read())
        for gauge, documentation, label, values in self._labelled:
            family = GaugeMetricFamily(gauge, documentation, labels=[label])
            for value, number in values().items():
                family.add_metric([value], number)
            yield family
        for counter, documentation, label, counts in self._counters:
            counted = CounterMetricFamily(counter, documentation, labels=[label])
            for value, number in counts().items():
                counted.add_metric([value], number)
            yield counted
        for collect in self._collectors:
            yield from collect()
        build = GaugeMetricFamily("gateway_build_info", "The version that runs.", labels=["version"])
        build.add_metric([version("auth-gateway")], 1)
        yield build

    def _requests(self) -> CounterMetricFamily:
        family = CounterMetricFamily("gateway_http_requests", "Requests answered.", labels=["route", "method", "code"])
        for (route, method, status), count in self.requests.items():
            family.add_metric([route, method, str(status)], count)
        return family


def _histograms(name: str, documentation: str, label: str, found: dict[str, Histogram]) -> HistogramMetricFamily:
    family = HistogramMetricFamily(name, documentation, labels=[label])
    for value, histogram in found.items():
        family.add_metric([value], buckets=histogram.buckets(), sum_value=histogram.total)
    return family
