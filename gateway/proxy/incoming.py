"""A response as it arrives: what llhttp makes of its bytes, and what may be asked of it meanwhile."""

from __future__ import annotations

from collections import deque
from typing import Final

import httptools

from gateway.errors import UpstreamInvalid
from gateway.proxy.response_head import RawHeader, check_head, is_interim
from gateway.proxy.whole_response import WholeResponse

NEVER: Final = float("inf")
# One or two are usual; each costs the client's patience and nothing else.
_MOST_INTERIM: Final = 64


class IncomingResponse:
    """The response to the request at hand; ``status`` is 0 until its head has arrived.

    ``deadline`` is when the exchange fails unless something arrives, by the loop's clock. The callbacks raise
    UpstreamInvalid for what cannot be passed on; llhttp stops at that.
    """

    deadline = NEVER

    def _reset_response(self) -> None:
        self._parser: httptools.HttpResponseParser | None = None
        self._chunks: deque[bytes] = deque()
        self._is_head_request = False
        self._wants_upgrade = False
        self.buffered = 0
        self.received_bytes = 0
        self._interim = 0
        self.bare_bytes = 0  # that arrived since the head, or since the last of the body
        self.status = 0
        self.reason = b""
        self.version = ""
        self.headers: list[RawHeader] = []
        self.complete = False
        self.keep_alive = False

    def take(self) -> bytes:
        """Return what of the body has arrived."""
        chunks, self._chunks, self.buffered = self._chunks, deque(), 0
        return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    def take_whole(self, whole: WholeResponse) -> None:
        """Be a response that was read at once."""
        self.version = "1.1"
        self.status, self.headers, body = whole
        self._chunks.append(body)
        self.buffered = len(body)
        self.keep_alive = True
        self._finish()

    def _finish(self) -> None:
        self.complete = True
        self.deadline = NEVER

    # What httptools calls, in the order of the message.

    def on_message_begin(self) -> None:
        if self.complete:
            self.keep_alive = False
            raise UpstreamInvalid("bytes_after_response")

    def on_status(self, reason: bytes) -> None:
        self.reason += reason

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.status == 0:  # later ones are trailers, and go nowhere
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        parser = self._parser
        if parser is None:
            return
        status: int = parser.get_status_code()
        if is_interim(status, self.reason, upgrade=self._wants_upgrade):
            self._interim += 1
            if self._interim > _MOST_INTERIM:
                raise UpstreamInvalid("too_many_interim_responses")
            self.headers.clear()
            self.reason = b""
            return  # RFC 9110 section 15.2: what is dropped, Early Hints too, takes nothing from the final response
        self.version = parser.get_http_version()
        check_head(self.version, self.headers, self.received_bytes, len(self.reason))
        self.status = status
        self.bare_bytes = 0
        self.keep_alive = parser.should_keep_alive()
        if self._is_head_request:
            # RFC 9110 section 9.3.2: the head is all. llhttp cannot be told, so its parser is left waiting.
            self._finish()

    def on_body(self, body: bytes) -> None:
        if self._is_head_request:
            raise UpstreamInvalid("body_after_head")
        self._chunks.append(body)
        self.buffered += len(body)
        self.bare_bytes = 0

    def on_message_complete(self) -> None:
        if self.status:
            self._finish()
