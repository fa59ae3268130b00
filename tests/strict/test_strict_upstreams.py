"""What bad upstreams answer: 502, 504 or an answer that is cut visibly, and never another client's bytes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from tests.proxy.conftest import ROUTES
from tests.proxy.proxying import RawClient, Standing, connected, request
from tests.strict.script import Bad, Script

H = b"HTTP/1.1 200 OK\r\n"
CHUNKED = H + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = H + b"Content-Length: 2\r\n\r\n"
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"


def bad(*pieces: bytes, then: str = "close", method: str = "GET") -> Bad:
    return Bad(pieces, 502, then=then, method=method)


def field(line: bytes) -> Bad:
    return bad(H + line + b"\r\nContent-Length: 2\r\n\r\nok")


def framing(*lines: bytes, body: bytes = b"ok") -> Bad:
    return bad(H + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body)


def cut(*pieces: bytes, then: str = "close") -> Bad:
    return Bad(pieces, 200, then=then)


def good(*pieces: bytes, body: bytes = b"ok", status: int = 200, then: str = "keep", method: str = "GET") -> Bad:
    return Bad(pieces, status, body, then, method)


HEADS = {
    "http-0.9": bad(b"hello\r\n\r\n"),
    "nothing-like-http": bad(b"\x00\x01\x02\x03" * 30),
    "ssh": bad(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "empty-line-first": bad(b"\r\n" + LENGTH + b"ok"),
    "rtsp": bad(b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "ice": bad(b"ICE/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "http-2": bad(b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "http-1.2": bad(b"HTTP/1.2 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "http-lower": bad(b"http/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "http-2-frame": bad(b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + b"\x00" * 18),
    "tls-alert": bad(b"\x15\x03\x01\x00\x02\x02\x28"),
    "status-0": bad(b"HTTP/1.1 000 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status-99": bad(b"HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status-600": bad(b"HTTP/1.1 600 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status-999": bad(b"HTTP/1.1 999 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status-two-digits": bad(b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status-four-digits": bad(b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status-negative": bad(b"HTTP/1.1 -200 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status-signed": bad(b"HTTP/1.1 +20 OK\r\nContent-Length: 2\r\n\r\nok"),
    "status-word": bad(b"HTTP/1.1 OK 200\r\nContent-Length: 2\r\n\r\nok"),
    "status-none": bad(b"HTTP/1.1\r\nContent-Length: 2\r\n\r\nok"),
    "nul-in-reason": bad(b"HTTP/1.1 200 O\x00K\r\nContent-Length: 2\r\n\r\nok"),
    "cr-in-reason": bad(b"HTTP/1.1 200 O\rK\r\nContent-Length: 2\r\n\r\nok"),
    "lf-in-reason": bad(b"HTTP/1.1 200 O\nK\r\nContent-Length: 2\r\n\r\nok"),
    "field-in-reason": bad(b"HTTP/1.1 200 O\rSet-Cookie: a=b\r\nContent-Length: 2\r\n\r\nok"),
    "escape-in-reason": bad(b"HTTP/1.1 200 \x1b[31m\r\nContent-Length: 2\r\n\r\nok"),
    "folded": field(b"X-A: b\r\n c"),
    "folded-by-tab": field(b"X-A: b\r\n\tc"),
    "folded-first": field(b" X-A: b"),
    "space-before-colon": field(b"X-A : b"),
    "no-name": field(b": b"),
    "no-colon": field(b"X-A"),
    "nul-in-name": field(b"X-\0A: b"),
    "nul-in-value": field(b"X-A: \x00"),
    "bell-in-value": field(b"X-A: \x07"),
    "bare-cr": field(b"X-A: b\rX-B: c"),
    "bare-lf-field": field(b"X-A: b\nX-B: c"),
    "bare-lf": bad(b"HTTP/1.1 200 OK\nContent-Length: 2\n\nok"),
    "bare-lf-empty-line": bad(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok"),
    "bare-cr-lines": bad(b"HTTP/1.1 200 OK\rContent-Length: 2\r\rok"),
    "large": field(b"X-A: " + b"x" * 70_000),
    "large-name": field(b"X" * 70_000 + b": x"),
    "large-of-many": field(b"\r\n".join(b"X-%d: %b" % (number, b"x" * 100) for number in range(700))),
    "large-of-empty": field(b"\r\n".join([b"X:"] * 20_000)),
    "large-reason": bad(b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\nContent-Length: 2\r\n\r\nok"),
    "unasked-upgrade": bad(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"),
    "unasked-101": bad(b"HTTP/1.1 101 Switching\r\n\r\n" + LENGTH + b"ok"),
    "interim-flood": bad(b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000),
    "interim-flood-before": bad(INTERIM * 3_000 + LENGTH + b"ok"),
    "interim-with-body": bad(b"HTTP/1.1 100 Continue\r\nContent-Length: 6\r\n\r\npoison" + LENGTH + b"ok"),
    "interim-then-garbage": bad(INTERIM + b"poison"),
    "interim-then-end": bad(INTERIM),
    "interim-65": bad(INTERIM * 65 + LENGTH + b"ok"),
}
FRAMINGS = {
    "two": framing(b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"),
    "two-reversed": framing(b"Transfer-Encoding: chunked", b"Content-Length: 2", body=b"2\r\nok\r\n0\r\n\r\n"),
    "two-lengths": framing(b"Content-Length: 2", b"Content-Length: 3", body=b"okk"),
    "one-length-twice": framing(b"Content-Length: 2", b"Content-Length: 2"),
    "length-list": framing(b"Content-Length: 2, 2"),
    "length-signed": framing(b"Content-Length: +2"),
    "length-negative": framing(b"Content-Length: -2"),
    "length-empty": framing(b"Content-Length:"),
    "length-word": framing(b"Content-Length: two"),
    "length-hexadecimal": framing(b"Content-Length: 0x2"),
    "length-inner-space": framing(b"Content-Length: 1 0", body=b"0123456789"),
    "length-underscore": framing(b"Content-Length: 1_0", body=b"0123456789"),
    "length-beyond-64-bits": framing(b"Content-Length: 18446744073709551618"),
    "coding-other": framing(b"Transfer-Encoding: gzip"),
    "coding-identity": framing(b"Transfer-Encoding: identity"),
    "coding-two": framing(b"Transfer-Encoding: gzip, chunked", body=b"2\r\nok\r\n0\r\n\r\n"),
    "coding-two-reversed": framing(b"Transfer-Encoding: chunked, gzip", body=b"2\r\nok\r\n0\r\n\r\n"),
    "coding-two-fields": framing(
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked", body=b"2\r\nok\r\n0\r\n\r\n"
    ),
    "coding-almost": framing(b"Transfer-Encoding: xchunked", body=b"2\r\nok\r\n0\r\n\r\n"),
    "coding-empty": framing(b"Transfer-Encoding:", body=b"2\r\nok\r\n0\r\n\r\n"),
    "coding-1.0": bad(b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
    "length-space-before-colon": framing(b"Content-Length : 2"),
}
ENDS = {
    **{
        f"{name}-{then}": bad(piece, then=then)
        for then in ("close", "reset")
        for name, piece in {
            "at-once": b"",
            "mid-version": b"HTTP/1",
            "mid-status": b"HTTP/1.1 20",
            "mid-name": H + b"Content-Le",
            "mid-value": H + b"X-A: b",
            "before-empty-line": H + b"Content-Length: 2\r\n",
            "mid-empty-line": H + b"Content-Length: 2\r\n\r",
        }.items()
    },
    **{
        f"{name}-hang": Bad((piece,), 504, then="hang")
        for name, piece in {"at-once": b"", "mid-status": b"HTTP/1.1 20", "mid-head": H + b"X-A: b"}.items()
    },
    "interim-hang": Bad((INTERIM,), 504, then="hang"),
    **{
        f"{name}-{then}": cut(piece, then=then)
        for then in ("close", "reset", "hang")
        for name, piece in {
            "length-no-body": LENGTH,
            "length-mid-body": LENGTH + b"o",
            "length-large": H + b"Content-Length: 9223372036854775807\r\n\r\nok",
            "chunked-no-body": CHUNKED,
            "chunked-mid-size": CHUNKED + b"2",
            "chunked-mid-chunk": CHUNKED + b"2\r\no",
            "chunked-after-chunk": CHUNKED + b"2\r\nok\r\n",
            "chunked-mid-last": CHUNKED + b"2\r\nok\r\n0\r\n",
            "chunked-mid-trailer": CHUNKED + b"2\r\nok\r\n0\r\nX-A: b\r\n",
        }.items()
    },
    "until-closed-reset": cut(H + b"\r\nok", then="reset"),
    "until-closed-hang": cut(H + b"\r\nok", then="hang"),
}


def broken(chunks: bytes) -> Bad:
    """Let the head arrive first: what is wrong after it can only be told by cutting the connection."""
    return cut(CHUNKED + b"2\r\nok\r\n", chunks + POISON)


BODIES = {
    "size-word": broken(b"zz\r\n"),
    "size-empty": broken(b"\r\n"),
    "size-signed": broken(b"+2\r\nok\r\n"),
    "size-prefixed": broken(b"0x2\r\nok\r\n"),
    "size-spaced": broken(b" 2\r\nok\r\n"),
    "size-beyond-64-bits": broken(b"10000000000000002\r\nok\r\n"),
    "size-bare-lf": broken(b"2\nok\r\n"),
    "data-longer": broken(b"2\r\nokx\r\n"),
    "data-bare-lf": broken(b"2\r\nok\n"),
    "extension-bare-lf": broken(b"2;a\nok\r\n"),
    "extension-nul": broken(b"2;a=\0\r\nok\r\n"),
    "extension-long": broken(b"2;a=" + b"b" * 200_000),
    "extension-many": broken(b"2" + b";a=b" * 50_000),
    "trailer-no-colon": broken(b"0\r\nX-A\r\n\r\n"),
    "trailer-nul": broken(b"0\r\nX-A: \0\r\n\r\n"),
    "trailer-length": broken(b"0\r\nContent-Length: 6\r\n\r\n"),
    "trailer-long": broken(b"0\r\nX-A: " + b"b" * 200_000),
    "trailers-thousands": broken(b"0\r\n" + b"X-A: b\r\n" * 50_000),
}
PASSED = {
    "length": good(LENGTH + b"ok"),
    "length-zeros": good(H + b"Content-Length: 002\r\n\r\nok"),
    "length-in-two": good(LENGTH + b"o", b"k"),
    "chunked": good(CHUNKED + b"2\r\nok\r\n0\r\n\r\n"),
    "chunk-extensions": good(CHUNKED + b'2;a=b;c="d;e"\r\nok\r\n0;x\r\n\r\n'),
    "trailers": good(CHUNKED + b"2\r\nok\r\n0\r\n" + b"X-A: b\r\n" * 500 + b"X-Forwarded-User: forged\r\n\r\n"),
    "until-closed": good(H + b"\r\nok", then="close"),
    "until-closed-in-two": good(H + b"\r\no", b"k", then="close"),
    "http-1.0": good(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", then="close"),
    "no-reason": good(b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"),
    "interim": good(b"HTTP/1.1 100 Continue\r\n\r\n" + INTERIM * 3 + LENGTH + b"ok"),
    "interim-apart": good(INTERIM, LENGTH + b"ok"),
    "interim-64": good(INTERIM * 64 + LENGTH + b"ok"),
    "interim-102": good(b"HTTP/1.1 102 Processing\r\n\r\n", LENGTH + b"ok"),
    "interim-length-is-not-the-answers": good(b"HTTP/1.1 103 Hints\r\nX-Aside: x\r\n\r\n" + LENGTH + b"ok"),
    "no-content": good(b"HTTP/1.1 204 No Content\r\n\r\n", body=b"", status=204),
    "not-modified": good(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", body=b"", status=304),
    "head": good(H + b"Content-Length: 9\r\n\r\n", body=b"", method="HEAD"),
    "head-chunked": good(CHUNKED, body=b"", method="HEAD"),
    # What follows an answer is nobody's.
    "length-too-short": good(LENGTH + b"okpoison"),
    "second-answer": good(LENGTH + b"ok" + POISON),
    "second-answer-apart": good(LENGTH + b"ok", POISON),
    "second-answer-behind-an-empty-line": good(LENGTH + b"ok\r\n" + POISON),
    "second-answer-after-chunks": good(CHUNKED + b"2\r\nok\r\n0\r\n\r\n" + POISON),
    "second-answer-after-no-content": good(b"HTTP/1.1 204 No\r\n\r\n" + POISON, body=b"", status=204),
    "second-answer-after-not-modified": good(b"HTTP/1.1 304 No\r\n\r\n" + POISON, body=b"", status=304),
    "no-content-with-a-body": good(b"HTTP/1.1 204 No\r\nContent-Length: 6\r\n\r\npoison", body=b"", status=204),
    "not-modified-with-a-body": good(b"HTTP/1.1 304 No\r\nContent-Length: 6\r\n\r\npoison", body=b"", status=304),
    "head-with-a-body": good(H + b"Content-Length: 6\r\n\r\npoison", body=b"", method="HEAD"),
    "head-with-chunks": good(CHUNKED + b"6\r\npoison\r\n0\r\n\r\n", body=b"", method="HEAD"),
    "interim-after": good(LENGTH + b"ok" + INTERIM),
    "interim-after-apart": good(LENGTH + b"ok", INTERIM),
    "garbage-after": good(LENGTH + b"ok\0\0\0"),
}
ROWS: dict[str, Bad] = {
    **{f"head-{name}": row for name, row in HEADS.items()},
    **{f"framing-{name}": row for name, row in FRAMINGS.items()},
    **{f"end-{name}": row for name, row in ENDS.items()},
    **{f"body-{name}": row for name, row in BODIES.items()},
    **{f"passed-{name}": row for name, row in PASSED.items()},
}


@pytest.fixture
async def script() -> AsyncIterator[Script]:
    running = Script()
    await running.start()
    yield running
    await running.stop()


async def ask_own(client: RawClient, number: int) -> None:
    client.send(request(f"GET /own/{number}"))
    reply = await client.reply()
    assert (reply.status, reply.body) == (200, f"/own/{number}".encode())


async def play(front: Standing, row: Bad, *, before: int) -> None:
    """Ask for the bad answer after so many good ones on the connection, and hold that everybody's own come after."""
    async with connected(front.port) as client, connected(front.port) as other:
        for number in range(before):
            await ask_own(client, number)
        client.send(request(f"{row.method} /bad"))
        closed = await _take(client, row)
        await asyncio.sleep(0.02 if len(row.pieces) > 1 else 0)
        for number in range(100, 103):
            await ask_own(other, number)
            if not closed:
                await ask_own(client, number + 100)


