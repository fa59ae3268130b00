"""The public keys of clients: registered with them, or fetched from their ``jwks_uri`` and kept for a minute."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.clock import Clock
from gateway.oauth.state.client import Client
from gateway.outbound import FetchFailed, fetch_json
from gateway.tokens.public_keys import UnusableKeys, usable_keys

_log: Final = logging.getLogger(__name__)
_MOST: Final = 1000
# Assertions need no secret to be sent: so often, at most, one client makes us ask its address.
_KEPT_SECONDS: Final = 60.0
# For so long a client whose address does not answer goes on with the keys that it had.
_STALE_SECONDS: Final = 3600.0
_AT_ONCE: Final = 4

Fetch = Callable[..., Awaitable[Any]]


@dataclass(slots=True)
class _Known:
    keys: Sequence[Mapping[str, Any]] = ()
    fetched_at: float = float("-inf")
    asked_at: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class ClientKeySets:
    """Finds the keys of a client. ``fetch`` is what reads a document."""

    def __init__(self, clock: Clock, fetch: Fetch = fetch_json) -> None:
        self._clock = clock
        self._fetch = fetch
        self._known: OrderedDict[str, _Known] = OrderedDict()
        # Apart: addresses that strangers registered and that never answer keep no administrator's client waiting.
        self._few = {is_operators: asyncio.Semaphore(_AT_ONCE) for is_operators in (False, True)}

    async def of(self, client: Client) -> Sequence[Mapping[str, Any]]:
        """Return its keys; none when they cannot be had."""
        registered, uri = client.metadata.get("jwks"), client.metadata.get("jwks_uri")
        if registered:
            return list(registered["keys"])
        if not uri:
            return ()
        # Together with the id: what one client may reach, another may not.
        known = self._entry(f"{client.id} {uri}")
        async with known.lock:
            if self._clock.monotonic() - known.asked_at >= _KEPT_SECONDS:
                await self._refresh(known, client, str(uri))
        fresh = self._clock.monotonic() - known.fetched_at <= _STALE_SECONDS
        return known.keys if fresh else ()

    def _entry(self, name: str) -> _Known:
        known = self._known.setdefault(name, _Known())
        self._known.move_to_end(name)
        while len(self._known) > _MOST:
            self._known.popitem(last=False)
        return known

    async def _refresh(self, known: _Known, client: Client, uri: str) -> None:
        now = self._clock.monotonic()
        try:
            async with self._few[client.is_operators]:
                document = await self._fetch(uri, internal=client.is_operators)
            known.keys = usable_keys(document)
            known.fetched_at = now
        except (FetchFailed, UnusableKeys) as error:
            _log.warning("the keys of client %s cannot be had: %s", client.id, error)
        known.asked_at = now
