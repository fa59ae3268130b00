"""A target has one reading, or it is refused."""

from __future__ import annotations

import contextlib
import re
from urllib.parse import quote, unquote_to_bytes

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import TargetRejected
from gateway.policy import host as host_module
from gateway.policy import target as target_module
from gateway.policy.host import parse_authority
from gateway.policy.rejection import REJECTIONS
from gateway.policy.target import MAX_DECODINGS, Target, parse_target, parse_url


def refusal(raw: str, *, method: str = "GET", host: str | None = "a.example", scheme: str = "http") -> str:
    with pytest.raises(TargetRejected) as caught:
        parse_target(method, raw, host, scheme)
    return caught.value.reason


ACCEPTED = {
    "/": ((), True),
    "/a": (("a",), False),
    "/a/": (("a",), True),
    "/a/b.c/d": (("a", "b.c", "d"), False),
    "/.well-known/jwks.json": ((".well-known", "jwks.json"), False),
    "/...": (("...",), False),
    "/..a/.b./c..": (("..a", ".b.", "c.."), False),
    "/caf%C3%A9": (("café",), False),
    "/%61dmin": (("admin",), False),
    "/a%20b": (("a b",), False),
    "/100%25": (("100%",), False),
    "/100%25_sure": (("100%_sure",), False),
    "/what%3F%23": (("what?#",), False),
    "/a;v=1/b;w": (("a", "b"), False),
    "/a;v=1/": (("a",), True),
    "/;jsessionid=1": ((), True),
    "/a/;jsessionid=1": (("a",), True),
    "/a%3Bv=1": (("a",), False),
    "/a;x=..": (("a",), False),
    '/[x]|{y}^`"<>': (('[x]|{y}^`"<>',), False),
    "/@:!$&'()*+,=~-_": (("@:!$&'()*+,=~-_",), False),
}


@pytest.mark.parametrize("raw", ACCEPTED)
def test_path_is_matched_decoded_and_forwarded_as_sent(raw: str) -> None:
    target = parse_target("GET", raw, "a.example", "http")
    assert (target.segments, target.trailing_slash) == ACCEPTED[raw]
    assert target.path == raw
    assert target.raw == raw


REFUSED = {
    # a dot segment, plainly and at each depth of decoding
    "/..": "dot_segment",
    "/.": "dot_segment",
    "/a/../b": "dot_segment",
    "/a/./b": "dot_segment",
    "/a/..": "dot_segment",
    "/%2e%2e/b": "dot_segment",
    "/.%2E": "dot_segment",
    "/a/%2e": "dot_segment",
    "/%252e%252e/b": "dot_segment",
    "/%25%32%65%25%32%65/b": "dot_segment",
    "/%25252e%25252e": "dot_segment",
    "/%252525252e%2e": "dot_segment",
    # once its parameters are gone
    "/..;/b": "dot_segment",
    "/..;x=1/b": "dot_segment",
    "/a/.;x": "dot_segment",
    "/..%3b/b": "dot_segment",
    "/%2e%2e%3Bx/b": "dot_segment",
    "/%2e%2e%253Bx/b": "dot_segment",
    # a separator in disguise
    "/a%2fb": "encoded_slash",
    "/a%2Fb": "encoded_slash",
    "/a%252fb": "encoded_slash",
    "/a%25252Fb": "encoded_slash",
    "/a%25%32%66b": "encoded_slash",
    "/a%25%32fb": "encoded_slash",
    "/a;x=%2f": "encoded_slash",
    "/a%5cb": "encoded_backslash",
    "/a%255Cb": "encoded_backslash",
    "/a\\b": "backslash",
    "/\\evil.example": "backslash",
    # an empty segment
    "//": "empty_segment",
    "//evil.example/x": "empty_segment",
    "/a//b": "empty_segment",
    "/a//": "empty_segment",
    "/;x/b": "empty_segment",
    "/a/;x/b": "empty_segment",
    "/a/%3bx/b": "empty_segment",
    "/;/;": "empty_segment",
    "/%3bx": "empty_segment",
    "/a/%253bx": "empty_segment",
    # bytes
    "/a\x00b": "control_byte",
    "/a\tb": "control_byte",
    "/a b": "control_byte",
    "/a\r\nX: y": "control_byte",
    "/a\x7fb": "control_byte",
    "/a?b\nc": "control_byte",
    "/a?b c": "control_byte",
    "/%00": "encoded_control",
    "/a%0d%0ab": "encoded_control",
    "/a%7f": "encoded_control",
    "/a%2500": "encoded_control",
    "/café": "non_ascii",
    "/a\udcff": "non_ascii",
    "/a?café": "non_ascii",
    "/\uff0e\uff0e/": "non_ascii",
    "/\u2028": "non_ascii",
    # escapes
    "/%": "bad_escape",
    "/%2": "bad_escape",
    "/%zz": "bad_escape",
    "/%u002e": "bad_escape",
    "/%-1": "bad_escape",
    "/%c0%af": "overlong_utf8",
    "/%c0%ae%c0%ae/": "overlong_utf8",
    "/%e0%80%af": "overlong_utf8",
    "/%f0%80%80%af": "overlong_utf8",
    "/%25c0%25af": "overlong_utf8",
    "/%2525c0%2525af": "overlong_utf8",
    "/%e9": "bad_utf8",
    "/%ed%a0%80": "bad_utf8",
    "/%" + "25" * MAX_DECODINGS: "over_encoded",
    # forms
    "": "not_origin_form",
    "a": "not_origin_form",
    "*": "asterisk_form",
    "?a": "not_origin_form",
    "a.example:80": "not_origin_form",
    "ftp://a.example/": "not_origin_form",
    "javascript:alert(1)": "not_origin_form",
    "http:/a.example/": "not_origin_form",
    "http:a.example": "not_origin_form",
    "/a#b": "fragment",
    "/a?b#c": "fragment",
    "#": "not_origin_form",
}


