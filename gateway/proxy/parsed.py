"""What aiohttp's parser made of a client's bytes, looked at again: it takes and leaves what it should not.

* A request line of RTSP or ICE is read as HTTP's, without a word.
* After CONNECT everything is a tunnel's bytes to it, whatever is answered.
* A body that turns out to be malformed leaves whoever reads it waiting.
* The last trailer of a request becomes the first field of the next one (aiohttp 3.14): where a proxy in front sends the
  requests of several people over one connection, one of them would speak for another.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any, Final

from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import RequestPayloadError, _ErrInfo  # the latter is how aiohttp queues what it refuses

_LINE: Final = re.compile(rb"([A-Z][A-Z_-]{0,31}+) ++([^ \r\n]++) ++(?:RTSP|ICE)/")
_REMEMBERED: Final = 32
_END: Final = b"\r\n\r\n"

Messages = deque[tuple[Any, Any]]


class Parsed:
    """Looks at what one client sends, packet by packet."""

    __slots__ = ("_chunked", "_foreign", "_last", "_longest_line", "_payload", "_tail")

    def __init__(self, longest_line: int) -> None:
        self._longest_line = longest_line
        self._payload: Any = EMPTY_PAYLOAD  # the last request's body
        self._chunked = False  # whether that came in chunks, and may have left a trailer
        self._last = b""  # the last bytes that arrived
        self._foreign: set[tuple[str, str]] = set()  # method and target of lines that are not HTTP's
        self._tail = b""  # a line of which the end has not arrived

    @property
    def needs_new_parser(self) -> bool:
        """Whether the parser may hold a trailer, and nothing else: a chunked body ended where the last packet did."""
        return self._chunked and self._last == _END and self._payload.is_eof()

    def renewed(self) -> None:
        """Take note that a new parser reads on."""
        self._chunked = False

    def look(self, data: bytes, messages: Messages, queued: int) -> None:
        """Refuse those of ``messages`` from ``queued`` on that are no requests; end a body that has no end.

        ``data`` is what arrived last; it need not hold all of them.
        """
        if data:
            self._last = (self._last + data[-4:])[-4:]
        if len(messages) == queued and not self._payload.is_eof():
            self._tail = b""
            return  # nothing but a part of a body
        self._note(self._tail + data)
        for place in range(queued, len(messages)):
            message, payload = messages[place]
            if not isinstance(message, RawRequestMessage):
                if not self._payload.is_eof():
                    self._payload.set_exception(RequestPayloadError("malformed"))
            elif self._chunked or message.method == "CONNECT" or (message.method, message.path) in self._foreign:
                messages[place] = (_ErrInfo(400, BadHttpMessage("refused"), "refused"), EMPTY_PAYLOAD)
            self._payload, self._chunked = payload, getattr(message, "chunked", False)

    def _note(self, text: bytes) -> None:
        """Remember lines of other protocols; what quotes one in a body spoils its own connection at most."""
        if b" RTSP/" in text or b" ICE/" in text:
            if len(self._foreign) >= _REMEMBERED:
                self._foreign.clear()  # what is sent on is HTTP all the same: only the refusal would be missing
            lines = _LINE.findall(text)[:_REMEMBERED]
            self._foreign.update((method.decode(), path.decode("utf-8", "surrogateescape")) for method, path in lines)
        self._tail = text[text.rfind(b"\n") + 1 :][: self._longest_line]
