"""Targets, hosts, fields and credentials of any shape: read in one way or refused, in time linear in their size."""

from __future__ import annotations

import contextlib
import posixpath
import re
import time
from urllib.parse import unquote

import pytest
from hypothesis import strategies as st
from multidict import CIMultiDict

from gateway.errors import CredentialRejected, TargetRejected
from gateway.identity.identity import CredentialKind
from gateway.identity.presented import Presenter, is_ours
from gateway.policy import host as host_module
from gateway.policy import target as target_module
from gateway.policy.client import TrustedProxies
from gateway.policy.host import parse_authority
from gateway.policy.presets import IDENTITY_HEADERS
from gateway.policy.rules import Match, Rule, RuleTable
from gateway.policy.target import parse_target
from gateway.proxy.headers import RequestHeaders
from tests.fuzz.exploring import explored
from tests.proxy.proxying import ISSUER, OWN_COOKIES

_PIECES = [
    "/",
    ".",
    "..",
    ";",
    "%2e",
    "%2E",
    "%252e",
    "%2f",
    "%5c",
    "\\",
    "%25",
    "%",
    "a",
    "staff",
    "?",
    "#",
    "//",
    "%00",
]
_PIECES += [
    "%c0%ae",
    "%e2%80%ae",
    "http://",
    "app.test",
    "@",
    ":",
    "80",
    "*",
    "\r\n",
    " ",
    "\x7f",
    "é",
    "\udcff",
    "%3b",
]
_LIKELY = ["a", "a", "staff", ".", "..", "%2e", "%252e", "%25252E", ";", "x=1", "%61", "%25", "%c3%a9", "%3b", "%253b"]
_SEGMENTS = st.lists(st.lists(st.sampled_from(_LIKELY), min_size=1, max_size=3).map("".join), min_size=1, max_size=4)
_PATHS = st.tuples(_SEGMENTS.map("/".join), st.sampled_from(["", "", "/", "?", "?a=%2f"])).map("".join)
_STARTS = st.sampled_from(["/", "/", "/", "/", "http://app.test/"])
_LIKE_PATHS = st.tuples(_STARTS, _PATHS).map("".join)
_JUNK = st.lists(st.sampled_from(_PIECES) | st.characters(max_codepoint=255), max_size=14).map("".join)
TARGETS = _LIKE_PATHS | _LIKE_PATHS | _JUNK
HOSTS = st.lists(
    st.sampled_from(
        ["app", "test", ".", ":", "80", "[", "]", "::1", "%", "@", "/", "-", "\x00", "é", "xn--", "0", " "]
    ),
    max_size=8,
).map("".join)
METHODS = st.sampled_from(["GET", "POST", "OPTIONS", "CONNECT", "get", "", "G T", "PROPFIND"])


def _forget() -> None:
    for memory in (target_module._targets, target_module._paths, host_module._known):
        memory.clear()


@explored(method=METHODS, raw=TARGETS, host=st.just("app.test") | HOSTS, scheme=st.sampled_from(["http", "https"]))
def test_what_is_decided_on_is_what_is_forwarded(method: str, raw: str, host: str, scheme: str) -> None:
    _forget()
    try:
        target = parse_target(method, raw, host, scheme)
    except TargetRejected:
        return
    assert raw.endswith(target.raw) or target.raw.removeprefix("/") == raw.partition("://")[2].partition("?")[1] + (
        target.query or ""
    )
    assert re.fullmatch(r"/[!-~]*", target.raw)
    assert parse_target(method, target.raw, target.authority, scheme) == target
    for decodings in range(6):
        _no_reader_climbs(target.path, target.segments, decodings)


def _no_reader_climbs(path: str, segments: tuple[str, ...], decodings: int) -> None:
    """Hold that a server that decodes so often, cuts parameters and resolves dots comes to the same place."""
    for _ in range(decodings):
        path = unquote(path)
    without = "/".join(part.partition(";")[0] for part in path.split("/"))
    assert posixpath.normpath(without) == (without.rstrip("/") or "/")
    assert "\\" not in path
    if decodings == 1:
        assert tuple(part for part in without.split("/") if part) == segments


@explored(text=HOSTS)
def test_a_host_has_one_spelling(text: str) -> None:
    _forget()
    try:
        host, port = parse_authority(text)
    except TargetRejected:
        return
    assert re.fullmatch(r"[a-z0-9_.-]+|\[[0-9a-f:.]+\]", host)
    assert parse_authority(host if port is None else f"{host}:{port}") == (host, port)


