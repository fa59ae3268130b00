"""Whether a password stands in a list of leaked ones, without telling anybody which (k-anonymity).

Sent are the first five digits of its SHA-1; the answer holds every leaked hash that begins with them.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Final, Protocol

import aiohttp

from gateway.errors import FieldError, InvalidInput
from gateway.translation.words import later

_PREFIX: Final = 5
_SECONDS: Final = 3
_LARGEST_BYTES: Final = 1024 * 1024
_OK: Final = 200
_log: Final = logging.getLogger(__name__)


class Leaks(Protocol):
    """Knows whether a password has leaked."""

    async def holds(self, password: str) -> bool:
        """Say so. Raises InvalidInput when it cannot be asked and has to be."""
        ...


class NoLeaks:
    """Asks nobody."""

    async def holds(self, password: str) -> bool:  # noqa: ARG002
        return False


class LeakedPasswords:
    """A service of the form of Pwned Passwords, at ``url``. With ``required`` no answer means no password."""

    def __init__(self, url: str, *, required: bool) -> None:
        self._url = url.rstrip("/")
        self._required = required

    async def holds(self, password: str) -> bool:
        digest = hashlib.sha1(password.encode("utf-8", "replace"), usedforsecurity=False).hexdigest().upper()
        try:
            answer = await self._asked(digest[:_PREFIX])
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            _log.warning("the list of leaked passwords did not answer: %s", type(error).__name__)
            if self._required:
                message = later("cannot be checked right now: try again in a moment")
                raise InvalidInput([FieldError("password", message)]) from error
            return False
        rest = digest[_PREFIX:]
        # Padding has a count of 0.
        return any(
            line.startswith(f"{rest}:") and line.partition(":")[2].strip() != "0" for line in answer.splitlines()
        )

    async def _asked(self, prefix: str) -> str:
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(f"{self._url}/{prefix}", headers={"Add-Padding": "true"}, allow_redirects=False) as answer,
        ):
            if answer.status != _OK:
                raise ValueError(f"status {answer.status}")
            body = await answer.content.read(_LARGEST_BYTES)
            return body.decode("ascii")
