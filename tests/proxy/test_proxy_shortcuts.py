"""The readings of the shortcuts agree with those of the parsers that they stand in for."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from aiohttp.http_parser import HttpRequestParser, RawRequestMessage
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.proxy.boundary import Boundary
from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.fast_lane import _LINE, _QUERY_END
from gateway.proxy.times import Times
from gateway.proxy.whole_response import read_whole


class _Transport:
    """Takes what is written."""

    def write(self, data: bytes) -> None:
        pass

    def abort(self) -> None:
        pass

    pause_reading = abort

    def is_closing(self) -> bool:
        return False


def _parsed(data: bytes, loop: asyncio.AbstractEventLoop) -> tuple[Any, ...] | None:
    """What the plain path makes of ``data``: None unless it is one whole response on a connection that is kept."""
    connection = UpstreamConnection(loop, b"app")
    connection.connection_made(_Transport())  # type: ignore[arg-type]
    connection.start(b"", Times(1, 1, 1), head_request=False, upgrade=False)
    connection.data_received(data)
    try:
        connection.check()
    except UpstreamError:
        return None
    if not connection.reusable:
        return None
    return connection.status, connection.headers, connection.take()


_STATUS = st.sampled_from(
    ["200 OK", "404 Not Found", "299 ", "204 No", "304 x", "100 C", "099 x", "600 x", "200", "200 \xe4\x7f"]
)
_FIELDS = st.sampled_from(
    [
        "Content-Length: 2",
        "content-length:2",
        "Content-Length: 02",
        "Content-Length: 3",
        "Content-Length: -2",
        "Content-Length: 2 ",
        "Content-Length: 2,2",
        "Content-Length : 2",
        "Transfer-Encoding: chunked",
        "Connection: keep-alive",
        "Connection: close",
        "Connection: x",
        "Keep-Alive: timeout=5",
        "Upgrade: h2c",
        "Trailer: x",
        "X-A:",
        "X-A: ",
        "X-A:\tb\t",
        "X-A: b c ",
        "X-A: \xfc\x80",
        "X-A: a\x7f",
        "X-A: a\0",
        "X-A: a\rb",
        "X_A: b",
        "X A: b",
        ": b",
        " folded",
        "X-A",
        "Date: Mon",
        "",
    ]
)
_VERSION = st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "http/1.1"])
_BREAK = st.sampled_from(["\r\n", "\r\n", "\r\n", "\r\n", "\n"])


@st.composite
def responses(draw: st.DrawFn) -> bytes:
    lines = [f"{draw(_VERSION)} {draw(_STATUS)}", *draw(st.lists(_FIELDS, max_size=4))]
    text = "".join(line + draw(_BREAK) for line in [*lines, ""])
    return text.encode("latin-1") + draw(st.sampled_from([b"ok", b"", b"o", b"okHTTP/1.1 200 OK\r\n\r\n"]))


@given(responses() | st.binary(max_size=80))
@example(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
def test_a_response_read_at_once_is_read_as_llhttp_reads_it(data: bytes) -> None:
    whole = read_whole(data)
    if whole is None:
        return
    loop = asyncio.new_event_loop()
    try:
        assert _parsed(data, loop) == (whole[0], whole[1], whole[2])
    finally:
        loop.close()


ORDINARY = {
    "nginx": b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Mon, 23 Nov 2026 00:00:00 GMT\r\nContent-Type: text/plain\r\n"
    b'Content-Length: 2\r\nConnection: keep-alive\r\nETag: "1-2"\r\n\r\nok',
    "no body": b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
    "cookies": b"HTTP/1.1 200 OK\r\nset-cookie: a=b; Path=/\r\nset-cookie: c=d\r\ncontent-length: 1\r\n\r\nx",
}


@pytest.mark.parametrize("data", ORDINARY.values(), ids=ORDINARY)
def test_ordinary_responses_are_read_at_once(data: bytes) -> None:
    whole = read_whole(data)
    assert whole is not None
    assert whole == read_whole(data)  # from what was remembered, too


class _Protocol:
    """What aiohttp's parser wants of a connection."""

    def __init__(self) -> None:
        self._reading_paused = False

    def pause_reading(self) -> None:
        pass

    def resume_reading(self, resume_parser: bool = True) -> None:
        pass


def _reader(loop: asyncio.AbstractEventLoop) -> Any:
    return HttpRequestParser(
        _Protocol(),  # type: ignore[arg-type]
        loop,
        1 << 16,
        max_line_size=8190,
        max_field_size=8190,
        max_headers=128,
        auto_decompress=False,
    )


_TARGETS = st.text(alphabet=st.sampled_from("/ab.%2f?#&=;:@!*'()\"<>[]{}|\\^` \t\x7f~-_+$,é"), max_size=12)


@given(
    st.sampled_from(["GET", "HEAD", "POST", "get", "GETX"]),
    _TARGETS,
    st.sampled_from(["HTTP/1.1", "HTTP/1.0", "RTSP/1.0"]),
)
def test_a_line_of_the_fast_lane_is_read_as_aiohttp_reads_it(method: str, target: str, version: str) -> None:
    line = f"{method} /{target} {version}".encode()
    before, mark, query = line.partition(b"?")
    match = _LINE.fullmatch(before + b" HTTP/1.1" if mark else line)
    ending = _QUERY_END.fullmatch(query) if mark else None
    if match is None or (mark and ending is None):
        return
    read = match[2] + (mark + ending[1] if ending is not None else b"")
    loop = asyncio.new_event_loop()
    try:
        ((message, _),), upgraded, tail = _reader(loop).feed_data(line + b"\r\nHost: a\r\n\r\n")
    finally:
        loop.close()
    assert (message.method.encode(), message.path.encode()) == (match[1], read)
    assert (upgraded, tail) == (False, b"")


_PROBE = b"GET /probe HTTP/1.1\r\nHost: a\r\n\r\n"
_REQUESTS = st.sampled_from(
    [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 37\r\n\r\n" + _PROBE.ljust(37),
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
)


@given(st.lists(_REQUESTS, min_size=1, max_size=4), st.lists(st.integers(1, 400), max_size=6))
def test_where_a_request_is_said_to_begin_aiohttp_begins_one(requests: list[bytes], cuts: list[int]) -> None:
    """However the bytes are cut into pieces."""
    stream = b"".join(requests)
    places = sorted({cut for cut in cuts if cut < len(stream)})
    loop = asyncio.new_event_loop()
    try:
        reader, boundary = _reader(loop), Boundary()
        for start, end in zip([0, *places], [*places, len(stream)], strict=True):
            piece = stream[start:end]
            here = boundary.here
            messages, _, _ = reader.feed_data(piece)
            if not here:
                boundary.more(piece)
            elif len(messages) == 1 and isinstance(messages[0][0], RawRequestMessage):
                block = boundary.begin(piece, messages[0][0])
                assert not block or re.fullmatch(rb"\r\nHost: a\r\n\r\n", block)
            else:
                boundary.lose()
        if boundary.here:
            ((message, _),), _, _ = reader.feed_data(_PROBE)
            assert message.path == "/probe"
    finally:
        loop.close()