_STEMS = [*sorted(IDENTITY_HEADERS), "x-forwarded-for", "forwarded", "x-original-url", "x-request-id", "host", "cookie"]
_STEMS += [
    "connection",
    "authorization",
    "content-length",
    "transfer-encoding",
    "upgrade",
    "te",
    "expect",
    "proxy",
    "x-a",
]
NAMES = st.tuples(st.sampled_from(_STEMS), st.sampled_from("-_.+~!"), st.booleans()).map(
    lambda given: (given[0].upper() if given[2] else given[0]).replace("-", given[1]).encode()
)
VALUES = st.lists(st.sampled_from([*_STEMS, ",", " ", "close", "gateway=x", ";", "=", "forged"]), max_size=6).map(
    lambda parts: "".join(parts).strip().encode()
)
TABLE = RuleTable.compile([Rule(0, "r", Match())])


@explored(fields=st.lists(st.tuples(NAMES, VALUES), max_size=12))
def test_no_field_speaks_about_identity_or_framing(fields: list[tuple[bytes, bytes]]) -> None:
    try:
        lines = RequestHeaders(TABLE, OWN_COOKIES).filtered(fields, TABLE.rules[0], frozenset())
    except TargetRejected:
        return
    folded = {re.sub(r"[^a-z0-9]", "-", line.partition(b":")[0].decode().lower()) for line in lines}
    hop_by_hop = {"connection", "transfer-encoding", "content-length", "upgrade", "te", "host", "expect", "proxy"}
    assert not folded & {*IDENTITY_HEADERS, *hop_by_hop, "forwarded", "x-request-id"}
    assert not any(name.startswith(("x-forwarded-", "x-original-", "x-gateway-")) for name in folded)
    assert all(re.fullmatch(rb"[A-Za-z0-9-]+: [^\r\n\0]*\r\n", line) for line in lines)
    assert not any(
        b"gateway=" in line for line in lines if line.lower().startswith(b"cookie") and b"; gateway=" in line
    )


CREDENTIALS = st.lists(
    st.sampled_from(
        ["Bearer", "Token", "Basic", " ", "\t", "gwt_", "ey", ".", "=", "e30", "W10", "[[", "\xff", "null", ","]
    ),
    max_size=10,
).map("".join)


@explored(
    values=st.lists(
        st.tuples(
            st.sampled_from(["Authorization", "X-API-Key", "Cookie", "X-Forwarded-For", "X-Forwarded-Host"]),
            CREDENTIALS,
        )
    )
)
def test_credentials_and_forwarding_fields_are_read_or_refused(values: list[tuple[str, str]]) -> None:
    headers = CIMultiDict(values)
    with contextlib.suppress(TargetRejected, CredentialRejected):
        Presenter("gateway").present(headers, frozenset(CredentialKind))
    assert is_ours(headers, ISSUER) <= {"authorization", "x-api-key"}
    with contextlib.suppress(TargetRejected):
        client = TrustedProxies(["10.0.0.0/8"]).client_of("10.0.0.1", headers)
        assert client.ip is not None


@explored(unit=st.text(st.sampled_from("/.;%25eEfF?&=aA _-:[]\\,@gwt\t "), min_size=1, max_size=6), start=TARGETS)
def test_time_grows_with_size(unit: str, start: str) -> None:
    """32 KiB of anything cost milliseconds; quadratic reading would cost minutes."""
    long = (start + unit * 32_768)[:32_768]
    text = long.encode("utf-8", "surrogateescape")
    before = time.process_time()
    for raw in (long, "/" + long, "http://" + long):
        with contextlib.suppress(TargetRejected):
            parse_target("GET", raw, "app.test", "http")
    with contextlib.suppress(TargetRejected):
        parse_authority(long)
    names = [b"cookie", b"connection", b"x-a", b"authorization"]
    with contextlib.suppress(TargetRejected):
        RequestHeaders(TABLE, OWN_COOKIES).filtered([(name, text) for name in names], TABLE.rules[0], frozenset())
    headers = CIMultiDict({"Authorization": f"Bearer {long}", "Cookie": long, "X-Forwarded-For": long})
    is_ours(headers, ISSUER)
    with contextlib.suppress(TargetRejected, CredentialRejected):
        Presenter("gateway").present(headers, frozenset(CredentialKind))
    with contextlib.suppress(TargetRejected):
        TrustedProxies(["127.0.0.1"]).client_of("127.0.0.1", headers)
    assert time.process_time() - before < 1


def test_the_reader_that_climbs_is_noticed() -> None:
    with pytest.raises(AssertionError):
        _no_reader_climbs("/a/%2e%2e/b", ("a", "..", "b"), 1)
