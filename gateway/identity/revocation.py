"""What happens in this process when a right is taken away anywhere."""

from __future__ import annotations

import asyncio
import logging

from gateway.errors import GatewayError
from gateway.identity.cache import CredentialCache
from gateway.identity.live import LiveConnections
from gateway.storage.events import EventFeed
from gateway.tokens.keys import SigningKeys

_log = logging.getLogger(__name__)


class Revocation:
    """Carries events to the cache, to live connections and to the signing keys."""

    def __init__(self, cache: CredentialCache, live: LiveConnections, keys: SigningKeys) -> None:
        self._cache = cache
        self._live = live
        self._keys = keys
        self._synced = False
        self._loading: set[asyncio.Task[None]] = set()

    def attach(self, feed: EventFeed) -> None:
        feed.subscribe(self.on_event, self.on_resync)

    async def stop(self) -> None:
        for task in self._loading:
            task.cancel()
        await asyncio.gather(*self._loading, return_exceptions=True)

    def on_event(self, topic: str, key: str) -> None:
        if topic == "key":
            self._keys_changed()
            return
        self._cache.drop((topic, key))
        self._live.close((topic, key))

    def on_resync(self) -> None:
        """Events may have been missed: nothing remembered counts, and what is open must come in anew."""
        self._cache.clear()
        if self._synced:
            self._live.close_all()
            self._keys_changed()
        self._synced = True

    def _keys_changed(self) -> None:
        self._cache.clear()
        task = asyncio.create_task(self._load_keys(), name="signing keys")
        self._loading.add(task)
        task.add_done_callback(self._loading.discard)

    async def _load_keys(self) -> None:
        try:
            await self._keys.load()
        except GatewayError as error:
            # The keys of before stay: the next resync or event tries again.
            _log.error("signing keys could not be read: %s", error)
        else:
            self._cache.clear()
