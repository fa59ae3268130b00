"""Targets and hosts: what is decided on is what is forwarded, and no spelling leads around a rule."""

from __future__ import annotations

import pytest

from tests.strict.conftest import Played
from tests.strict.rows import AUTH, HOST, Row, ask, passed, raw, refused

BOB = "Authorization: Bearer bob-token"
# Of these bob may see everything but /staff, and nobody /closed.
CLIMBING = [
    "/public/../staff",
    "/public/%2e%2e/staff",
    "/public/.%2e/staff",
    "/public/%2E./staff",
    "/public/%252e%252e/staff",
    "/public/%25252e%25252e/staff",
    "/public/..;/staff",
    "/public/..;a=b/staff",
    "/public/%2e%2e;/staff",
    "/public/..%3b/staff",
    "/public/..%2fstaff",
    "/public/..%252fstaff",
    "/public%2f..%2fstaff",
    "/public/..%5cstaff",
    "/public/..\\staff",
    "/public\\..\\staff",
    "/public/..%255cstaff",
    "/public/%c0%ae%c0%ae/staff",
    "/public/%e0%80%ae%e0%80%ae/staff",
    "/public/%c0%af../staff",
    "/public/./../staff",
    "/./staff",
    "/%2e/staff",
    "//staff",
    "/public//..//staff",
    "/%2fstaff",
    "/%5cstaff",
    "/\\staff",
    "/;/staff",
    "/;a=b/staff",
    "/%3b/staff",
    "/staff/..",
    "/staff/.",
    "/staff%00",
    "/staff%00.html",
    "/public%00/../staff",
    "/staff%0a",
    "/staff%0d%0aX:%20y",
    "/staff%09",
    "/staff%7f",
    "/%",
    "/%zz",
    "/%u002e%u002e/staff",
    "/%2",
    "/\xff",
    "/%ff",
    "/%ed%a0%80",
    "/x#/../staff",
    "/x?a#b",
    "/x?a\\b#",
    "/" + "%25" * 3 + "25252525252e%25252525252525252e",
]
FORMS = {
    "asterisk": "*",
    "authority": "app.test:80",
    "no-slash": "x",
    "empty-scheme": "://app.test/x",
    "relative": "./x",
    "question": "?x",
    "host-only": "//app.test/x",
    "other-host": "http://forged.test/x",
    "other-port": "http://app.test:81/x",
    "https": "https://app.test/x",
    "ftp": "ftp://app.test/x",
    "javascript": "javascript:alert(1)",
    "file": "file:///etc/passwd",
    "user": "http://ann@app.test/x",
    "user-like-host": "http://app.test@forged.test/x",
    "user-with-password": "http://app.test:80@forged.test/x",
    "no-host": "http:///x",
    "one-slash": "http:/app.test/x",
    "no-slashes": "http:app.test/x",
    "three-slashes": "http:///app.test/x",
    "backslashes": "http:\\\\app.test/x",
    "backslash-host": "http://app.test\\@forged.test/x",
    "fragment": "http://app.test#/x",
    "space-in-host": "http://app.test%20/x",
    "encoded-host": "http://app%2etest/x",
    "ipv6-broken": "http://[::1/x",
    "port-empty": "http://app.test:/x",
    "port-zero": "http://app.test:0/x",
    "port-large": "http://app.test:65616/x",
    "port-signed": "http://app.test:+80/x",
    "climbing": "http://app.test/public/../staff",
}
HOSTS = {
    "none": None,
    "empty": "",
    "space": " ",
    "two": "app.test, forged.test",
    "two-by-space": "app.test forged.test",
    "user": "ann@app.test",
    "path": "app.test/x",
    "query": "app.test?x",
    "fragment": "app.test#x",
    "scheme": "http://app.test",
    "port-empty": "app.test:",
    "port-word": "app.test:http",
    "port-zero": "app.test:0",
    "port-large": "app.test:65616",
    "port-signed": "app.test:+80",
    "port-spaced": "app.test: 80",
    "port-twice": "app.test:80:80",
    "port-with-user": "app.test:80@forged.test",
    "port-leading-zero": "app.test:080",
    "port-arabic": "app.test:\xd9\xa8\xd9\xa0",
    "two-dots": "app..test",
    "dot-before": ".app.test",
    "two-trailing-dots": "app.test..",
    "percent": "app%2etest",
    "percent-slash": "app.test%2f",
    "backslash": "app.test\\forged.test",
    "semicolon": "app.test;forged",
    "quote": '"app.test"',
    "star": "*.test",
    "non-ascii": "\xe4pp.test",
    "full-width": "\xef\xbd\x81pp.test",
    "ideographic-dot": "app\xe3\x80\x82test",
    "ipv6-open": "[::1",
    "ipv6-no-brackets": "::1",
    "ipv6-zone": "[fe80::1%25eth0]",
    "ipv6-words": "[app.test]",
    "long-label": "a" * 64 + ".test",
    "long": "a." * 130 + "test",
}
PASSED_PATHS = [
    "/x",
    "/x/",
    "/x?a=/../staff",
    "/x?",
    "/x??a&&=%2f%00",
    "/x?a=http://forged-not.test/",
    "/caf%C3%A9",
    "/caf%c3%a9",
    "/%61",
    "/a;v=1/b;w=2",
    "/...",
    "/.hidden",
    "/a..b",
    "/~ann/@x:y!$&'()*+,=",
    "/[x]|{y}^`",
    "/100%25",
    "/" + "a" * 2000,
]
PASSED_HOSTS = {
    "plain": ("app.test", "app.test"),
    "upper": ("APP.Test", "app.test"),
    "dot": ("app.test.", "app.test"),
    "port": ("app.test:80", "app.test"),
    "other-port": ("app.test:8080", "app.test:8080"),
    "all": ("APP.TEST.:80", "app.test"),
}


