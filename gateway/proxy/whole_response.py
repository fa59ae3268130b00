"""The shortcut for the common response: an ordinary head with a Content-Length, and all of it in one piece.

Lines that come again are looked up instead of parsed. What is not as plain as that is left to llhttp, which also has
the last word on what is refused: this reading takes only what llhttp reads in the same way.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from gateway.proxy.recent import Recent
from gateway.proxy.response_head import RawHeader

_END: Final = b"\r\n\r\n"
_LARGEST_HEAD: Final = 8 * 1024
_KEPT_LINES: Final = 2048
_KEPT_BYTES: Final = 256
_KEPT_HEADS: Final = 512
_KEPT_HEAD_BYTES: Final = 1024
# No interim response, and none without a body whatever its fields say (RFC 9112 section 6.3).
_STATUS: Final = re.compile(rb"HTTP/1\.1 ((?!204|304)[2-5][0-9]{2}) [\t\x20-\x7e\x80-\xff]*")
_FIELD: Final = re.compile(
    rb"([A-Za-z0-9!#$%&'*+.^_`|~-]+):[ ]*((?:[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?)"
)
_LENGTH: Final = re.compile(rb"[0-9]{1,9}")
_NO_LENGTH: Final = -1
# What changes how a message is framed or what becomes of its connection is not ordinary.
_EXTRAORDINARY: Final = frozenset({b"transfer-encoding", b"connection", b"upgrade", b"trailer", b"proxy-connection"})


class WholeResponse(NamedTuple):
    """A final response to GET on a connection that stays open."""

    status: int
    headers: list[RawHeader]
    body: bytes


class _Field(NamedTuple):
    header: RawHeader
    length: int


class _Head(NamedTuple):
    status: int
    headers: list[RawHeader]
    length: int


_heads: Recent[bytes, _Head] = Recent(_KEPT_HEADS)
_statuses: Recent[bytes, int] = Recent(_KEPT_LINES)
_fields: Recent[bytes, _Field] = Recent(_KEPT_LINES)


def read_whole(data: bytes) -> WholeResponse | None:
    """Return the one response that ``data`` is; None when it may be anything else.

    The same head gives the very same ``headers``, which nobody may change.
    """
    end = data.find(_END, 0, _LARGEST_HEAD)
    if end < 0:
        return None
    head = _heads.get(data[:end]) or _read_head(data[:end])
    if head is None:
        return None
    status, headers, length = head
    start = end + len(_END)
    return WholeResponse(status, headers, data[start:]) if start + length == len(data) else None


def _read_head(data: bytes) -> _Head | None:
    first, *lines = data.split(b"\r\n")
    status = _statuses.get(first) or _read_status(first)
    if status is None:
        return None
    fields = [_fields.get(line) or _read_field(line) for line in lines]
    known = [field for field in fields if field is not None]
    lengths = [field.length for field in known if field.length != _NO_LENGTH]
    if len(known) < len(fields) or len(lengths) != 1:
        return None
    head = _Head(status, [field.header for field in known], lengths[0])
    if len(data) <= _KEPT_HEAD_BYTES:
        _heads.put(data, head)
    return head


def _read_status(line: bytes) -> int | None:
    match = _STATUS.fullmatch(line)
    if match is None:
        return None
    status = int(match[1])
    if len(line) <= _KEPT_BYTES:
        _statuses.put(line, status)
    return status


def _read_field(line: bytes) -> _Field | None:
    match = _FIELD.fullmatch(line)
    if match is None:
        return None
    name, value = match.groups()
    lower = name.lower()
    if lower in _EXTRAORDINARY and (lower, value) != (b"connection", b"keep-alive"):
        return None
    length = _NO_LENGTH
    if lower == b"content-length":
        if not _LENGTH.fullmatch(value):
            return None
        length = int(value)
    field = _Field((name, value), length)
    if len(line) <= _KEPT_BYTES:
        _fields.put(line, field)
    return field
