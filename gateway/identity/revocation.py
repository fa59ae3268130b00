"""What happens in this process when a right is taken away anywhere."""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from gateway.errors import GatewayError
from gateway.identity.cache import CredentialCache
from gateway.identity.live import LiveConnections
from gateway.identity.verified import Dependency
from gateway.storage.events import EventFeed
from gateway.tokens.keys import SigningKeys

_RETRY_SECONDS: Final = 1.0
_EVERYTHING: Final[Dependency] = ("", "")
_log = logging.getLogger(__name__)


class Revocation:
    """Carries events to the cache, to live connections and to the signing keys."""

    def __init__(self, cache: CredentialCache, live: LiveConnections, keys: SigningKeys) -> None:
        self._cache = cache
        self._live = live
        self._keys = keys
        self._changed_keys: set[Dependency] = set()
        self._loading: asyncio.Task[None] | None = None

    def attach(self, feed: EventFeed) -> None:
        feed.subscribe(self.on_event, self.on_resync)

    async def stop(self) -> None:
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)

    def on_event(self, topic: str, key: str) -> None:
        self._revoke((topic, key))
        if topic == "key":
            self._reload_keys((topic, key))

    def on_resync(self) -> None:
        """Events may have been missed: nothing remembered counts, and what is open must come in anew."""
        self._revoke(_EVERYTHING)
        self._reload_keys(_EVERYTHING)

    def _revoke(self, dependency: Dependency) -> None:
        if dependency == _EVERYTHING:
            self._cache.clear()
            self._live.close_all()
            return
        self._cache.drop(dependency)
        self._live.close(dependency)

    def _reload_keys(self, changed: Dependency) -> None:
        self._changed_keys.add(changed)
        if self._loading is None or self._loading.done():
            self._loading = asyncio.create_task(self._load_keys(), name="signing keys")

    async def _load_keys(self) -> None:
        """Read the keys until that succeeds: a retired key must not stay good because the database was slow once."""
        while self._changed_keys:
            changed, self._changed_keys = self._changed_keys, set()
            try:
                await self._keys.load()
            except GatewayError as error:
                self._changed_keys |= changed
                _log.error("signing keys could not be read: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            # What the old keys verified while the new ones were read.
            for dependency in changed:
                self._revoke(dependency)
