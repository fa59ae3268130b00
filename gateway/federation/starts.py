"""Sign-ins on their way: sent to a provider by one browser, taken back once, from that browser."""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from hashlib import sha256
from typing import Any, Final

from gateway.clock import Clock
from gateway.storage.database import Database
from gateway.storage.statements import statements
from gateway.tokens.box import Box

LIFETIME: Final = timedelta(minutes=10)
_LONGEST_STATE: Final = 100
_SQL: Final = statements("federation")


@dataclass(frozen=True, slots=True)
class Started:
    """A sign-in that was sent to a provider. ``purpose`` tells what comes of it, ``more`` what that needs.

    ``verifier`` is of PKCE (RFC 7636), ``nonce`` comes back in the ID token, ``anew``: the person was to prove
    themselves again there. ``began_at`` is in seconds of the clock.
    """

    provider: str
    purpose: str
    began_at: float
    anew: bool = False
    more: Mapping[str, str] = field(default_factory=dict)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    @property
    def challenge(self) -> str:
        """The S256 challenge of RFC 7636 section 4.2."""
        return urlsafe_b64encode(sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()


class Starts:
    """Keeps them for ten minutes. What is in them is sealed: the table alone redeems no code."""

    def __init__(self, database: Database, box: Box, clock: Clock) -> None:
        self._database = database
        self._box = box
        self._clock = clock

    async def begin(self, browser: str, started: Started) -> str:
        """Keep a sign-in of the browser that holds the secret ``browser``. Returns the state to send along."""
        state = secrets.token_urlsafe(32)
        document = {name: getattr(started, name) for name in Started.__dataclass_fields__}
        sealed = self._box.seal(json.dumps(document, default=dict))
        expires_at = self._clock.now() + LIFETIME
        await self._database.execute(_SQL["start"], _hash(state), _hash(browser), sealed, expires_at)
        return state

    async def take(self, unverified_state: str, browser: str | None) -> Started | None:
        """Return the sign-in that comes back, this once; None when it is none, too late, or of another browser."""
        if not 0 < len(unverified_state) <= _LONGEST_STATE or browser is None:
            return None
        row = await self._database.fetchrow(_SQL["take"], _hash(unverified_state))
        if row is None or row["expires_at"] <= self._clock.now():
            return None
        if not hmac.compare_digest(row["browser_hash"], _hash(browser)):
            return None
        document: dict[str, Any] = json.loads(self._box.open(row["sealed"]))
        return Started(**document)

    async def forget_old(self) -> int:
        """Delete a batch of those that never came back. Returns how many."""
        return await self._database.execute(_SQL["forget_starts"], self._clock.now())


def _hash(text: str) -> bytes:
    return sha256(text.encode("utf-8", "surrogatepass")).digest()
