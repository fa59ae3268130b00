"""Addresses of the pages that links lead to."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

from gateway.config.settings import Settings

VERIFY: Final = "verify"
RESET: Final = "reset"
INVITE: Final = "invite"


class Addresses:
    """Puts links together, from the configuration and never from a request."""

    def __init__(self, settings: Settings) -> None:
        self._portal = f"{settings.server.public_url}{settings.server.prefix}"

    def of(self, page: str, secret: str = "") -> str:
        return f"{self._portal}/{page}" + (f"?token={quote(secret, safe='')}" if secret else "")
