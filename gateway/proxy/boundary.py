"""Where one request of a connection ends, so that it is known whether the next byte begins another."""

from __future__ import annotations

from typing import Final

from aiohttp.http_parser import RawRequestMessage

_END: Final = b"\r\n\r\n"
_LOST: Final = -1


class Boundary:
    """Counts a client's bytes against what aiohttp read in them.

    ``here`` is true while it is certain that the next byte begins a request. It stays false once requests arrived
    together, in pieces before their head's end, or in chunks: nothing but speed hangs on it.
    """

    __slots__ = ("_left",)

    def __init__(self) -> None:
        self._left = 0

    @property
    def here(self) -> bool:
        return self._left == 0

    def begin(self, data: bytes, message: RawRequestMessage) -> bytes:
        """Take note of the one ``message`` that aiohttp read in ``data``, which came where a request begins.

        Returns the block of fields (from the request line's end to the empty line) of a request without a body;
        nothing when it is anything else.
        """
        end = data.find(_END) + len(_END)
        if end < len(_END) or message.chunked or message.upgrade:
            self._left = _LOST
            return b""
        length = message.headers.get("Content-Length")
        self._left = max(end + int(length or 0) - len(data), _LOST)
        line_end = data.find(b"\r\n")
        return data[line_end:] if length is None and self._left == 0 and line_end > 0 else b""

    def more(self, data: bytes) -> None:
        """Take note of bytes that came while a request was under way."""
        self._left = max(self._left - len(data), _LOST) if self._left > 0 else _LOST

    def lose(self) -> None:
        """Take note that it cannot be told any more."""
        self._left = _LOST
