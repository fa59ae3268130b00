"""One id for each request: in every log line about it, on every error page, and forwarded upstream."""

from __future__ import annotations

import itertools
import re
import secrets
from typing import Final

_KEPT: Final = re.compile(r"[A-Za-z0-9._-]{1,128}")


class RequestIds:
    """Unique without a system call for each: a random part for the process, and a count."""

    def __init__(self) -> None:
        self._prefix = secrets.token_hex(6)
        self._numbers = itertools.count(1)

    def new(self) -> str:
        return f"{self._prefix}-{next(self._numbers):08x}"

    def keep(self, given: str | None) -> str:
        """Return a trusted proxy's id when it is well-formed, else a new one."""
        return given if given is not None and _KEPT.fullmatch(given) else self.new()
