"""The first route that matches, found without asking them all."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.policy import path_pattern
from gateway.policy.explain import first_miss
from gateway.policy.path_pattern import literal_prefix, parse_pattern
from gateway.policy.presets import HeaderTemplate, IdentitySpec
from gateway.policy.rules import Match, Rule, RuleTable
from gateway.policy.target import Target
from tests.policy.asking import NO_HEADERS, ask, found, headers, match, table

PATTERNS = [
    ("/admin", "/admin", True),
    ("/admin", "/admin/", True),
    ("/admin/", "/admin", True),
    ("/admin", "/admin/x", False),
    ("/admin", "/administrator", False),
    ("/admin", "/Admin", False),
    ("/admin", "/%61dmin", True),
    ("/admin", "/admin;x=1", True),
    ("/admin", "/admin%3Bx", True),
    ("/admin", "/admin?x", True),
    ("/admin/**", "/admin", True),
    ("/admin/**", "/admin/", True),
    ("/admin/**", "/admin/x/y", True),
    ("/admin/**", "/admin;x/y", True),
    ("/admin/**", "/administrator", False),
    ("/admin/**", "/", False),
    ("/**", "/", True),
    ("/**", "/a/b", True),
    ("/", "/", True),
    ("/", "/a", False),
    ("/*", "/a", True),
    ("/*", "/a/", True),
    ("/*", "/", False),
    ("/*", "/a/b", False),
    ("/a/*/c", "/a/b/c", True),
    ("/a/*/c", "/a/c", False),
    ("/a/*/**", "/a", False),
    ("/a/*/**", "/a/b", True),
    ("/a/*/**", "/a/b/c/d", True),
    ("/café", "/caf%C3%A9", True),
    ("/caf%C3%A9", "/caf%C3%A9", True),
    ("/a b", "/a%20b", True),
    ("/%2A", "/*", True),
    ("/%2A", "/a", False),
    ("/*", "/*", True),
]


@pytest.mark.parametrize(("pattern", "path", "matches"), PATTERNS)
def test_path_pattern(pattern: str, path: str, matches: bool) -> None:
    assert parse_pattern(pattern).matches(ask(path).segments) is matches
    assert found(table(match(pattern)), ask(path)) == ("r0" if matches else None)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "/\x00",
        "/a\\b",
        *[
            "admin",
            "/a*",
            "/*.js",
            "/**/a",
            "/a/**/b",
            "/a**",
            "/a//b",
            "/a/../b",
            "/a;x",
            "/a?b",
            "/a#b",
            "/%2e%2e",
            "/a%2fb",
            "/100%",
            "//**",
            "/a/***",
            "**",
        ],
    ],
)
def test_pattern_that_could_match_nothing_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse_pattern(pattern)


HOSTS = [
    ("wiki.example.com", "wiki.example.com", True),
    ("wiki.example.com", "WIKI.example.com.:8443", True),
    ("wiki.example.com", "wiki.example.com.evil.test", False),
    ("wiki.example.com", "evilwiki.example.com", False),
    ("*.example.com", "wiki.example.com", True),
    ("*.example.com", "a.b.example.com", True),
    ("*.example.com", "example.com", False),
    ("*.example.com", "badexample.com", False),
    ("*.example.com", "wiki.example.com.", True),
    ("[::1]", "[0:0::1]:80", True),
    ("127.0.0.1", "127.0.0.1:5", True),
]


@pytest.mark.parametrize(("pattern", "host", "matches"), HOSTS)
def test_host_pattern(pattern: str, host: str, matches: bool) -> None:
    rules = table(Match(hosts=(pattern,)))
    for _ in range(2):  # the second time from the cache
        assert found(rules, ask("/", host=host)) == ("r0" if matches else None)


def test_the_first_route_of_the_file_wins_whatever_names_the_host_or_path_best() -> None:
    rules = table(
        match("/a/b", hosts=("x.wiki.example.com",)),
        match("/a/**"),
        match("/a/b", hosts=("wiki.example.com",)),
        match("/**", hosts=("*.example.com",)),
        Match(),
        match("/c"),
    )
    assert found(rules, ask("/a/b")) == "r1"
    assert found(rules, ask("/a/b", host="x.wiki.example.com")) == "r0"
    assert found(rules, ask("/c")) == "r3"
    assert found(rules, ask("/c", host="other.test")) == "r4"


def test_methods_are_told_apart() -> None:
    rules = table(match("/a", methods=frozenset({"GET", "POST"})), match("/a"))
    assert found(rules, ask("/a")) == "r0"
    assert found(rules, ask("/a", method="HEAD")) == "r1"
    assert found(rules, ask("/a", method="DELETE")) == "r1"


@pytest.mark.parametrize(
    ("sent", "matches"),
    [
        ([("X-Tenant", "blue")], True),
        ([("x-tenant", "blue")], True),
        ([], False),
        ([("X-Tenant", "Blue")], False),
        ([("X-Tenant", "blue ")], False),
        # the upstream may read the other one
        ([("X-Tenant", "blue"), ("X-Tenant", "red")], False),
        ([("X-Tenant", "blue"), ("x-tenant", "blue")], False),
        ([("X-Tenant", "blue, red")], False),
        ([("X_Tenant", "blue")], False),
    ],
    ids=str,
)
def test_header_is_sent_once_with_that_value(sent: list[tuple[str, str]], matches: bool) -> None:
    rules = table(Match(headers=(("X-Tenant", "blue"),)))
    assert found(rules, ask("/"), headers(*sent)) == ("r0" if matches else None)


@pytest.mark.parametrize(
    ("regex", "path", "matches"),
    [
        (r"/a/\d+", "/a/12", True),
        (r"/a/\d+", "/a/12/b", False),
        (r"/a/\d+", "/x/a/12", False),
        (r"/a/\d+/?", "/a/12/", True),
        (r"/a/.*", "/a/b;x/c", True),
        (r"/a/b c", "/a/b%20c", True),
        (r"/caf.", "/caf%C3%A9", True),
        (r"^/a$", "/a", True),
        (r"/a|/b", "/b", True),
        (r"/a|/b", "/a/x", False),
        (r"/", "/", True),
        (r"(?i)/ADMIN.*", "/admin/x", True),
        (r"/a?/b", "/b", False),
        (r"/xa?/b", "/x/b", True),
        (r"/x/y*z", "/x/z", True),
    ],
)
def test_regex_matches_the_whole_decoded_path(regex: str, path: str, matches: bool) -> None:
    rules = table(Match(regex=re.compile(regex)))
    assert found(rules, ask(path)) == ("r0" if matches else None)


@pytest.mark.parametrize(
    ("regex", "prefix"),
    [
        (r"/api/v1/.*", "/api/v1/**"),
        (r"^/api/v1/[0-9]+$", "/api/v1/**"),
        (r"/api/(a|b)/c", "/api/**"),
        (r"/api/(?:a|b)", "/api/**"),
        (r"/api/v1", "/api/**"),
        (r"/api/v1?", "/api/**"),
        (r"/api/?", "/**"),
        (r"/api/{2}x", "/**"),
        (r"/a/b|/c", "/**"),
        (r"/a/(b)|/c", "/**"),
        (r"/a/[(]b|/c", "/**"),
        (r"/a/\(b|/c", "/**"),
        (r"/a/(?#()b|/c", "/**"),
        (r"(?i)/a/b", "/**"),
        (r".*", "/**"),
        (r"", "/**"),
    ],
)
def test_regex_stands_below_its_literal_beginning(regex: str, prefix: str) -> None:
    pattern = literal_prefix(regex)
    assert pattern.text == prefix
    assert pattern.any_rest


def test_pattern_that_names_no_path_matches_none() -> None:
    assert found(table(), ask("/")) is None


def test_index_must_be_the_place() -> None:
    with pytest.raises(ValueError, match="has index 3"):
        RuleTable.compile([Rule(index=3, name="x")])


def test_table_tells_hosts_and_headers_that_routes_name() -> None:
    spec = IdentitySpec(headers=(HeaderTemplate("X-Team", ("a",)),))
    rules = RuleTable.compile(
        [
            Rule(0, "a", Match(hosts=("a.example", "*.b.example"), headers=(("X-Tenant", "1"),))),
            Rule(1, "b", Match(), identity=spec),
        ]
    )
    hosts = ["a.example", "x.b.example", "b.example", "xb.example", "c.example", "x.a.example"]
    assert [host in rules.hosts for host in hosts] == [True, True, False, False, False, False]
    assert {"x-team", "remote-user", "x-forwarded-user", "x-gateway-assertion"} <= rules.identity_headers
    assert rules.match_headers == {"x-tenant"}
    assert "a.example" not in table(Match()).hosts


# --- the table against a reading that asks every route ---

NAMES = st.sampled_from(["a", "b", "c"])
HOST_NAMES = st.sampled_from(["h.test", "x.h.test", "y.x.h.test", "other.test"])
HOST_PATTERNS = st.sampled_from(["h.test", "x.h.test", "*.h.test", "*.x.h.test", "*.test"])
PATH_PATTERNS = st.builds(
    lambda parts, rest: "/" + "/".join(parts + rest),
    st.lists(st.sampled_from(["a", "b", "*"]), max_size=3),
    st.sampled_from([[], ["**"]]),
)
REGEXES = st.sampled_from(["/a/.*", "/a|/b/.*", "/(a|b)/c?", ".*", "/a/b", "(?i)/A", "/a/(b|c)/", "/ab?/c"])
MATCHES = st.builds(
    lambda hosts, paths, regex, methods, sent: Match(
        tuple(hosts),
        tuple(parse_pattern(path) for path in paths),
        re.compile(regex) if regex else None,
        frozenset(methods),
        tuple(sent),
    ),
    st.lists(HOST_PATTERNS, max_size=2),
    st.lists(PATH_PATTERNS, max_size=2),
    st.none() | st.none() | REGEXES,
    st.just(()) | st.lists(st.sampled_from(["GET", "POST"]), max_size=1),
    st.just(()) | st.just((("X-A", "1"),)),
)
TARGETS = st.builds(
    lambda host, names, slash, method: ask(
        ("/" + "/".join(names) + ("/" if slash and names else "")), host=host, method=method
    ),
    HOST_NAMES,
    st.lists(NAMES, max_size=4),
    st.booleans(),
    st.sampled_from(["GET", "POST"]),
)
SENT = st.sampled_from([headers(), headers(("X-A", "1")), headers(("X-A", "2")), headers(("X-A", "1"), ("X-A", "1"))])


def naively(one: Match, target: Target, sent: CIMultiDict[str]) -> bool:
    """Match by regular expressions over the URL: another way than the table's, and than ``explain``'s."""

    def host_regex(pattern: str) -> str:
        return re.escape(pattern).replace(r"\*", r"[^/]+", 1)

    def path_regex(pattern: str) -> str:
        parts = ["[^/]+" if part == "*" else re.escape(part) for part in pattern.split("/")[1:]]
        if parts[-1] == re.escape("**"):
            return "".join(f"/{part}" for part in parts[:-1]) + "(?:/.*)?"
        return "/" + "/".join(parts)

    path = "/" + "/".join(target.segments)
    return (
        (not one.hosts or any(re.fullmatch(host_regex(host), target.host) for host in one.hosts))
        and (not one.paths or any(re.fullmatch(path_regex(p.text), path) for p in one.paths))
        and (one.regex is None or bool(one.regex.fullmatch(target.decoded_path)))
        and (not one.methods or target.method in one.methods)
        and all(sent.getall(name, []) == [value] for name, value in one.headers)
    )


@given(st.lists(MATCHES, max_size=12), TARGETS, SENT)
def test_the_table_finds_what_asking_each_route_in_order_finds(
    matches: list[Match], target: Target, sent: CIMultiDict[str]
) -> None:
    expected = next((f"r{at}" for at, one in enumerate(matches) if naively(one, target, sent)), None)
    assert found(table(*matches), target, sent) == expected


CROWDED = st.builds(
    lambda path, regex, methods, sent: Match(
        paths=(parse_pattern(path),) if path else (),
        regex=re.compile(regex) if regex else None,
        methods=frozenset(methods),
        headers=tuple(sent),
    ),
    st.sampled_from(["/a/**", "/a/b", None]),
    st.none()
    | st.builds(
        lambda start, end: start + end,
        st.sampled_from(["/a/b", "/a/bc", "/a/b/c", "/a/", "/a/b?c", "^/a/b", "(?i)/A/", "/a/c|/a/b"]),
        st.sampled_from(["", ".*", "[a-c]*", "c?", "/.*", "(c|d)?", "{1}"]),
    ),
    st.just(()) | st.lists(st.sampled_from(["GET", "POST"]), max_size=2),
    st.lists(st.tuples(st.sampled_from(["X-A", "x-a", "X-B"]), st.sampled_from(["1", "2", "3"])), max_size=2),
)
CROWD_SENT = st.lists(
    st.tuples(st.sampled_from(["X-A", "x-a", "X-B"]), st.sampled_from(["1", "2", "3", "1, 2"])), max_size=3
).map(CIMultiDict)
CROWD_TARGETS = st.builds(
    lambda path, method: ask(path, method=method),
    st.sampled_from(["/a/b", "/a/bc", "/a/bcd", "/a/b/", "/a/b/c", "/a/c", "/a", "/a/d"]),
    st.sampled_from(["GET", "POST"]),
)


@settings(max_examples=300)
@given(st.lists(CROWDED, min_size=10, max_size=60), CROWD_TARGETS, CROWD_SENT)
def test_a_crowd_at_one_place_is_asked_as_if_one_after_the_other(
    matches: list[Match], target: Target, sent: CIMultiDict[str]
) -> None:
    expected = next((f"r{at}" for at, one in enumerate(matches) if naively(one, target, sent)), None)
    assert found(table(*matches), target, sent) == expected


@pytest.mark.parametrize("path", ["/a/**", "/a/b"])
def test_a_crowd_keeps_the_order_of_the_file(path: str) -> None:
    """Whichever way a rule is told apart by: each stands first once, among many that do not match."""
    ways = [
        match(path, headers=(("X-A", "1"),)),
        match(path, headers=(("X-B", "1"),)),
        match(path, methods=frozenset({"GET"})),
        *([Match(regex=re.compile(regex)) for regex in ("/a/b", "/a/.*")] if path == "/a/**" else []),
    ]
    others = [match(path, headers=(("X-A", f"no{n}"),)) for n in range(10)]
    for first in ways:
        rest = [way for way in ways if way is not first]
        rules = table(*others[:5], first, *others[5:], *rest)
        assert found(rules, ask("/a/b"), headers(("X-A", "1"), ("X-B", "1"))) == "r5"


@given(st.lists(MATCHES, max_size=6), TARGETS, SENT)
def test_explain_misses_exactly_what_does_not_match(
    matches: list[Match], target: Target, sent: CIMultiDict[str]
) -> None:
    for one in matches:
        assert (first_miss(one, target, sent) == ("", "")) is naively(one, target, sent)


# --- cost ---


def steps(work: Callable[[], object]) -> int:
    """Count the lines of Python that ``work`` runs: a measure that no busy machine disturbs."""
    count = 0

    def trace(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


MAKERS: dict[str, Callable[[int], Match]] = {
    "hosts": lambda n: Match(hosts=(f"h{n}.test",)),
    "wildcards": lambda n: Match(hosts=(f"*.h{n}.test",)),
    "paths": lambda n: match(f"/app/p{n}/**"),
    "exact paths": lambda n: match(f"/app/p{n}/x"),
    "hosts and paths": lambda n: match(f"/p{n % 100}/**", hosts=(f"h{n // 100}.test",)),
    "starred paths": lambda n: match(f"/*/p{n}/**"),
    "regexes": lambda n: Match(regex=re.compile(rf"/app/p{n}/[a-z]+")),
    "header values": lambda n: match("/app/**", headers=(("X-Tenant", f"t{n}"),)),
    "header values at one path": lambda n: match("/p7", headers=(("X-Tenant", f"t{n}"),)),
    "rare header values": lambda n: match("/app/**", headers=(("X-A", "1"), ("X-Tenant", f"t{n}"))),
    "regexes that begin alike": lambda n: Match(regex=re.compile(rf"/app/p{n}-[a-z]+")),
    "the same again": lambda n: match("/app/**", headers=(("X-Tenant", f"t{n % 3}"),)),
    "methods": lambda n: match(f"/p{n // 2}", methods=frozenset({("GET", "POST")[n % 2]})),
}
REQUESTS = [
    ask("/app/p7/x"),
    ask("/app/p7-x"),
    ask("/p7"),
    ask("/z/p9/q", host="h8.test"),
    ask("/p7/x", host="h0.test"),
    ask("/", host="a.h3.test"),
    ask("/nowhere", host="nowhere.test"),
]


TENANT = headers(("X-Tenant", "t7"), ("X-A", "1"))


@pytest.mark.parametrize("kind", MAKERS)
def test_ten_thousand_routes_take_the_steps_of_ten(kind: str) -> None:
    few = table(*(MAKERS[kind](n) for n in range(10)))
    many = table(*(MAKERS[kind](n) for n in range(10_000)))
    worst_of_few = max(steps(partial(few.find, request, TENANT)) for request in REQUESTS)
    worst_of_many = max(steps(partial(many.find, request, TENANT)) for request in REQUESTS)
    assert worst_of_many <= 2 * worst_of_few
    assert worst_of_many < 100


def test_routes_behind_one_that_takes_all_are_not_asked() -> None:
    asked = []

    class Spy(CIMultiDict[str]):
        def getall(self, key: str, default: Any = None) -> Any:
            asked.append(key)
            return super().getall(key, default)

    rules = table(match("/a"), *(match("/a", headers=(("X-A", str(n)),)) for n in range(50)))
    assert found(rules, ask("/a"), Spy()) == "r0"
    assert asked == []


def test_cache_of_hosts_stays_bounded() -> None:
    rules = table(Match(hosts=("*.h.test",)))
    for number in range(3000):
        rules.find(ask("/", host=f"n{number}.h.test"), NO_HEADERS)
    assert len(rules._other_hosts) <= 1024


def test_no_pattern_is_as_broad_as_the_one_for_any_path() -> None:
    assert path_pattern.parse_pattern("/**").matches(())
