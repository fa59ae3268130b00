"""Header fields as the policy looks at them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Headers(Protocol):
    """Request header fields, looked up without regard to case: what aiohttp's messages have."""

    def getall(self, key: str, default: tuple[()], /) -> Sequence[str]:
        """Return the values of every field named ``key``, in order."""
        ...
