"""Upgrades and expectations: a WebSocket's handshake is one, everything else stays HTTP or is refused."""

from __future__ import annotations

import asyncio

import pytest

from tests.proxy.proxying import Standing, connected
from tests.strict.conftest import Played
from tests.strict.recorder import Recorder
from tests.strict.rows import Row, ask, passed, refused

LINE = "GET /x HTTP/1.1"
KEY = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
UPGRADE = "Connection: Upgrade"
CHUNKS = b"2\r\nhi\r\n0\r\n\r\n"
SMUGGLED = ask("GET /smuggled HTTP/1.1")


def asking(*fields: str, line: str = LINE, body: bytes = b"") -> Row:
    return refused(ask(line, *fields, body=body))


REFUSED = {
    "h2c": asking(UPGRADE, "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA"),
    "h2c-listed": asking("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABk"),
    "h2c-with-body": asking(UPGRADE, "Upgrade: h2c", "Content-Length: 2", line="POST /x HTTP/1.1", body=b"hi"),
    "h2c-smuggling": asking(UPGRADE, "Upgrade: h2c", body=SMUGGLED),
    "h2c-beside-websocket": asking(UPGRADE, "Upgrade: h2c, websocket", KEY),
    "websocket-beside-h2c": asking(UPGRADE, "Upgrade: websocket, h2c", KEY),
    "two-fields": asking(UPGRADE, "Upgrade: websocket", "Upgrade: h2c", KEY),
    "one-twice": asking(UPGRADE, "Upgrade: websocket", "Upgrade: websocket", KEY),
    "version": asking(UPGRADE, "Upgrade: websocket/13", KEY),
    "tls": asking(UPGRADE, "Upgrade: TLS/1.0"),
    "http": asking(UPGRADE, "Upgrade: HTTP/2.0"),
    "other": asking(UPGRADE, "Upgrade: forged"),
    "empty": asking(UPGRADE, "Upgrade:"),
    "quoted": asking(UPGRADE, 'Upgrade: "websocket"', KEY),
    "kelvin-sign": asking(UPGRADE, "Upgrade: websoc\xe2\x84\xaaet", KEY),
    "no-break-space": asking(UPGRADE, "Upgrade: websocket\xc2\xa0", KEY),
    "post": asking(UPGRADE, "Upgrade: websocket", KEY, line="POST /x HTTP/1.1"),
    "post-with-body": asking(
        UPGRADE, "Upgrade: websocket", KEY, "Content-Length: 2", line="POST /x HTTP/1.1", body=b"hi"
    ),
    "head": asking(UPGRADE, "Upgrade: websocket", KEY, line="OPTIONS /x HTTP/1.1"),
    "http-1.0": asking(UPGRADE, "Upgrade: websocket", KEY, line="GET /x HTTP/1.0"),
    "with-length": asking(UPGRADE, "Upgrade: websocket", KEY, "Content-Length: 2", body=b"hi"),
    "with-chunks": asking(UPGRADE, "Upgrade: websocket", KEY, "Transfer-Encoding: chunked", body=CHUNKS),
    "connect": asking(UPGRADE, "Upgrade: websocket", KEY, line="CONNECT app.test:80 HTTP/1.1"),
    "connect-with-path": asking(line="CONNECT /x HTTP/1.1"),
}
PASSED = {
    "not-listed": passed(ask(LINE, "Upgrade: websocket", KEY), "GET /x", upgrade=[], connection=[]),
    "h2c-not-listed": passed(ask(LINE, "Upgrade: h2c"), "GET /x", upgrade=[], connection=[]),
    "listed-but-not-there": passed(ask(LINE, UPGRADE), "GET /x", upgrade=[], connection=[]),
    "listed-otherwise": passed(ask(LINE, "Connection: xUpgrade", "Upgrade: websocket"), "GET /x", upgrade=[]),
    "by-alias": passed(ask(LINE, UPGRADE, "Up_grade: h2c", "Upgrade_: h2c"), "GET /x", upgrade=[]),
}
EXPECTATIONS = {
    "other": refused(ask("POST /x HTTP/1.1", "Content-Length: 2", "Expect: forged", body=b"hi"), 417),
    "other-of-get": refused(ask(LINE, "Expect: 200-ok"), 417),
    "beside-100": refused(ask("POST /x HTTP/1.1", "Content-Length: 0", "Expect: 100-continue, forged"), 417),
    "second-field": refused(ask("POST /x HTTP/1.1", "Content-Length: 0", "Expect: 100-continue", "Expect: x=y"), 417),
    "parameter": refused(ask("POST /x HTTP/1.1", "Content-Length: 0", "Expect: 100-continue;a=b"), 417),
    "kelvin-sign": refused(ask("POST /x HTTP/1.1", "Content-Length: 0", "Expect: 100-\xe2\x84\xaaontinue"), 417),
    "without-body": passed(ask(LINE, "Expect: 100-continue"), "GET /x", expect=[]),
    "empty": passed(ask(LINE, "Expect:"), "GET /x", expect=[]),
    "length-0": passed(ask("POST /x HTTP/1.1", "Content-Length: 0", "Expect: 100-continue"), "POST /x", expect=[]),
    "http-1.0": passed(
        ask("POST /x HTTP/1.0", "Content-Length: 2", "Expect: 100-continue", body=b"hi"),
        "POST /x",
        body=b"hi",
        expect=[],
    ),
}
ROWS: dict[str, Row] = {
    **{f"upgrade-{name}": row for name, row in REFUSED.items()},
    **{f"no-upgrade-{name}": row for name, row in PASSED.items()},
    **{f"expect-{name}": row for name, row in EXPECTATIONS.items()},
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_nothing_but_a_websocket_leaves_http(played: Played, row: Row) -> None:
    await played(row)


@pytest.mark.parametrize("value", ["100-continue", "100-Continue", "100-continue, 100-continue", " 100-CONTINUE ,"])
@pytest.mark.parametrize("framing", ["Content-Length: 2", "Transfer-Encoding: chunked"])
async def test_a_client_that_waits_for_100_gets_one_and_then_its_answer(
    front: Standing, recorder: Recorder, value: str, framing: str
) -> None:
    async with connected(front.port) as client:
        for _ in range(2):
            client.send(ask("POST /x HTTP/1.1", f"Expect: {value}", framing))
            status, head = await client.head()
            assert (status, head) == (100, b"HTTP/1.1 100 Continue")
            client.send(b"hi" if "Length" in framing else CHUNKS)
            reply = await client.reply()
            assert (reply.status, reply.body) == (200, b"POST /x")
    assert [each.body for each in recorder.seen] == [b"hi"] * 2
    assert recorder.malformed == []


@pytest.mark.parametrize(
    "data", [ask(LINE, UPGRADE, "Upgrade: h2c"), ask("CONNECT /x HTTP/1.1"), ask("CONNECT app.test:80 HTTP/1.1")]
)
async def test_bytes_behind_a_refused_upgrade_are_no_request(front: Standing, recorder: Recorder, data: bytes) -> None:
    async with connected(front.port) as client:
        client.send(data + SMUGGLED)
        assert (await client.reply()).status == 400
        assert await client.ended() == b""
    await asyncio.sleep(0)
    assert recorder.seen == []
