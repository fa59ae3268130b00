"""What goes wrong, parted by what is answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus


class AssertionRejected(Exception):
    """The assertion is not what the gateway says to this application. ``reason`` is a word for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class KeysUnavailable(Exception):
    """The gateway's keys cannot be had, so nothing can be believed for now. The message is for the log."""


class Refused(Exception):
    """The request is not served. What is here is told to the client."""

    def __init__(self, status: int, code: str, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = {"Cache-Control": "no-store", **(headers or {})}

    def body(self) -> bytes:
        """Return the answer as application/problem+json (RFC 9457), with the members that the gateway's own have."""
        document = {
            "type": "about:blank",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "code": self.code,
        }
        return json.dumps(document).encode()
