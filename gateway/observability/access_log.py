"""One line for each request. It never holds a query string, a header's value or a secret.

The line is formatted by hand and written in batches: a structured logger would cost more than the routing.
"""

from __future__ import annotations

import asyncio
import sys
import time
from json.encoder import encode_basestring_ascii as _text
from typing import Final, NamedTuple, TextIO

_FLUSH_SECONDS: Final = 0.2
_FLUSH_LINES: Final = 500


class Where(NamedTuple):
    """What was asked for, and from which address. ``path`` is without its query."""

    client: str
    method: str
    host: str
    path: str


class Who(NamedTuple):
    """Who asked, and what came of it. ``decision`` and ``error`` are fixed words."""

    route: str = ""
    user: str = ""
    decision: str = ""
    upstream: str = ""
    error: str = ""


class AccessLog:
    """Collects lines and writes them a few times a second, and at the end.

    ``where`` and ``who`` format the parts of a line that come again, so that callers can keep them.
    """

    def __init__(self, *, as_json: bool, stream: TextIO | None = None) -> None:
        self._as_json = as_json
        self.where = _json_where if as_json else _console_where
        self.who = _json_who if as_json else _console_who
        self._stream = stream or sys.stdout
        self._lines: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._second = 0
        self._prefix = ""

    def write(self, request_id: str, where: str, status: int, sent: int, seconds: float, who: str) -> None:
        """Add a line: ``sent`` is in bytes of body, ``where`` and ``who`` are made by the methods of these names.

        ``request_id`` is one of ours or of a form that needs no escapes.
        """
        now = time.time()
        whole = int(now)
        if whole != self._second:
            self._second = whole
            self._prefix = time.strftime("%Y-%m-%dT%H:%M:%S" if self._as_json else "%H:%M:%S", time.gmtime(whole))
        milliseconds = int((now - whole) * 1000)
        if self._as_json:
            line = (
                f'{{"time":"{self._prefix}.{milliseconds:03d}Z","event":"request","request_id":"{request_id}"{where}'
                f',"status":{status},"bytes":{sent},"duration_ms":{seconds * 1000:.3f}{who}}}\n'
            )
        else:
            line = f"{self._prefix}.{milliseconds:03d} {status} {where} {who} {seconds * 1000:.1f}ms {request_id}\n"
        lines = self._lines
        lines.append(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(_FLUSH_SECONDS, self.flush)
        elif len(lines) >= _FLUSH_LINES:
            self.flush()

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


def _json_where(where: Where) -> str:
    return (
        f',"client":"{where.client}","method":{_text(where.method)},"host":{_text(where.host)}'
        f',"path":{_text(where.path)}'
    )


def _json_who(who: Who) -> str:
    return (
        f',"route":{_text(who.route)},"user":{_text(who.user)},"decision":"{who.decision}"'
        f',"upstream":{_text(who.upstream)},"error":"{who.error}"'
    )


def _console_where(where: Where) -> str:
    return f"{_printable(where.method):<6} {where.host}{_printable(where.path)}"


def _console_who(who: Who) -> str:
    return f"{_printable(who.user) or '-'} {who.route or '-'} {who.error or who.decision or '-'}"


def _printable(text: str) -> str:
    return text if text.isprintable() else _text(text)
