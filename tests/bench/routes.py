"""``python -m tests.bench.routes``: what finding the route costs with ten routes and with ten thousand, in one process.

Both tables are asked the same number of requests, spread over the whole table, in turns, so that what the machine does
meanwhile falls on both. A ratio is the median of the ratios within each round; one above 1.2 is a failure.
"""

from __future__ import annotations

import gc
import json
import random
import re
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from multidict import CIMultiDict

from gateway.config.load import load_settings
from gateway.config.rules import compile_rules
from gateway.policy.path_pattern import parse_pattern
from gateway.policy.rules import Match, Rule, RuleTable
from gateway.policy.target import Target, parse_target

FEW, MANY = 10, 10_000
ASKED = 10
ALLOWED = 1.2
_ROUNDS, _LOOPS = 15, 300
_ONE_HOST = "app.example.com"

Headers = CIMultiDict[str]
Question = tuple[Target, Headers]


@dataclass(frozen=True)
class Shape:
    """A kind of table: the ``n``-th route of so many, and a request that it answers."""

    name: str
    match: Callable[[int], Match]
    question: Callable[[int], Question]


def _ask(path: str, host: str = _ONE_HOST, method: str = "GET", **fields: str) -> Question:
    return parse_target(method, path, host, "https"), CIMultiDict(fields)


def _on_one_host(path: str, **given: object) -> Match:
    return Match(hosts=(_ONE_HOST,), paths=(parse_pattern(path),), **given)  # type: ignore[arg-type]


def _mixed(n: int) -> Match:
    host = (f"h{n // 10}.example.com",)
    methods = frozenset({("GET", "POST")[n % 2]})
    kinds = (
        Match(host, (parse_pattern(f"/lit/p{n}"),)),
        Match(host, (parse_pattern(f"/any/p{n}/**"),)),
        Match(host, (parse_pattern(f"/*/star{n}/**"),)),
        Match(host, regex=re.compile(rf"/re/p{n}/[a-z]+")),
        Match(host, (parse_pattern(f"/m/p{n // 2}"),), methods=methods),
        Match((f"*.w{n}.example.com",)),
        Match(host, (parse_pattern("/tenant/**"),), headers=(("X-Tenant", str(n % 3)),)),
        Match(host, (parse_pattern(f"/a/b/c/d/p{n}"),)),
        Match(host, (parse_pattern(f"/lit/p{n}/{n}"), parse_pattern(f"/other/p{n}"))),
        Match(host, (parse_pattern("/**"),)),
    )
    return kinds[n % len(kinds)]


def _mixed_question(n: int) -> Question:
    host = f"h{n // 10}.example.com"
    paths = (
        f"/lit/p{n}",
        f"/any/p{n}/x/y",
        f"/q/star{n}/z",
        f"/re/p{n}/abc",
        f"/m/p{n // 2}",
        "/",
        "/tenant/a",
        f"/a/b/c/d/p{n}",
        f"/lit/p{n}/{n}",
        "/whatever/else",
    )
    kind = n % len(paths)
    if kind == 5:
        host = f"x.w{n}.example.com"
    return _ask(paths[kind], host, ("GET", "POST")[n % 2], **{"X-Tenant": str(n % 3)})


SHAPES: Sequence[Shape] = (
    Shape("a host each", lambda n: Match((f"h{n}.example.com",)), lambda n: _ask("/a/b", f"h{n}.example.com")),
    Shape("a wildcard host each", lambda n: Match((f"*.h{n}.test",)), lambda n: _ask("/a", f"x.h{n}.test")),
    Shape("literal paths, one host", lambda n: _on_one_host(f"/app/p{n}"), lambda n: _ask(f"/app/p{n}")),
    Shape("prefixes, one host", lambda n: _on_one_host(f"/app/p{n}/**"), lambda n: _ask(f"/app/p{n}/x/y")),
    Shape("stars, one host", lambda n: _on_one_host(f"/*/p{n}/**"), lambda n: _ask(f"/z/p{n}/x")),
    Shape(
        "regexes with a beginning of their own, one host",
        lambda n: Match((_ONE_HOST,), regex=re.compile(rf"/app/p{n}/[a-z]+")),
        lambda n: _ask(f"/app/p{n}/abc"),
    ),
    Shape(
        "methods, one host",
        lambda n: _on_one_host(f"/p{n // 2}", methods=frozenset({("GET", "POST")[n % 2]})),
        lambda n: _ask(f"/p{n // 2}", method=("GET", "POST")[n % 2]),
    ),
    Shape(
        "header values, one path",
        lambda n: _on_one_host("/app/**", headers=(("X-Tenant", f"t{n}"),)),
        lambda n: _ask("/app/x", **{"X-Tenant": f"t{n}"}),
    ),
    Shape(
        "regexes that begin alike, one host",
        lambda n: Match((_ONE_HOST,), regex=re.compile(rf"/app/p{n}-[a-z]+")),
        lambda n: _ask(f"/app/p{n}-abc"),
    ),
    Shape("of every kind, ten on each host", _mixed, _mixed_question),
)


