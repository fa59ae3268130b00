"""Responses of any shape, in any pieces: read as a strict reader reads them, or refused."""

from __future__ import annotations

import asyncio
import re
from itertools import pairwise
from typing import Any, NamedTuple, cast

from hypothesis import strategies as st

from gateway.errors import UpstreamError
from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.times import Times
from gateway.proxy.whole_response import read_whole
from tests.fuzz.exploring import explored

_LINES = [b"HTTP/1.1 200 OK", b"HTTP/1.1 204 No", b"HTTP/1.1 304 Not", b"HTTP/1.1 103 Hints", b"HTTP/1.0 200 OK"]
_LINES += [b"HTTP/1.1 099 X", b"HTTP/1.1 200 \0", b"RTSP/1.0 200 OK", b"HTTP/1.1 101 Switching", b"HTTP/1.1 200"]
_FIELDS = [
    b"Content-Length: 2",
    b"Content-Length: 0",
    b"Content-Length: +2",
    b"content-length: 02",
    b"X-A: b",
    b"X-A : b",
]
_FIELDS += [b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: close", b"Connection: keep-alive"]
_FIELDS += [b" folded", b"X-A: \0", b"Upgrade: websocket", b"", b"Trailer: x", b"X-A: b\rc"]
_BODIES = [b"ok", b"okpoison", b"", b"2\r\nok\r\n0\r\n\r\n", b"2;a=b\r\nok\r\n0\r\nX: y\r\n\r\n", b"2\nok\n0\n\n", b"o"]
_BODIES += [b"0\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison", b"\r\n", b"zz\r\n"]
RESPONSES = st.tuples(
    st.sampled_from(_LINES),
    st.lists(st.sampled_from(_FIELDS), max_size=4),
    st.sampled_from([b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"]),
    st.lists(st.sampled_from(_BODIES) | st.binary(max_size=4), max_size=3),
).map(lambda parts: parts[2].join([parts[0], *parts[1], b"", b""]) + b"".join(parts[3]))
STREAMS = st.lists(RESPONSES, min_size=1, max_size=2).map(b"".join)


class _Transport:
    """Takes everything."""

    def __init__(self) -> None:
        self.aborted = False

    def write(self, data: bytes) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True


class _Read(NamedTuple):
    status: int
    body: bytes


_HEAD = re.compile(
    rb"(HTTP/1\.[01] ([1-5][0-9]{2})(?: [\t\x20-\x7e\x80-\xff]*)?)\r\n((?:[^\r\n\0: \t]+:[^\r\n\0]*\r\n)*)\r\n"
)


def strictly(data: bytes, *, ended: bool) -> _Read | None:
    """Read the first final response, as RFC 9112 section 6.3 has it; None when there is no whole one."""
    while (match := _HEAD.match(data)) and match[2].startswith(b"1"):
        data = data[match.end() :]
    if match is None:
        return None
    rest, status = data[match.end() :], int(match[2])
    fields = [line.split(b":", 1) for line in match[3].split(b"\r\n") if line]
    lengths = [value.strip() for name, value in fields if name.lower() == b"content-length"]
    codings = [value.strip().lower() for name, value in fields if name.lower() == b"transfer-encoding"]
    if len(lengths) + len(codings) > 1 or codings not in ([], [b"chunked"]) or not all(map(bytes.isdigit, lengths)):
        return None
    if status in {204, 304}:
        return _Read(status, b"")
    if codings:
        body = _unchunked(rest)
        return None if body is None else _Read(status, body)
    if lengths:
        return _Read(status, rest[: int(lengths[0])]) if len(rest) >= int(lengths[0]) else None
    return _Read(status, rest) if ended else None


def _unchunked(data: bytes) -> bytes | None:
    body = b""
    while line := re.match(rb"([0-9a-fA-F]+)(?:;[^\r\n]*)?\r\n", data):
        size, data = int(line[1], 16), data[line.end() :]
        if size == 0:
            return body
        if data[size : size + 2] != b"\r\n":
            return None
        body, data = body + data[:size], data[size + 2 :]
    return None


def received(data: bytes, cuts: list[int], *, ended: bool) -> tuple[UpstreamConnection, bytes]:
    """Feed a connection that awaits an answer to GET, in pieces."""

    async def feed() -> tuple[UpstreamConnection, bytes]:
        connection = UpstreamConnection(asyncio.get_running_loop(), b"app")
        connection.connection_made(cast("Any", _Transport()))
        connection.start(b"", Times(1, 1, 1), head_request=False, upgrade=False)
        places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
        for start, end in pairwise(places):
            if connection.usable:
                connection.data_received(data[start:end])
        if ended and connection.usable:
            connection.eof_received()
            connection.connection_lost(None)
        return connection, connection.take() if connection.status else b""

    return asyncio.run(feed())


@explored(data=STREAMS, cuts=st.lists(st.integers(0, 300), max_size=4), ended=st.booleans())
def test_a_response_is_read_strictly_or_not_at_all(data: bytes, cuts: list[int], ended: bool) -> None:
    connection, body = received(data, cuts, ended=ended)
    try:
        connection.check()
    except UpstreamError:
        assert not connection.complete
        return
    if connection.complete:
        assert strictly(data, ended=ended) == (connection.status, body)
    if connection.reusable:
        assert not ended


@explored(data=STREAMS)
def test_the_shortcut_reads_what_llhttp_reads(data: bytes) -> None:
    whole = read_whole(data)
    if whole is None:
        return
    connection, body = received(data, [], ended=False)
    assert (connection.status, connection.headers, body) == tuple(whole)
    assert connection.reusable
