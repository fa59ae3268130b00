"""One line for each request. It never holds a query string, a header's value or a secret.

The line is formatted by hand and written in batches: a structured logger would cost more than the routing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from json.encoder import encode_basestring_ascii
from typing import Final, NamedTuple, TextIO

_FLUSH_SECONDS: Final = 0.2
_FLUSH_LINES: Final = 500


class Access(NamedTuple):
    """What is known at the end of a request. ``duration`` is in seconds, ``sent`` in bytes of body."""

    request_id: str
    client: str
    method: str
    host: str
    path: str
    status: int
    sent: int
    duration: float
    route: str
    user: str
    decision: str
    upstream: str
    error: str = ""


class AccessLog:
    """Collects lines and writes them a few times a second, and at the end."""

    def __init__(self, *, as_json: bool, stream: TextIO | None = None) -> None:
        self._format = json_line if as_json else console_line
        self._stream = stream or sys.stdout
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None

    def write(self, access: Access) -> None:
        self._lines.append(self._format(access, time.time()))
        if len(self._lines) >= _FLUSH_LINES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what was collected. A log that cannot be written to must not stop requests: its lines are lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._lines = self._lines, []
        if not lines:
            return
        try:
            self._stream.write("".join(lines))
            self._stream.flush()
        except (OSError, ValueError):
            return


def json_line(access: Access, now: float) -> str:
    """Return one JSON object on a line."""
    text = encode_basestring_ascii
    return (
        f'{{"time":"{_timestamp(now)}","event":"request","request_id":{text(access.request_id)}'
        f',"client":"{access.client}","method":{text(access.method)},"host":{text(access.host)}'
        f',"path":{text(access.path)},"status":{access.status},"bytes":{access.sent}'
        f',"duration_ms":{access.duration * 1000:.3f},"route":{text(access.route)},"user":{text(access.user)}'
        f',"decision":"{access.decision}","upstream":{text(access.upstream)},"error":"{access.error}"}}\n'
    )


def console_line(access: Access, now: float) -> str:
    """Return one line for a person at a terminal."""
    who = _printable(access.user) or "-"
    route = access.route or "-"
    return (
        f"{_timestamp(now)[11:23]} {access.status} {access.method:<6} {access.host}{_printable(access.path)} "
        f"{who} {route} {access.error or access.decision or '-'} {access.duration * 1000:.1f}ms {access.request_id}\n"
    )


def _printable(text: str) -> str:
    return text if text.isprintable() else encode_basestring_ascii(text)


_second = (0, "")


def _timestamp(now: float) -> str:
    """Return ISO 8601 in UTC with milliseconds; the seconds' part is made once a second."""
    global _second  # noqa: PLW0603 - one cached value a process
    whole = int(now)
    if _second[0] != whole:
        _second = (whole, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole)))
    return f"{_second[1]}.{int((now - whole) * 1000):03d}Z"
