"""What a response's head must be, beyond what llhttp refuses by itself (which is read as strictly as it can be).

Anything that two programs could frame differently, or that could not be said again as it is, is no response.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from gateway.errors import UpstreamInvalid

MAX_HEAD_BYTES: Final = 64 * 1024
SWITCHING: Final = 101
# llhttp also takes RTSP and ICE.
_PROTOCOL: Final = b"HTTP/1."
_REASON: Final = re.compile(rb"[\t\x20-\x7e\x80-\xff]*")
_VERSIONS: Final = frozenset({"1.0", "1.1"})
_CODING: Final = b"transfer-encoding"
_FRAMING: Final = frozenset({b"content-length", _CODING})
_LINE_BYTES: Final = 4  # colon, space, CR, LF

RawHeader = tuple[bytes, bytes]


def starts_as_http(data: bytes) -> bool | None:
    """Tell whether a response starts with HTTP/1; None while there are too few bytes to tell."""
    if data.startswith(_PROTOCOL):
        return True
    return None if _PROTOCOL.startswith(data) else False


def is_interim(status: int, reason: bytes, *, upgrade: bool) -> bool:
    """Tell whether the final response is still to come. Raises UpstreamInvalid for a status line that cannot be."""
    if not 100 <= status <= 599 or not _REASON.fullmatch(reason):  # noqa: PLR2004 - RFC 9110 section 15
        raise UpstreamInvalid("malformed_response")
    if status == SWITCHING and not upgrade:
        raise UpstreamInvalid("unasked_upgrade")
    return status < 200 and status != SWITCHING  # noqa: PLR2004


def check_head(version: str, headers: Sequence[RawHeader], received_bytes: int, reason_bytes: int) -> None:
    """Raise UpstreamInvalid for a head that is too large or whose framing cannot be made anew without loss.

    ``received_bytes`` is what has arrived with it: only when that is too much are the fields counted.
    """
    if version not in _VERSIONS:
        raise UpstreamInvalid("malformed_response")
    if received_bytes > MAX_HEAD_BYTES:
        size = reason_bytes + sum(len(name) + len(value) + _LINE_BYTES for name, value in headers)
        if size > MAX_HEAD_BYTES:
            raise UpstreamInvalid("response_head_too_large")
    # RFC 9112 section 6.1: a coding but chunked would be lost with its name, and HTTP/1.0 knows none.
    codings = [value for name, value in headers if len(name) == len(_CODING) and name.lower() == _CODING]
    if codings and (len(codings) > 1 or codings[0].strip().lower() != b"chunked" or version == "1.0"):
        raise UpstreamInvalid("unknown_transfer_coding")


def is_framed(headers: Sequence[RawHeader]) -> bool:
    """Tell whether the body's end is said by a field, and not by the connection's end."""
    return any(name.lower() in _FRAMING for name, _ in headers)
