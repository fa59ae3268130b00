"""What was verified and may still be believed. Only this file decides whether the cache is believed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from gateway.clock import Clock
from gateway.errors import CredentialRejected, StorageUnavailable
from gateway.identity.cache import CredentialCache
from gateway.identity.ledger import RevocationLedger
from gateway.identity.verified import Verified
from gateway.storage.events import EventFeed

# How often a verification is begun again because its ground moved meanwhile; after that the answer is 503.
_ATTEMPTS: Final = 5


class Memory:
    """The cache, believed while the event feed is fresh."""

    def __init__(self, cache: CredentialCache, ledger: RevocationLedger, feed: EventFeed, clock: Clock) -> None:
        self._cache = cache
        self._ledger = ledger
        self._feed = feed
        self._clock = clock

    def known(self, key: bytes) -> Verified | None:
        """Return what was verified under ``key``, if that may be believed; None says nothing."""
        return self._cache.get(key) if self._feed.fresh() else None

    async def verify(self, key: bytes, ask: Callable[[], Awaitable[Verified]]) -> Verified:
        """Return what ``ask`` finds out, and remember it. Raises what ``ask`` raises, and StorageUnavailable.

        What ``ask`` itself finds by ``known`` rests on all that was revoked until then, as a database's answer does.
        """
        for _ in range(_ATTEMPTS):
            began = self._ledger.now
            verified = await ask()
            verified.began = began
            if verified.expires_at <= self._clock.monotonic():
                raise CredentialRejected("expired")
            # Revoked while the database was asked: the answer may be from before, so it is not even used once.
            if self._cache.put(key, verified):
                return verified
        raise StorageUnavailable("the credential's ground keeps moving")

    def moved(self, verified: Verified) -> bool:
        """Tell whether what ``verified`` rests on was revoked after its verification began."""
        return self._ledger.revoked_since(verified.depends_on, verified.began)
