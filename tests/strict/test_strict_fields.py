"""Header fields: read in one way or refused, and none that a client sends stands for what the gateway says.

Every forged value holds the word ``forged``; the rig looks for it in what reaches a CGI application.
"""

from __future__ import annotations

import pytest

from tests.strict.conftest import Played
from tests.strict.rows import AUTH, HOST, Row, ask, passed, raw, refused

LINE = "GET /x HTTP/1.1"


def get(*fields: str) -> bytes:
    return ask(LINE, *fields)


def dropped(*fields: str, **seen: list[str]) -> Row:
    """Expect fields to be taken out, and the gateway's own to be there once."""
    ours = {"x-forwarded-user": ["ann"], "x-forwarded-for": ["127.0.0.1"], "x-forwarded-host": ["app.test"]}
    wanted = {name.replace("_", "-"): values for name, values in seen.items()}
    return Row(get(*fields), 200, "GET /x", {**ours, **wanted})


SYNTAX = {
    "folded": refused(get("X-A: b", " c")),
    "folded-by-tab": refused(get("X-A: b", "\tc")),
    "folded-identity": refused(get("X-A: b", " X-Forwarded-User: forged")),
    "folded-first": refused(raw(LINE, " X-A: b", HOST, AUTH)),
    "folded-first-by-tab": refused(raw(LINE, "\tX-A: b", HOST, AUTH)),
    "folded-host": refused(raw(LINE, "Host:", " app.test", AUTH)),
    "folded-empty": refused(get("X-A: b", " ")),
    "space-before-colon": refused(get("X-A : b")),
    "tab-before-colon": refused(get("X-A\t: b")),
    "space-before-colon-of-identity": refused(get("X-Forwarded-User : forged")),
    "space-in-name": refused(get("X A: b")),
    "no-colon": refused(get("X-A")),
    "no-colon-identity": refused(get("X-Forwarded-User")),
    "no-name": refused(get(": b")),
    "nul-in-name": refused(get("X-\0A: b")),
    "nul-in-value": refused(get("X-A: b\0c")),
    "nul-before-value": refused(get("X-A:\0b")),
    "nul-after-value": refused(get("X-A: b\0")),
    "bare-cr-in-value": refused(get("X-A: b\rX-Forwarded-User: forged")),
    "bare-cr-at-end": refused(raw(LINE, HOST, AUTH, "X-A: b\r")),
    "bare-lf-in-value": refused(get("X-A: b\nX-Forwarded-User: forged")),
    "bare-lf-at-end": refused(b"GET /x HTTP/1.1\r\nHost: app.test\r\nX-A: b\n\r\n"),
    "bare-lf-empty-line": refused(b"GET /x HTTP/1.1\r\nHost: app.test\r\nAuthorization: Bearer ann-token\r\n\n"),
    "bare-cr-empty-line": refused(
        b"GET /x HTTP/1.1\r\nHost: app.test\r\nAuthorization: Bearer ann-token\r\n\rx\r\n\r\n"
    ),
    "bell": refused(get("X-A: b\x07")),
    "delete": refused(get("X-A: b\x7f")),
    "escape": refused(get("X-A: \x1b[31m")),
    "vertical-tab": refused(get("X-A: b\x0bc")),
    "form-feed": refused(get("X-A: b\x0cc")),
    "delete-in-name": refused(get("X-\x7fA: b")),
    "obs-text-in-name": refused(get("X-\xe9: b")),
    "full-width-name": refused(get("X\xef\xbc\x8dA: b")),
    "soft-hyphen-name": refused(get("X\xad-A: b")),
    "parenthesis-in-name": refused(get("X(A): b")),
    "slash-in-name": refused(get("X/A: b")),
    "quote-in-name": refused(get('"X-A": b')),
    "comma-in-name": refused(get("X,A: b")),
    "long-value": refused(get("X-A: " + "x" * 40_000), 431),
    "long-name": refused(get("X" * 40_000 + ": x"), 431),
    "many": refused(get(*[f"X-{number}: x" for number in range(500)]), 431),
    "many-empty": refused(get(*["X:"] * 500), 431),
    "large-together": refused(get(*[f"X-{number}: " + "x" * 900 for number in range(50)]), 431),
    "second-request-line": refused(get("GET /smuggled HTTP/1.1", "Host: app.test")),
}
SINGLES = {
    "host-twice": refused(get("Host: app.test")),
    "host-other": refused(get("Host: forged.test")),
    "host-other-case": refused(get("HOST: forged.test")),
    "host-empty-too": refused(get("Host:")),
    "authorization-twice": refused(get(AUTH)),
    "authorization-other": refused(get("Authorization: Bearer bob-token")),
    "authorization-basic-too": refused(get("authorization: Basic eDp5")),
    "authorization-empty-too": refused(get("Authorization:")),
    "content-type-twice": refused(get("Content-Type: a/b", "Content-Type: c/d")),
}
PASSED = {
    "no-space": passed(get("X-A:b"), "GET /x", x_a=["b"]),
    "spaces-around": passed(get("X-A: \t b \t "), "GET /x", x_a=["b"]),
    "empty": passed(get("X-A:"), "GET /x", x_a=[""]),
    "inner-spaces": passed(get("X-A: b  \t c"), "GET /x", x_a=["b  \t c"]),
    "colons": passed(get("X-A: b: c"), "GET /x", x_a=["b: c"]),
    "obs-text": passed(get("X-A: \xe9\xff"), "GET /x", x_a=["\xe9\xff"]),
    "repeated": passed(get("X-A: b", "x-a: c"), "GET /x", x_a=["b", "c"]),
    "cookies-repeated": passed(get("Cookie: a=b", "Cookie: c=d"), "GET /x", cookie=["a=b", "c=d"]),
    "names-of-all-letters": passed(get("XYZ-abc-019: b"), "GET /x", xyz_abc_019=["b"]),
    "quoted": passed(get('X-A: "b\\"c"'), "GET /x", x_a=['"b\\"c"']),
    "encoded-line-end": passed(get("X-A: b%0d%0ac"), "GET /x", x_a=["b%0d%0ac"]),
    "unicode-line-end": passed(get("X-A: \xe5\x98\x8a\xe5\x98\x8d"), "GET /x"),
}
OWN = [
    "X-Forwarded-User",
    "X-Forwarded-Groups",
    "X-Forwarded-Email",
    "X-Forwarded-Preferred-Username",
    "X-Auth-Request-User",
    "X-Auth-Request-Groups",
    "Remote-User",
    "Remote-Groups",
    "X-Gateway-Assertion",
    "X-Forwarded-For",
    "X-Forwarded-Host",
    "X-Forwarded-Proto",
    "X-Forwarded-Uri",
    "X-Original-URL",
    "X-Rewrite-URL",
    "X-Real-IP",
    "Forwarded",
    "X-Request-Id",
    "X-HTTP-Method-Override",
]
SPELLINGS = {
    "plain": "{0}: forged",
    "no-space": "{0}:forged",
    "empty-beside": "{0}:\r\n{0}: forged",
    "twice": "{0}: forged\r\n{0}: forged",
}
FOLDED = {
    "underscore": ("-", "_"),
    "dot": ("-", "."),
    "plus": ("-", "+"),
    "dollar": ("-", "$"),
    "bar": ("-", "|"),
    "tick": ("-", "`"),
    "star": ("-", "*"),
    "hash": ("-", "#"),
    "percent": ("-", "%"),
    "caret": ("-", "^"),
    "quote": ("-", "'"),
    "ampersand": ("-", "&"),
}
FORGED = {
    **{
        f"{name.lower()}-{spelling}": dropped(form.format(name))
        for name in OWN
        for spelling, form in SPELLINGS.items()
        if name.startswith("X-Forwarded-U") or spelling == "plain"
    },
    **{
        f"all-by-{spelling}": dropped(*(f"{name.replace(*change)}: forged" for name in OWN if "-" in name))
        for spelling, change in FOLDED.items()
    },
    "all-upper": dropped(*(f"{name.upper()}: forged" for name in OWN)),
    "all-with-hyphen-after": dropped(*(f"{name.replace('-', '_')}-: x" for name in OWN)),
    "http-prefix-kept-apart": passed(get("HTTP-X-Forwarded-User: x"), "GET /x", x_forwarded_user=["ann"]),
    "proxy": dropped("Proxy: http://forged.test", "Proxy-Authorization: forged", "Proxy-Connection: forged"),
    "listed": dropped("Connection: X-Forwarded-User, X-Forwarded-For, Host, X-Request-Id"),
    "listed-twice": dropped("Connection: close, X-Forwarded-User", "Connection: X-Forwarded-For"),
    "listed-with-own": dropped("Connection: X-Forwarded-User, X-A", "X-Forwarded-User: forged", "X-A: forged"),
    "listed-odd-spaces": dropped("Connection: ,,\t X-Forwarded-User\t ,X-A,", "X-A: forged"),
    "listed-quoted": dropped('Connection: "X-Forwarded-User"'),
    "listed-by-proxy-connection": dropped("Proxy-Connection: X-Forwarded-User"),
    "listed-by-keep-alive": dropped("Keep-Alive: X-Forwarded-User"),
    "te-and-trailer": dropped("TE: trailers, forged", "Trailer: forged"),
    "upgrade-without-connection": dropped("Upgrade: forged"),
    "http2-settings": dropped("HTTP2-Settings: forged"),
    "chain-of-addresses": dropped("X-Forwarded-For: 192.0.2.1, forged", "X-Real-IP: forged"),
    "address-garbage": dropped("X-Forwarded-For: \xff\xfeforged, , ;;"),
    "proto-https": dropped("X-Forwarded-Proto: https", x_forwarded_proto=["http"]),
    "port": dropped("X-Forwarded-Port: 1", x_forwarded_port=["80"]),
    "expect-is-ours": passed(get("Expect: 100-continue"), "GET /x", expect=[]),
}
ROWS: dict[str, Row] = {
    **{f"syntax-{name}": row for name, row in SYNTAX.items()},
    **{f"single-{name}": row for name, row in SINGLES.items()},
    **{f"passed-{name}": row for name, row in PASSED.items()},
    **{f"forged-{name}": row for name, row in FORGED.items()},
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_a_field_is_read_in_one_way(played: Played, row: Row) -> None:
    await played(row)


PUBLIC = "routes: [{match: {host: app.test}, access: public, upstream: 'URL'}]"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PROPFIND"])
async def test_nothing_forged_passes_where_nobody_is_asked_who_they_are(played: Played, method: str) -> None:
    forged = [f"{name.replace('-', mark)}: forged" for name in OWN for mark in "-_."]
    for fields in (forged[:28], forged[28:]):
        await played(passed(raw(f"{method} /x HTTP/1.1", HOST, *fields), f"{method} /x", x_forwarded_user=[]), PUBLIC)


async def test_two_authorizations_are_refused_where_nobody_looks_at_them(played: Played) -> None:
    fields = ("Authorization: Basic eDp5", "authorization: Bearer forged")
    await played(refused(raw(LINE, HOST, *fields)), PUBLIC)


OURS = "gwt_" + "a" * 59
BEARERS = {
    "space": "Bearer {}",
    "tab": "Bearer\t{}",
    "two-spaces": "Bearer  {}",
    "space-and-tab": "bearer \t{}",
    "token-by-tab": "Token\t{}",
}


@pytest.mark.parametrize("form", BEARERS.values(), ids=BEARERS)
async def test_a_token_of_ours_stays_behind_on_public_routes_however_it_is_spaced(played: Played, form: str) -> None:
    await played(passed(raw(LINE, HOST, f"Authorization: {form.format(OURS)}"), "GET /x", authorization=[]), PUBLIC)
