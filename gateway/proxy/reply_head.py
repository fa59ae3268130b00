"""The head of the answer that goes to the client, as bytes; its framing is made anew (RFC 9112 section 6)."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

_STATUS_LINES: Final = {
    status.value: b"HTTP/1.1 %d %b\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus
}
_NO_CONTENT: Final = 204
_NOT_MODIFIED: Final = 304


def add_length(
    lines: list[bytes], status: int, length: bytes | None, *, head_request: bool, whole_bytes: int | None
) -> bool:
    """Add the field that says how long the body is, if that is known; tell whether it has to be chunked instead.

    ``length`` is what the upstream said, ``whole_bytes`` the body's size when all of it has arrived.
    """
    if status == _NO_CONTENT:
        return False  # RFC 9110 section 8.6: no Content-Length there
    if length is not None:
        lines.append(b"Content-Length: %b\r\n" % length)
        return False
    if head_request or status == _NOT_MODIFIED:
        return False
    if whole_bytes is not None:
        lines.append(b"Content-Length: %d\r\n" % whole_bytes)
        return False
    return True


def head_start(status: int, lines: list[bytes]) -> bytes:
    """Return the head of a final answer as far as the request's id."""
    first = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
    return b"%b%bX-Request-Id: " % (first, b"".join(lines))


def head_bytes(status: int, lines: list[bytes], request_id: bytes) -> bytes:
    """Return the head of a final answer."""
    return b"%b%b\r\n\r\n" % (head_start(status, lines), request_id)