@dataclass(frozen=True)
class Cost:
    """Microseconds of one search in a table of few and of many routes."""

    name: str
    few_us: float
    many_us: float
    ratio: float


def table(shape: Shape, count: int) -> RuleTable:
    return RuleTable.compile(Rule(index=n, name=f"r{n}", match=shape.match(n)) for n in range(count))


def questions(shape: Shape, count: int) -> list[Question]:
    """Return requests spread over the table; each finds a route."""
    step = count // ASKED
    return [shape.question(n * step + (n % step)) for n in range(ASKED)]


def compare(shape: Shape, rounds: int = _ROUNDS, loops: int = _LOOPS) -> Cost:
    """Measure one kind of table in two sizes. Raises LookupError when a request finds no route."""
    asks = []
    for count in (FEW, MANY):
        rules, asked = table(shape, count), questions(shape, count)
        if any(rules.find(*question) is None for question in asked):
            raise LookupError(shape.name)
        asks.append(partial(_search, rules, asked))
    times = [[_seconds(ask, loops) / loops / ASKED * 1e6 for ask in asks] for _ in range(rounds)]
    few, many = (statistics.median(column) for column in zip(*times, strict=True))
    return Cost(shape.name, few, many, statistics.median(many / few for few, many in times))


def _search(rules: RuleTable, asked: Sequence[Question]) -> None:
    find = rules.find
    for target, headers in asked:
        find(target, headers)


def _seconds(work: Callable[[], None], loops: int) -> float:
    started = time.process_time()
    for _ in range(loops):
        work()
    return time.process_time() - started


# --- loading, and reading a request line ---


def configuration(count: int) -> str:
    """Return a configuration with so many routes, as a file would give them."""
    routes = [
        {
            "name": f"r{n}",
            "match": {"host": [f"h{n // 10}.example.com"], "path": [f"/app/p{n}/**"]},
            "require": {"roles": [f"team{n % 50}"]},
            "upstream": "app",
        }
        for n in range(count)
    ]
    head = "version: 1\nserver: {public_url: 'https://portal.example.com'}\n"
    upstream = "upstreams: {app: {servers: ['http://127.0.0.1:9']}}\nroutes:\n"
    return head + upstream + "".join(f"  - {json.dumps(route)}\n" for route in routes)


def loading(directory: Path, count: int) -> Mapping[str, float]:
    """Return the seconds that each step from a file to a table takes."""
    path = directory / f"routes-{count}.yaml"
    path.write_text(configuration(count), encoding="utf-8")
    started = time.process_time()
    loaded = load_settings(path, {})
    read = time.process_time()
    compile_rules(loaded.settings, loaded.origins)
    return {"read and checked": read - started, "compiled": time.process_time() - read}


def reading() -> Mapping[str, float]:
    """Return microseconds for reading a target: known, new by its path, new by its query, with escapes."""
    numbers = random.Random(1)

    def us(make: Callable[[int], str], loops: int = 20_000) -> float:
        paths = [make(n) for n in range(loops)]
        started = time.process_time()
        for path in paths:
            parse_target("GET", path, _ONE_HOST, "https")
        return (time.process_time() - started) / loops * 1e6

    salt = numbers.getrandbits(40)
    return {
        "seen before": us(lambda _: "/app/known"),
        "new path": us(lambda n: f"/app/{salt}/{n}"),
        "known path, new query": us(lambda n: f"/app/known?page={n}"),
        "new path with escapes": us(lambda n: f"/app/{salt}%20{n}"),
    }


def main() -> int:
    gc.freeze()
    gc.disable()
    print(f"| routes | {FEW}, us | {MANY:,}, us | ratio |\n| --- | ---: | ---: | ---: |")
    worst = 0.0
    for shape in SHAPES:
        cost = compare(shape)
        worst = max(worst, cost.ratio)
        print(f"| {cost.name} | {cost.few_us:.2f} | {cost.many_us:.2f} | {cost.ratio:.2f} |", flush=True)
    gc.enable()
    with TemporaryDirectory(prefix="bench-routes-") as name:
        for step, seconds in loading(Path(name), MANY).items():
            print(f"{MANY:,} routes {step}: {seconds:.2f} s")
    for what, us in reading().items():
        print(f"request line, {what}: {us:.2f} us")
    return int(worst > ALLOWED)


if __name__ == "__main__":
    sys.exit(main())