def by_bob(target: str) -> Row:
    return refused(raw(f"GET {target} HTTP/1.1", HOST, BOB))


def to_host(host: str | None) -> Row:
    return refused(raw("GET /x HTTP/1.1", *([] if host is None else [f"Host: {host}"]), AUTH))


ROWS: dict[str, Row] = {
    **{f"climbing-{target[:40]!a}": by_bob(target) for target in CLIMBING},
    **{f"form-{name}": by_bob(target) for name, target in FORMS.items()},
    **{f"host-{name}": to_host(host) for name, host in HOSTS.items()},
    **{f"path-{path[:40]}": passed(ask(f"GET {path} HTTP/1.1"), f"GET {path}") for path in PASSED_PATHS},
    **{
        f"passed-host-{name}": passed(
            raw("GET /x HTTP/1.1", f"Host: {host}", AUTH), "GET /x", host=[seen], x_forwarded_host=[seen]
        )
        for name, (host, seen) in PASSED_HOSTS.items()
    },
    "absolute": passed(ask("GET http://app.test/x?y HTTP/1.1"), "GET /x?y", host=["app.test"]),
    "absolute-no-path": passed(ask("GET http://app.test HTTP/1.1"), "GET /"),
    "absolute-query": passed(ask("GET http://app.test?y HTTP/1.1"), "GET /?y"),
    "absolute-spelt": passed(ask("GET HTTP://APP.Test.:80/x HTTP/1.1"), "GET /x", host=["app.test"]),
    **{
        f"denied-{path}": refused(raw(f"GET {path} HTTP/1.1", HOST, BOB), 403)
        for path in (
            "/staff",
            "/staff/",
            "/staff/x",
            "/staff;x",
            "/staff;x=y/z",
            "/%73taff",
            "/s%74aff",
            "/staff?x",
            "/staff%3bx",
            "/closed",
            "/closed;x",
            "/closed/x?y",
            "/%63losed/",
        )
    },
    "denied-absolute": refused(raw("GET http://app.test/staff HTTP/1.1", HOST, BOB), 403),
    "denied-other-host": refused(raw("GET /x HTTP/1.1", "Host: other.test", AUTH), 404),
    "denied-host-by-alias": refused(
        raw("GET /x HTTP/1.1", "Host: other.test", "X_Forwarded_Host: app.test", AUTH), 404
    ),
    "denied-host-by-forwarding": refused(
        raw("GET /x HTTP/1.1", "Host: other.test", "X-Forwarded-Host: app.test", "Forwarded: host=app.test", AUTH), 404
    ),
    "denied-path-by-original": refused(
        raw("GET /staff HTTP/1.1", HOST, BOB, "X-Original-URL: /public/x", "X-Rewrite-URL: /public/x"), 403
    ),
    "denied-method-by-override": refused(
        raw("GET /closed HTTP/1.1", HOST, BOB, "X-HTTP-Method-Override: OPTIONS", "X-Forwarded-Method: OPTIONS"), 403
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_no_spelling_leads_around_a_rule(played: Played, row: Row) -> None:
    await played(row)


CASES = """
routes:
  - {match: {host: app.test, path: /own/**}, access: public, upstream: "URL"}
  - {match: {host: app.test, path: /Admin/**}, access: deny}
  - {match: {host: "*.wild.test", path: /x}, access: public, upstream: "URL"}
  - {match: {host: app.test, path_regex: "^/files/[a-z]+$"}, access: public, upstream: "URL"}
  - {match: {host: app.test, methods: [GET], path: /read/**}, access: public, upstream: "URL"}
"""
BY_CASE = {
    "wildcard": passed(raw("GET /x HTTP/1.1", "Host: A.wild.test"), "GET /x", x_forwarded_host=["a.wild.test"]),
    "wildcard-two": passed(raw("GET /x HTTP/1.1", "Host: a.b.wild.test"), "GET /x"),
    "wildcard-none": refused(raw("GET /x HTTP/1.1", "Host: wild.test"), 404),
    "wildcard-suffix": refused(raw("GET /x HTTP/1.1", "Host: forgedwild.test"), 404),
    "wildcard-before": refused(raw("GET /x HTTP/1.1", "Host: a.wild.test.forged"), 404),
    "regex": passed(raw("GET /files/abc HTTP/1.1", HOST), "GET /files/abc"),
    "regex-encoded": passed(raw("GET /files/%61bc HTTP/1.1", HOST), "GET /files/%61bc"),
    "regex-line-end": refused(raw("GET /files/abc%0a HTTP/1.1", HOST)),
    "regex-query": passed(raw("GET /files/abc?/x HTTP/1.1", HOST), "GET /files/abc?/x"),
    "regex-not-by-query": refused(raw("GET /other?/files/abc HTTP/1.1", HOST), 404),
    "regex-not-by-parameter": refused(raw("GET /other;/files/abc HTTP/1.1", HOST), 404),
    "method": passed(raw("GET /read/x HTTP/1.1", HOST), "GET /read/x"),
    "method-other": refused(raw("POST /read/x HTTP/1.1", HOST), 404),
}


@pytest.mark.parametrize("row", BY_CASE.values(), ids=BY_CASE)
async def test_rules_match_the_one_reading(played: Played, row: Row) -> None:
    await played(row, CASES)


BEHIND = (
    "server: {trusted_proxies: [127.0.0.0/8], public_url: 'http://portal.test'}\n"
    "routes:\n  - {match: {host: app.test}, access: public, upstream: 'URL'}\n"
)
TRUSTED = {
    "for-garbage": refused(raw("GET /x HTTP/1.1", HOST, "X-Forwarded-For: forged")),
    "for-empty-member": passed(
        raw("GET /x HTTP/1.1", HOST, "X-Forwarded-For: 192.0.2.1,"), "GET /x", x_real_ip=["192.0.2.1"]
    ),
    "for-last-counts": passed(
        raw("GET /x HTTP/1.1", HOST, "X-Forwarded-For: 10.0.0.1, 192.0.2.1"), "GET /x", x_real_ip=["192.0.2.1"]
    ),
    "for-two-lines": passed(
        raw("GET /x HTTP/1.1", HOST, "X-Forwarded-For: 10.0.0.1", "X-Forwarded-For: 192.0.2.1"),
        "GET /x",
        x_real_ip=["192.0.2.1"],
        x_forwarded_for=["192.0.2.1, 127.0.0.1"],
    ),
    "for-by-alias": passed(
        raw("GET /x HTTP/1.1", HOST, "X_Forwarded_For: 192.0.2.1"), "GET /x", x_real_ip=["127.0.0.1"]
    ),
    "proto-odd": refused(raw("GET /x HTTP/1.1", HOST, "X-Forwarded-Proto: forged")),
    "proto": passed(raw("GET /x HTTP/1.1", HOST, "X-Forwarded-Proto: https"), "GET /x", x_forwarded_port=["443"]),
    "host": passed(raw("GET /x HTTP/1.1", "Host: inner.test", "X-Forwarded-Host: app.test"), "GET /x"),
    "host-empty": refused(raw("GET /x HTTP/1.1", HOST, "X-Forwarded-Host:")),
    "host-odd": refused(raw("GET /x HTTP/1.1", HOST, "X-Forwarded-Host: app.test/forged")),
    "host-other": refused(raw("GET /x HTTP/1.1", HOST, "X-Forwarded-Host: other.test"), 404),
    "uri-is-not-believed": passed(raw("GET /x HTTP/1.1", HOST, "X-Forwarded-Uri: /forged"), "GET /x"),
    "port-is-not-believed": passed(
        raw("GET /x HTTP/1.1", HOST, "X-Forwarded-Port: 99"), "GET /x", x_forwarded_port=["80"]
    ),
    "user-is-not-believed": passed(
        raw("GET /x HTTP/1.1", HOST, "X-Forwarded-User: forged"), "GET /x", x_forwarded_user=[]
    ),
}


@pytest.mark.parametrize("row", TRUSTED.values(), ids=TRUSTED)
async def test_a_trusted_proxy_is_believed_in_what_it_may_say(played: Played, row: Row) -> None:
    await played(row, BEHIND)
