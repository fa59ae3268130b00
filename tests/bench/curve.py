"""Latency against offered load: each rate offered to each contender in turn, higher and higher until it is too much."""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tests.bench.load import LoadFailed
from tests.bench.open_loop import LATEST_MS, Order, Seen, offer
from tests.bench.rounds import Bench, Entry

RATES = (500, 1000, 1500, 2000, 3000, 4000, 5000, 6000, 8000, 10000, 12000)
MEMBERS = ("nginx", "envoy", "gateway-jwt")
# Who answers less than this of what is offered, or takes this long, is past its end.
_KEPT_UP = 0.97
_TOO_LONG_MS = 400.0


@dataclass(frozen=True, slots=True)
class Point:
    """One contender at one rate, in its quietest round: what else a machine does can only add to a latency."""

    rate: int
    p50_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class Curve:
    """One contender; ``end`` says why there is no further point."""

    name: str
    what: str
    points: Sequence[Point]
    end: str


def curves(bench: Bench, rates: Sequence[int] = RATES) -> list[Curve]:
    """Offer each rate to all that still keep up, as often as there are rounds; all of one rate before the next."""
    seen: dict[str, dict[int, list[Seen]]] = defaultdict(dict)
    ended: dict[str, str] = {}
    for rate in rates:
        going = [entry for entry in bench.entries if entry.name not in ended]
        for number in range(bench.options.rounds):
            for entry in going:
                if entry.name not in ended:
                    try:
                        seen[entry.name].setdefault(rate, []).append(_offered(bench, entry, rate, number))
                    except LoadFailed as reason:
                        ended[entry.name] = str(reason)
        for entry in going:
            if entry.name not in ended and (why := _end(seen[entry.name][rate])):
                ended[entry.name] = why
        print(f"{rate:,} requests/s offered", file=sys.stderr)
    return [
        Curve(entry.name, entry.contender.what, _points(seen[entry.name]), ended.get(entry.name, ""))
        for entry in bench.entries
    ]


def _offered(bench: Bench, entry: Entry, rate: int, number: int) -> Seen:
    contender, options = entry.contender, bench.options
    order = Order(contender.url, contender.good, rate, options.seconds, options.connections, seed=number)
    return offer(order, bench.cores.load)


def _quietest(rounds: Sequence[Seen]) -> Seen:
    return min(rounds, key=lambda seen: seen.p99_ms)


def _end(rounds: Sequence[Seen]) -> str:
    """Say why a higher rate would show nothing, empty if it would."""
    best = _quietest(rounds)
    if best.late_ms > LATEST_MS:
        return "the load generator can do no more"
    too_much = best.answered < best.offered * _KEPT_UP or best.p99_ms > _TOO_LONG_MS
    return "more is too much for it" if too_much else ""


def _points(rates: dict[int, list[Seen]]) -> list[Point]:
    quietest = [(rate, _quietest(rounds)) for rate, rounds in sorted(rates.items())]
    return [Point(rate, seen.p50_ms, seen.p99_ms) for rate, seen in quietest if seen.late_ms <= LATEST_MS]