@pytest.mark.parametrize(("raw", "reason"), REFUSED.items(), ids=ascii)
def test_target_with_two_readings_is_refused(raw: str, reason: str) -> None:
    assert refusal(raw) == reason


def test_the_query_is_not_read() -> None:
    raw = "/a?x=%2e%2e/..//%2f\\%&y=%00%zz{|}^`"
    target = parse_target("GET", raw, "a.example", "http")
    assert target.segments == ("a",)
    assert target.raw == raw


@pytest.mark.parametrize(("raw", "query"), [("/a", None), ("/a?", ""), ("/a??", "?"), ("/a?b?c=/d", "b?c=/d")])
def test_an_empty_query_stays_apart_from_none(raw: str, query: str | None) -> None:
    target = parse_target("GET", raw, "a.example", "http")
    assert target.query == query
    assert target.raw == raw


HOSTS = {
    "a.example": ("a.example", None),
    "A.Example": ("a.example", None),
    "a.example.": ("a.example", None),
    "a.example.:8080": ("a.example", 8080),
    "a.example:443": ("a.example", 443),
    "xn--caf-dma.example": ("xn--caf-dma.example", None),
    "a_b.example": ("a_b.example", None),
    "127.0.0.1:1": ("127.0.0.1", 1),
    "[::1]": ("[::1]", None),
    "[::1]:65535": ("[::1]", 65535),
    "[2001:DB8:0:0::1]": ("[2001:db8::1]", None),
}


@pytest.mark.parametrize("text", HOSTS)
def test_host_has_one_spelling(text: str) -> None:
    assert parse_authority(text) == HOSTS[text]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("user@a.example", "userinfo"),
        ("user:pw@a.example", "userinfo"),
        ("a.example@", "userinfo"),
        ("a.example:", "bad_port"),
        ("a.example:0", "bad_port"),
        ("a.example:080", "bad_port"),
        ("a.example:65536", "bad_port"),
        ("a.example:-1", "bad_port"),
        ("a.example:80:80", "bad_port"),
        ("a.example:8\u0660", "bad_port"),
        ("a.example:80\n", "bad_port"),
        ("a.example: 80", "bad_port"),
        ("a..example", "bad_host"),
        ("a.example..", "bad_host"),
        (".a.example", "bad_host"),
        (".", "bad_host"),
        ("a b", "bad_host"),
        ("a.example\n", "bad_host"),
        ("a.example, b.example", "bad_host"),
        ("a%2eexample", "bad_host"),
        ("a/b", "bad_host"),
        ("a\\b", "bad_host"),
        ("a?b", "bad_host"),
        ("a#b", "bad_host"),
        ("*.example", "bad_host"),
        ("caf\u00e9.example", "bad_host"),
        ("\u212aelvin.example", "bad_host"),
        ("a\udcff", "bad_host"),
        ("::1", "bad_host"),
        ("[::1", "bad_host"),
        ("[::1]a", "bad_host"),
        ("[fe80::1%25eth0]", "bad_host"),
        ("[1.2.3.4]", "bad_host"),
        ("[v1.x]", "bad_host"),
        ("[]", "bad_host"),
        ("a" * 64, "bad_host"),
        (".".join(["a" * 60] * 5), "bad_host"),
    ],
    ids=ascii,
)
def test_bad_host_is_refused(text: str, reason: str) -> None:
    assert refusal("/", host=text) == reason


