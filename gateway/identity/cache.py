"""Verified credentials by the SHA-256 of what was presented; dropped by what they rest on."""

from __future__ import annotations

import hmac
import secrets
from collections import OrderedDict, defaultdict
from hashlib import sha256
from itertools import islice
from typing import Final

from gateway.clock import Clock
from gateway.identity.identity import CredentialKind
from gateway.identity.ledger import RevocationLedger
from gateway.identity.presented import Presented
from gateway.identity.verified import Dependency, Verified

_MAX_ENTRIES: Final = 50_000
# More than one goes for each that comes, so what has expired becomes less.
_SWEPT: Final = 2
_SESSION: Final = CredentialKind.SESSION
_BASIC: Final = CredentialKind.BASIC
_SALT: Final = secrets.token_bytes(32)
_NAMES: Final = {kind: kind.value for kind in CredentialKind}


def cache_key(presented: Presented, host: str) -> bytes:
    """Return a key over every byte that verification looks at, delimited. A session counts on one host only."""
    if presented.kind is _BASIC:
        # People choose passwords: from a digest alone, one could be found by trying.
        return hmac.digest(_SALT, presented.unverified.encode("utf-8", "surrogateescape"), sha256)
    if presented.kind is _SESSION:
        text = f"session\0{host}\0{presented.unverified}"
    else:
        text = f"{presented.header}\0{_NAMES[presented.kind]}\0{presented.unverified}"
    return sha256(text.encode("utf-8", "surrogateescape")).digest()


class CredentialCache:
    """Bounded; the oldest entry makes room. What ``drop`` and ``clear`` take away is written down in ``ledger``."""

    def __init__(self, clock: Clock, ledger: RevocationLedger, max_entries: int = _MAX_ENTRIES) -> None:
        self._clock = clock
        self._ledger = ledger
        self._max_entries = max_entries
        # A plain dict finds its oldest entry by passing over all that were removed before it: 100 us when this is full.
        self._entries: OrderedDict[bytes, Verified] = OrderedDict()
        self._keys: defaultdict[Dependency, set[bytes]] = defaultdict(set)

    def __len__(self) -> int:
        return len(self._entries)

    def get(self, key: bytes) -> Verified | None:
        """Return an entry that has not expired. The caller knows whether the event feed is fresh."""
        verified = self._entries.get(key)
        if verified is None:
            return None
        if verified.expires_at <= self._clock.monotonic():
            self._remove(key)
            return None
        return verified

    def put(self, key: bytes, verified: Verified) -> bool:
        """Remember a verification. Returns False instead when it may have read what was revoked meanwhile."""
        if self._ledger.revoked_since(verified.depends_on, verified.began):
            return False
        if key in self._entries:
            self._remove(key)
        self._sweep()
        while len(self._entries) >= self._max_entries:
            self._remove(next(iter(self._entries)))
        self._entries[key] = verified
        for dependency in verified.depends_on:
            self._keys[dependency].add(key)
        return True

    def _sweep(self) -> None:
        """Let go of what has expired, oldest first: most of it is never asked for again, and would only be kept."""
        now = self._clock.monotonic()
        for key in tuple(islice(self._entries, _SWEPT)):
            if self._entries[key].expires_at <= now:
                self._remove(key)

    def drop(self, dependency: Dependency) -> None:
        """Forget all that rests on ``dependency``."""
        self._ledger.note(dependency)
        for key in tuple(self._keys.get(dependency, ())):
            self._remove(key)

    def clear(self) -> None:
        """Forget everything."""
        self._ledger.note_all()
        self._entries.clear()
        self._keys.clear()

    def _remove(self, key: bytes) -> None:
        verified = self._entries.pop(key)
        for dependency in verified.depends_on:
            keys = self._keys[dependency]
            keys.discard(key)
            if not keys:
                del self._keys[dependency]
