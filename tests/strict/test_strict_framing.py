"""Where a request's body ends: said once, in one way; and what is sent on says it anew."""

from __future__ import annotations

import pytest

from tests.strict.conftest import Played
from tests.strict.rows import Row, ask, passed, refused, torn

CHUNKS = b"2\r\nhi\r\n0\r\n\r\n"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: app.test\r\n\r\n"


def post(*fields: str, body: bytes = b"") -> bytes:
    return ask("POST /x HTTP/1.1", *fields, body=body)


def length(text: str, body: bytes = b"hi") -> Row:
    return refused(post(f"Content-Length:{text}", body=body))


def coding(text: str, body: bytes = CHUNKS) -> Row:
    return refused(post(f"Transfer-Encoding: {text}", body=body))


def chunks(body: bytes, status: int = 400) -> Row:
    return torn(post("Transfer-Encoding: chunked", body=body), status)


LENGTHS = {
    "twice": refused(post("Content-Length: 2", "Content-Length: 2", body=b"hi")),
    "two": refused(post("Content-Length: 2", f"Content-Length: {len(SMUGGLED) + 2}", body=b"hi" + SMUGGLED)),
    "two-zero-first": refused(post("Content-Length: 0", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED)),
    "two-spellings": refused(post("Content-Length: 2", "content-length: 0", body=b"hi")),
    "list": length(" 2, 2"),
    "list-different": length(" 2,0"),
    "signed": length(" +2"),
    "negative": length(" -1"),
    "minus-zero": length(" -0"),
    "hexadecimal": length(" 0x2"),
    "octal": length(" 0o2"),
    "underscore": length(" 1_0", b"x" * 10),
    "exponent": length(" 2e0"),
    "decimal": length(" 2.0"),
    "word": length(" two"),
    "empty": length(""),
    "blank": length("  "),
    "quoted": length(' "2"'),
    "inner-space": length(" 1 0", b"x" * 10),
    "inner-tab": length(" 1\t0", b"x" * 10),
    "trailing-word": length(" 2 x"),
    "semicolon": length(" 2;x"),
    "nul": length(" 2\0"),
    "vertical-tab": length(" \x0b2"),
    "arabic-digit": length(" \xd9\xa2"),
    "full-width-digit": length(" \xef\xbc\x92"),
    "superscript": length(" \xb2"),
    "beyond-64-bits": length(" 18446744073709551618"),
    "beyond-64-bits-by-far": length(" " + "9" * 40),
    "space-before-colon": refused(post("Content-Length : 2", body=b"hi")),
    "tab-before-colon": refused(post("Content-Length\t: 2", body=b"hi")),
    "folded": refused(post("Content-Length:", " 2", body=b"hi")),
    "too-large": Row(post("Content-Length: 99999999999999", body=b"hi"), 413, whole=False),
    "over-the-limit-by-one": Row(post("Content-Length: 1073741825", body=b"hi"), 413, whole=False),
}
BOTH = {
    "length-first": refused(post("Content-Length: 2", "Transfer-Encoding: chunked", body=CHUNKS)),
    "coding-first": refused(post("Transfer-Encoding: chunked", "Content-Length: 2", body=CHUNKS)),
    "length-of-smuggled": refused(
        post(f"Content-Length: {len(SMUGGLED) + 5}", "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
    ),
    "zero-length": refused(post("Content-Length: 0", "Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED)),
    "identity": refused(post("Content-Length: 2", "Transfer-Encoding: identity", body=b"hi")),
    "odd-coding": refused(post("Content-Length: 2", "Transfer-Encoding: xchunked", body=b"hi")),
    "vertical-tab": refused(post("Content-Length: 2", "Transfer-Encoding: \x0bchunked", body=CHUNKS)),
    "get": refused(
        ask("GET /x HTTP/1.1", f"Content-Length: {len(SMUGGLED)}", "Transfer-Encoding: chunked", body=b"0\r\n\r\n")
    ),
}
CODINGS = {
    "gzip": coding("gzip", b"hi"),
    "identity": coding("identity", b"hi"),
    "gzip-chunked": coding("gzip, chunked"),
    "chunked-gzip": coding("chunked, gzip"),
    "twice": coding("chunked, chunked"),
    "two-fields": refused(post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked", body=CHUNKS)),
    "two-fields-different": refused(post("Transfer-Encoding: chunked", "Transfer-Encoding: identity", body=CHUNKS)),
    "two-fields-reversed": refused(post("Transfer-Encoding: identity", "Transfer-Encoding: chunked", body=CHUNKS)),
    "letter-before": coding("xchunked"),
    "letter-after": coding("chunkedx"),
    "word-before": coding("x chunked"),
    "word-after": coding("chunked x"),
    "parameter": coding("chunked;x=y"),
    "quoted": coding('"chunked"'),
    "comma-before": coding(", chunked"),
    "comma-after": coding("chunked,"),
    "empty": coding(""),
    "nul": coding("chunked\0"),
    "vertical-tab-after": coding("chunked\x0b"),
    "form-feed-before": coding("\x0cchunked"),
    "no-break-space": coding("\xa0chunked"),
    "no-break-space-in-utf-8": coding("\xc2\xa0chunked"),
    "kelvin-sign": coding("chun\xe2\x84\xaaed"),
    "space-before-colon": refused(post("Transfer-Encoding : chunked", body=CHUNKS)),
    "tab-before-colon": refused(post("Transfer-Encoding\t: chunked", body=CHUNKS)),
    "folded": refused(post("Transfer-Encoding:", " chunked", body=CHUNKS)),
    "folded-behind": refused(post("X: y", " Transfer-Encoding: chunked", body=CHUNKS)),
    "http-1.0": refused(ask("POST /x HTTP/1.0", "Transfer-Encoding: chunked", body=CHUNKS)),
    "http-1.0-kept": refused(
        ask("POST /x HTTP/1.0", "Connection: keep-alive", "Transfer-Encoding: chunked", body=CHUNKS)
    ),
}
# The head of these may be on its way before the body turns out to be broken.
CHUNKED = {
    "size-word": chunks(b"zz\r\nhi\r\n0\r\n\r\n"),
    "size-empty": chunks(b"\r\nhi\r\n0\r\n\r\n"),
    "size-negative": chunks(b"-2\r\nhi\r\n0\r\n\r\n"),
    "size-signed": chunks(b"+2\r\nhi\r\n0\r\n\r\n"),
    "size-prefixed": chunks(b"0x2\r\nhi\r\n0\r\n\r\n"),
    "size-underscore": chunks(b"0_2\r\nhi\r\n0\r\n\r\n"),
    "size-space-before": chunks(b" 2\r\nhi\r\n0\r\n\r\n"),
    "size-space-after": chunks(b"2 \r\nhi\r\n0\r\n\r\n"),
    "size-tab-after": chunks(b"2\t\r\nhi\r\n0\r\n\r\n"),
    "size-nul": chunks(b"2\0\r\nhi\r\n0\r\n\r\n"),
    "size-beyond-64-bits": chunks(b"10000000000000002\r\nhi\r\n0\r\n\r\n"),
    "size-beyond-64-bits-by-far": chunks(b"f" * 18 + b"\r\nhi\r\n0\r\n\r\n"),
    "size-bare-lf": chunks(b"2\nhi\r\n0\r\n\r\n"),
    "size-bare-cr": chunks(b"2\rhi\r\n0\r\n\r\n"),
    "size-cr-cr-lf": chunks(b"2\r\r\nhi\r\n0\r\n\r\n"),
    "all-bare-lf": chunks(b"2\nhi\n0\n\n"),
    "data-longer": chunks(b"2\r\nhix0\r\n\r\n"),
    "data-longer-by-a-chunk": chunks(b"2\r\nhi!\r\n0\r\n\r\n"),
    "data-shorter": chunks(b"3\r\nhi\r\n0\r\n\r\n"),
    "data-bare-lf": chunks(b"2\r\nhi\n0\r\n\r\n"),
    "data-bare-cr": chunks(b"2\r\nhi\r0\r\n\r\n"),
    "data-no-end": chunks(b"2\r\nhi0\r\n\r\n"),
    "extension-bare-lf": chunks(b"2;a\nhi\r\n0\r\n\r\n"),
    "extension-lf-in-value": chunks(b"2;a=b\nc\r\nhi\r\n0\r\n\r\n"),
    "extension-quoted-lf": chunks(b'2;a="\n"\r\nhi\r\n0\r\n\r\n'),
    "extension-nul": chunks(b"2;a=\0\r\nhi\r\n0\r\n\r\n"),
    "extension-bare-cr": chunks(b"2;a=\rb\r\nhi\r\n0\r\n\r\n"),
    "last-bare-lf": chunks(b"2\r\nhi\r\n0\n\r\n"),
    "trailer-no-colon": chunks(b"2\r\nhi\r\n0\r\nX-Trailer\r\n\r\n"),
    "trailer-space-before-colon": chunks(b"2\r\nhi\r\n0\r\nX-Trailer : x\r\n\r\n"),
    "trailer-length": chunks(b"2\r\nhi\r\n0\r\nContent-Length: 50\r\n\r\n"),
    "trailer-coding": chunks(b"2\r\nhi\r\n0\r\nTransfer-Encoding: chunked\r\n\r\n"),
    "trailers-without-number": chunks(b"2\r\nhi\r\n0\r\n" + b"X-A: b\r\n" * 5000 + b"\r\n", 431),
    "trailer-without-end": chunks(b"2\r\nhi\r\n0\r\nX-A: " + b"b" * 100_000 + b"\r\n\r\n", 431),
    "trailer-nul": chunks(b"2\r\nhi\r\n0\r\nX-Trailer: \0\r\n\r\n"),
    "trailer-bare-lf": chunks(b"2\r\nhi\r\n0\r\nX-Trailer: x\n\r\n"),
    "trailer-folded": chunks(b"2\r\nhi\r\n0\r\nX-Trailer: x\r\n y\r\n\r\n"),
}


def kept(body: bytes, *fields: str, is_body: bytes = b"hi") -> Row:
    return passed(
        post("Transfer-Encoding: chunked", *fields, body=body),
        "POST /x",
        body=is_body,
        transfer_encoding=["chunked"],
        content_length=[],
        trailer=[],
        te=[],
        x_trailer=[],
        x_forwarded_user=["ann"],
    )


PASSED = {
    "length": passed(post("Content-Length: 2", body=b"hi"), "POST /x", body=b"hi", content_length=["2"]),
    "length-0": passed(post("Content-Length: 0"), "POST /x", content_length=["0"], transfer_encoding=[]),
    "length-007": passed(post("Content-Length: 0000002", body=b"hi"), "POST /x", body=b"hi", content_length=["2"]),
    "length-spaced": passed(post("Content-Length: \t 2 \t", body=b"hi"), "POST /x", body=b"hi", content_length=["2"]),
    "length-upper": passed(post("CONTENT-LENGTH: 2", body=b"hi"), "POST /x", body=b"hi", content_length=["2"]),
    "length-of-get": passed(
        ask("GET /x HTTP/1.1", "Content-Length: 2", body=b"hi"), "GET /x", body=b"hi", content_length=["2"]
    ),
    "length-of-delete": passed(
        ask("DELETE /x HTTP/1.1", f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED), "DELETE /x", body=SMUGGLED
    ),
    "length-of-http-1.0": passed(ask("POST /x HTTP/1.0", "Content-Length: 2", body=b"hi"), "POST /x", body=b"hi"),
    "no-length": passed(post(), "POST /x", content_length=[], transfer_encoding=[]),
    "body-like-a-request": passed(post(f"Content-Length: {len(SMUGGLED)}", body=SMUGGLED), "POST /x", body=SMUGGLED),
    "body-like-chunks": passed(post("Content-Length: 12", body=CHUNKS), "POST /x", body=CHUNKS),
    "alias-of-length": passed(
        post("Content_Length: 0", "Content-Length: 2", body=b"hi"), "POST /x", body=b"hi", content_length=["2"]
    ),
    "alias-of-coding": passed(
        post("Transfer_Encoding: chunked", "Content-Length: 2", body=b"hi"), "POST /x", body=b"hi", transfer_encoding=[]
    ),
    "other-name-of-coding": passed(post("Transfer-Encodin: chunked"), "POST /x", transfer_encoding=[]),
    "coding-listed": passed(
        post("Connection: Transfer-Encoding, Content-Length", "Content-Length: 2", body=b"hi"),
        "POST /x",
        body=b"hi",
        content_length=["2"],
    ),
    "chunked": kept(CHUNKS),
    "chunked-mixed-case": passed(post("Transfer-Encoding: ChUnKeD", body=CHUNKS), "POST /x", body=b"hi"),
    "chunked-listed": kept(CHUNKS, "Connection: Transfer-Encoding"),
    "chunked-get": passed(ask("GET /x HTTP/1.1", "Transfer-Encoding: chunked", body=CHUNKS), "GET /x", body=b"hi"),
    "chunked-empty": kept(b"0\r\n\r\n", is_body=b""),
    "chunked-zeros": kept(b"0000002\r\nhi\r\n000\r\n\r\n"),
    "chunked-upper-size": kept(b"A\r\n0123456789\r\n0\r\n\r\n", is_body=b"0123456789"),
    "chunked-in-two": kept(b"1\r\nh\r\n1\r\ni\r\n0\r\n\r\n"),
    "chunked-extension": kept(b"2;a\r\nhi\r\n0;b=c\r\n\r\n"),
    "chunked-quoted-extension": kept(b'2;a="b;c"\r\nhi\r\n0\r\n\r\n'),
    "chunked-body-like-an-end": kept(b"7\r\n\r\n0\r\n\r\n\r\n0\r\n\r\n", is_body=b"\r\n0\r\n\r\n"),
    "chunked-body-like-a-request": kept(b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED), is_body=SMUGGLED),
    "trailer": kept(b"2\r\nhi\r\n0\r\nX-Trailer: x\r\n\r\n", "Trailer: X-Trailer", "TE: trailers"),
    "trailer-of-identity": kept(b"2\r\nhi\r\n0\r\nX-Forwarded-User: forged\r\nX_Forwarded_User: forged\r\n\r\n"),
    "trailer-of-host": kept(b"2\r\nhi\r\n0\r\nHost: forged\r\n\r\n"),
    "trailer-of-credentials": kept(b"2\r\nhi\r\n0\r\nAuthorization: Bearer bob-token\r\n\r\n"),
    "trailer-of-connection": kept(b"2\r\nhi\r\n0\r\nConnection: close, X-Forwarded-User\r\n\r\n"),
    "trailers": kept(b"2\r\nhi\r\n0\r\n" + b"".join(b"X-%d: x\r\n" % number for number in range(50)) + b"\r\n"),
}
ROWS: dict[str, Row] = {
    **{f"length-{name}": row for name, row in LENGTHS.items()},
    **{f"both-{name}": row for name, row in BOTH.items()},
    **{f"coding-{name}": row for name, row in CODINGS.items()},
    **{f"chunk-{name}": row for name, row in CHUNKED.items()},
    **{f"passed-{name}": row for name, row in PASSED.items()},
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_a_body_ends_where_everybody_sees_it_end(played: Played, row: Row) -> None:
    await played(row)