@pytest.mark.parametrize("host", [None, ""])
def test_missing_host_is_refused(host: str | None) -> None:
    assert refusal("/", host=host) == "missing_host"
    assert refusal("http://a.example/", host=host) == "missing_host"


@pytest.mark.parametrize(
    ("raw", "forwarded"),
    [
        ("http://a.example/x?y", "/x?y"),
        ("HTTP://A.EXAMPLE./x", "/x"),
        ("http://a.example:80", "/"),
        ("http://a.example?y", "/?y"),
    ],
)
def test_absolute_form_that_agrees_is_read(raw: str, forwarded: str) -> None:
    assert parse_target("GET", raw, "a.example", "http").raw == forwarded


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("http://b.example/", "host_mismatch"),
        ("http://a.example:81/", "host_mismatch"),
        ("http://a.example:443/", "host_mismatch"),
        ("https://a.example/", "scheme_mismatch"),
        ("http://u@a.example/", "userinfo"),
        ("http://u:p@b.example@a.example/", "userinfo"),
        ("http://a.example:x/", "bad_port"),
        ("http:///x", "bad_host"),
        ("http://a.example#x", "fragment"),
        ("http://a.example/x#y", "fragment"),
        ("http://a.example\\@b.example/", "userinfo"),
        ("http://a.example\\b/", "bad_host"),
        ("http://a.example//b", "empty_segment"),
        ("http://a.example/../b", "dot_segment"),
        (" http://a.example/", "not_origin_form"),
    ],
)
def test_absolute_form_that_disagrees_is_refused(raw: str, reason: str) -> None:
    assert refusal(raw) == reason


@pytest.mark.parametrize(
    ("host", "scheme", "origin"),
    [
        ("a.example", "https", "https://a.example"),
        ("a.example:443", "https", "https://a.example"),
        ("a.example:80", "https", "https://a.example:80"),
        ("A.example.:80", "http", "http://a.example"),
        ("[::1]:8080", "http", "http://[::1]:8080"),
    ],
)
def test_the_scheme_s_own_port_is_left_out(host: str, scheme: str, origin: str) -> None:
    target = parse_target("GET", "/x?y", host, scheme)
    assert target.origin == origin
    assert target.url == f"{origin}/x?y"


@pytest.mark.parametrize("method", ["PROPFIND", "M-SEARCH", "VERSION-CONTROL", "GET"])
def test_other_methods_are_let_in(method: str) -> None:
    assert parse_target(method, "/", "a.example", "http").method == method


@pytest.mark.parametrize("method", ["get", "Get", "", "GET ", "G\nT", "GÉT", "X" * 33, "G:T"])
def test_method_in_a_second_spelling_is_refused(method: str) -> None:
    assert refusal("/", method=method) == "bad_method"


def test_connect_and_foreign_schemes_are_refused() -> None:
    assert refusal("a.example:443", method="CONNECT") == "connect"
    assert refusal("/", scheme="ftp") == "bad_scheme"
    assert refusal("/", scheme="HTTP") == "bad_scheme"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("/x", "not_absolute"),
        ("//a.example/x", "not_absolute"),
        ("a.example/x", "not_absolute"),
        ("ftp://a.example/x", "not_absolute"),
        (" https://a.example/x", "not_absolute"),
        ("https:/a.example/x", "not_absolute"),
        ("https://u@a.example/x", "userinfo"),
        ("https:///x", "missing_host"),
        ("https://a.example:99999/x", "bad_port"),
        ("https://a.example/x#y", "fragment"),
        ("https://a.example/%2e%2e/x", "dot_segment"),
        ("https://a.example\r\n/x", "bad_host"),
    ],
)
def test_url_that_is_malformed_is_refused(url: str, reason: str) -> None:
    with pytest.raises(TargetRejected) as caught:
        parse_url("GET", url)
    assert caught.value.reason == reason


def test_url_gives_the_target_that_the_request_would() -> None:
    assert parse_url("GET", "HTTPS://A.example:443/x?y") == parse_target("GET", "/x?y", "a.example", "https")


PIECES = st.sampled_from(
    [
        "/",
        ".",
        "..",
        "%2e",
        "%2E",
        "%252e",
        "%2f",
        "%5c",
        "\\",
        ";",
        "%3b",
        "%253b",
        ";x",
        "a",
        "admin",
        "%61",
        "%25",
        "25",
        "2e",
        "%",
        "%c0%ae",
        "%25c0%25ae",
        "%e0%80%ae",
        "?",
        "#",
        "%00",
        "\x00",
        "é",
        "%C3%A9",
    ]
)
PATHS = st.lists(PIECES, max_size=14).map(lambda pieces: "/" + "".join(pieces))
ANYTHING = st.text(st.characters(codec=None), max_size=30)


