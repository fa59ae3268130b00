"""Request lines: one spelling of HTTP/1.1 passes, everything that two servers could read differently is refused."""

from __future__ import annotations

import pytest

from tests.strict.conftest import Played
from tests.strict.rows import AUTH, HOST, Row, ask, passed, raw, refused

BAD_VERSIONS = {
    "http-0.9": refused(b"GET /\r\n\r\n", 505),
    "http-0.9-with-fields": refused(ask("GET /"), 505),
    "http-0.9-said": refused(ask("GET / HTTP/0.9"), 505),
    "http-1.2": refused(ask("GET / HTTP/1.2")),
    "http-1.10": refused(ask("GET / HTTP/1.10")),
    "http-01.1": refused(ask("GET / HTTP/01.1")),
    "http-1": refused(ask("GET / HTTP/1")),
    "http-1.": refused(ask("GET / HTTP/1.")),
    "http-2": refused(ask("GET / HTTP/2.0"), 505),
    "http-3": refused(ask("GET / HTTP/3.0")),
    "http-9.9": refused(ask("GET / HTTP/9.9")),
    "http-minus": refused(ask("GET / HTTP/-1.1")),
    "http-space": refused(ask("GET / HTTP/1.1 ")),
    "http-tab": refused(ask("GET / HTTP/1.1\t")),
    "http-word": refused(ask("GET / HTTP/1.1 x")),
    "http-lower": refused(ask("GET / http/1.1")),
    "http-no-slash": refused(ask("GET / HTTP1.1")),
    "http-comma": refused(ask("GET / HTTP/1,1")),
    "http-nul": refused(ask("GET / HTTP/1.1\0")),
    "http-2-preface": refused(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "https": refused(ask("GET / HTTPS/1.1")),
    "shttp": refused(ask("GET / Secure-HTTP/1.4")),
    "rtsp": refused(ask("GET / RTSP/1.0")),
    "rtsp-1.1": refused(ask("OPTIONS / RTSP/1.1")),
    "rtsp-post": refused(ask("POST / RTSP/1.0", "Content-Length: 2", body=b"hi")),
    "rtsp-behind-an-empty-line": refused(b"\r\n" + ask("GET / RTSP/1.0")),
    "rtsp-behind-empty-lines": refused(b"\r\n\r\n" + ask("GET /x RTSP/1.0")),
    "rtsp-method": refused(ask("DESCRIBE / RTSP/1.0")),
    "rtsp-method-with-a-hyphen": refused(ask("GET_PARAMETER /x RTSP/1.0")),
    "rtsp-two-spaces": refused(ask("GET  /  RTSP/1.0")),
    "rtsp-method-over-http": refused(ask("DESCRIBE / HTTP/1.1")),
    "rtsp-2": refused(ask("GET / RTSP/2.0")),
    "ice": refused(ask("SOURCE / ICE/1.0")),
    "ice-get": refused(ask("GET / ICE/1.0")),
    "sip": refused(ask("OPTIONS / SIP/2.0")),
    "tls": refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 60),
    "ssh": refused(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
    "proxy-protocol": refused(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n" + ask("GET / HTTP/1.1")),
    "smtp": refused(b"EHLO app.test\r\n\r\n"),
}

BAD_METHODS = {
    "lower": refused(ask("get / HTTP/1.1")),
    "mixed": refused(ask("Get / HTTP/1.1")),
    "odd-byte": refused(ask("G@T / HTTP/1.1")),
    "empty": refused(ask(" / HTTP/1.1")),
    "space-before": refused(ask(" GET / HTTP/1.1")),
    "tab-before": refused(ask("\tGET / HTTP/1.1")),
    "nul": refused(ask("GE\0T / HTTP/1.1")),
    "nul-before": refused(ask("\0GET / HTTP/1.1")),
    "bom": refused(ask("\xef\xbb\xbfGET / HTTP/1.1")),
    "colon": refused(ask("GET: / HTTP/1.1")),
    "unknown": refused(ask("BREW / HTTP/1.1")),
    "longer": refused(ask("GETT / HTTP/1.1")),
    "shorter": refused(ask("GE / HTTP/1.1")),
    "long": refused(ask("G" * 5000 + " / HTTP/1.1")),
    "connect": refused(ask("CONNECT app.test:80 HTTP/1.1")),
    "connect-path": refused(ask("CONNECT / HTTP/1.1")),
    "pri": refused(ask("PRI / HTTP/1.1")),
}

BAD_SPACING = {
    "tab-before-target": refused(ask("GET\t/ HTTP/1.1")),
    "tab-after-target": refused(ask("GET /\tHTTP/1.1")),
    "form-feed": refused(ask("GET\x0c/ HTTP/1.1")),
    "vertical-tab": refused(ask("GET /\x0bHTTP/1.1")),
    "no-break-space": refused(ask("GET\xa0/ HTTP/1.1")),
    "bare-lf": refused(b"GET / HTTP/1.1\nHost: app.test\nAuthorization: Bearer ann-token\n\n"),
    "bare-lf-once": refused(b"GET / HTTP/1.1\n" + raw(HOST, AUTH)),
    "bare-cr": refused(b"GET / HTTP/1.1\r" + raw(HOST, AUTH)),
    "cr-cr-lf": refused(b"GET / HTTP/1.1\r\r\n" + raw(HOST, AUTH)),
    "cr-in-target": refused(b"GET /a\rb HTTP/1.1\r\n" + raw(HOST, AUTH)),
    "lf-in-target": refused(b"GET /a\nb HTTP/1.1\r\n" + raw(HOST, AUTH)),
    "no-target": refused(ask("GET HTTP/1.1")),
    "empty-target": refused(ask("GET  HTTP/1.1")),
    "long-line": refused(ask("GET /" + "x" * 40_000 + " HTTP/1.1"), 431),
    "long-query": refused(ask("GET /?" + "x" * 40_000 + " HTTP/1.1"), 431),
}

PASSED = {
    # RFC 9112 section 3 lets whitespace be read this way; what is sent on has one space.
    "two-spaces-before-target": passed(ask("GET  /x HTTP/1.1"), "GET /x"),
    "two-spaces-after-target": passed(ask("GET /x  HTTP/1.1"), "GET /x"),
    **{
        method.lower(): passed(ask(f"{method} /x HTTP/1.1"), f"{method} /x")
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "REPORT", "M-SEARCH")
    },
    "empty-line-before": passed(b"\r\n" + ask("GET /x HTTP/1.1"), "GET /x"),
    "empty-lines-before": passed(b"\r\n\r\n\r\n" + ask("GET /x HTTP/1.1"), "GET /x"),
    "http-1.0": passed(ask("GET /x HTTP/1.0"), "GET /x"),
    "http-1.0-kept": passed(ask("GET /x HTTP/1.0", "Connection: keep-alive"), "GET /x"),
    "speaks-of-rtsp": passed(ask("GET /x HTTP/1.1", "X-A: b RTSP/1.0"), "GET /x", x_a=["b RTSP/1.0"]),
    "quotes-a-line": passed(ask("GET /x HTTP/1.1", "X-A: GET / RTSP/1.0"), "GET /x", x_a=["GET / RTSP/1.0"]),
    "target-like-rtsp": passed(ask("GET /RTSP/1.0 HTTP/1.1"), "GET /RTSP/1.0"),
    "body-like-rtsp": passed(
        ask("POST /x HTTP/1.1", "Content-Length: 21", body=b"OPTIONS / RTSP/1.0\r\n\r\n"[:21]),
        "POST /x",
        body=b"OPTIONS / RTSP/1.0\r\n\r\n"[:21],
    ),
}
ROWS: dict[str, Row] = {
    **{f"version-{name}": row for name, row in BAD_VERSIONS.items()},
    **{f"method-{name}": row for name, row in BAD_METHODS.items()},
    **{f"spacing-{name}": row for name, row in BAD_SPACING.items()},
    **{f"passed-{name}": row for name, row in PASSED.items()},
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_a_request_line_has_one_reading_or_none(played: Played, row: Row) -> None:
    await played(row)