async def _take(client: RawClient, row: Bad) -> bool:
    """Hold the answer against the row; return whether the connection is closed."""
    if row.status == 200 and row.body is None:
        # Where all of it arrived at once, nothing has been sent yet: then it is a 502.
        try:
            reply = await client.reply()
        except (asyncio.IncompleteReadError, ConnectionError):
            return True
        assert reply.status in {502, 504}
        return reply.all("connection") == ["close"]
    reply = await client.reply(method=row.method)
    assert reply.status == row.status, reply
    assert reply.all("x-aside") == reply.all("link") == []
    if row.status in {502, 504}:
        assert reply.one("content-type") == "application/problem+json"
    else:
        assert reply.body == row.body
        assert len(reply.all("content-length") + reply.all("transfer-encoding")) <= 1
        assert b"poison" not in reply.head
    return reply.all("connection") == ["close"]


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
async def test_an_upstream_cannot_make_the_gateway_answer_wrongly(
    stand_before: Callable[..., Awaitable[Standing]], script: Script, row: Bad
) -> None:
    patience = "300ms" if row.then == "hang" else "5s"
    routes = ROUTES.replace("RESPONSE", patience).replace("IDLE", patience)
    front = await stand_before(script.url, routes)
    script.bad = row
    for before in (0, 2):
        for script.in_pieces in (False, True):
            await play(front, row, before=before)