@given(
    method=st.one_of(st.just("GET"), ANYTHING),
    raw=st.one_of(PATHS, ANYTHING, PATHS.map("http://a.example".__add__)),
    host=st.one_of(st.none(), st.just("a.example"), ANYTHING),
    scheme=st.one_of(st.just("http"), ANYTHING),
)
def test_no_input_raises_anything_but_target_rejected(method: str, raw: str, host: str | None, scheme: str) -> None:
    reasons: list[str] = []
    try:
        target = parse_target(method, raw, host, scheme)
    except TargetRejected as error:
        reasons.append(error.reason)
    else:
        assert raw.endswith(target.raw) or target.raw == "/" or target.raw.startswith("/?")
    assert set(reasons) <= set(REJECTIONS)
    with contextlib.suppress(TargetRejected):
        parse_url(method, raw)


def resolved(path: bytes, *, cut_parameters: bool) -> list[bytes]:
    """Resolve a path as the laxest servers do: dots climb, empty segments and parameters vanish."""
    stack: list[bytes] = []
    for segment in re.split(rb"[/\\]", path):
        name = segment.split(b";")[0] if cut_parameters else segment
        if name == b"..":
            del stack[-1:]
        elif name not in {b"", b"."}:
            stack.append(name)
    return stack


def lax_decode(path: bytes) -> bytes:
    """Decode once more, taking overlong sequences for the ASCII that they spell."""
    decoded = unquote_to_bytes(path)
    decoded = re.sub(rb"[\xc0\xc1]([\x80-\xbf])", lambda m: bytes([m[1][0] & 0x7F]), decoded)
    return re.sub(rb"\xe0\x80([\x80-\xbf])", lambda m: bytes([m[1][0] & 0x3F]), decoded)


@given(PATHS)
@example("/a/%2e%2e;x/admin")
@example("/a/%25%32%65%2e/admin")
def test_every_server_resolves_an_accepted_path_to_the_same_depth(raw: str) -> None:
    """However often an upstream decodes, and whether or not it cuts parameters, nothing climbs."""
    try:
        target = parse_target("GET", raw, "a.example", "http")
    except TargetRejected:
        return
    level = target.path.encode()
    for _ in range(12):
        for cut in (True, False):
            whole = resolved(level, cut_parameters=cut)
            names = [name for name in (part.split(b";")[0] for part in whole) if name]
            assert len(names) == len(target.segments)
        level = lax_decode(level)
    once = resolved(lax_decode(target.path.encode()), cut_parameters=True)
    assert tuple(name.decode() for name in once) == target.segments


@given(st.lists(st.text(min_size=1, max_size=8), max_size=4))
def test_names_come_back_as_they_were_encoded(names: list[str]) -> None:
    try:
        raw = "/" + "/".join(quote(name, safe="") for name in names)
        target = parse_target("GET", raw, "a.example", "http")
    except (TargetRejected, UnicodeEncodeError):
        return
    assert target.segments == tuple(name.partition(";")[0] for name in names if name.partition(";")[0])


@given(PATHS)
def test_what_was_read_before_is_read_the_same_again(raw: str) -> None:
    def read() -> Target | str:
        try:
            return parse_target("GET", raw, "a.example", "http")
        except TargetRejected as error:
            return error.reason

    target_module._targets.clear()
    target_module._paths.clear()
    assert read() == read()


def test_caches_stay_bounded() -> None:
    for number in range(5000):
        parse_target("GET", f"/{number}", f"h{number}.example", "http")
        parse_target("GET", f"/{number}?q", "a.example", "http")
    assert len(target_module._targets) <= 4096
    assert len(target_module._paths) <= 4096
    assert len(host_module._known) <= 1024
    parse_target("GET", "/" + "a" * 500, "a.example", "http")
    assert not any(len(raw) > 256 for _, raw, _, _ in target_module._targets)


def test_queries_are_not_kept() -> None:
    parse_target("GET", "/callback?code=secret", "a.example", "http")
    assert not any("secret" in raw for _, raw, _, _ in target_module._targets)
    assert not any("secret" in path for path in target_module._paths)


def test_every_refusal_has_a_sentence() -> None:
    reasons = {*REFUSED.values(), "host_mismatch", "bad_port", "bad_method", "connect"}
    assert reasons <= set(REJECTIONS)
