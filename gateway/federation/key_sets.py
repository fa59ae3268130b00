"""The keys that issuers and providers publish at a ``jwks_uri`` (RFC 7517 section 5), or an administrator in a file."""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

from gateway.clock import Clock
from gateway.federation.kept import Ask, Kept, Unreadable
from gateway.federation.signatures import CURVES, ForeignKey, foreign_key
from gateway.outbound import fetch_json
from gateway.tokens.public_keys import UnusableKeys, usable_keys

_KEPT_SECONDS: Final = 900.0
_LARGEST_FILE_BYTES: Final = 256 * 1024
_log: Final = logging.getLogger(__name__)

# From a token's kid, if it has one, and its algorithm to the key.
FindKey = Callable[[str | None, str], Awaitable[ForeignKey | None]]


class Fetch(Protocol):
    """Reads a JSON document. Raises FetchFailed."""

    def __call__(self, url: str, *, internal: bool) -> Awaitable[Any]: ...


class KeySet:
    """Checked keys, found by kid and algorithm."""

    def __init__(self, published: Sequence[Mapping[str, str]]) -> None:
        self._published = tuple(published)
        self._found: dict[tuple[str | None, str], ForeignKey | None] = {}

    def find(self, kid: str | None, algorithm: str) -> ForeignKey | None:
        """Return the one key that is meant; None where there is none, or where it could be another as well."""
        # Only what is published is remembered: kids that strangers make up would fill this.
        if kid is not None and not any(key.get("kid") == kid for key in self._published):
            return None
        place = (kid, algorithm)
        if place not in self._found:
            meant = [key for key in self._published if kid is None or key.get("kid") == kid]
            keys = [found for key in meant if (found := foreign_key(key, algorithm)) is not None]
            self._found[place] = keys[0] if len(keys) == 1 else None
        return self._found[place]


class KeySets:
    """Keys by the address of their set: kept for 15 minutes, asked for anew when a kid is unknown, in moderation."""

    def __init__(self, clock: Clock, fetch: Fetch = fetch_json) -> None:
        self._fetch = fetch
        self._sets: Kept[KeySet] = Kept(clock, _KEPT_SECONDS)

    async def find(self, jwks_uri: str, kid: str | None, algorithm: str, *, internal: bool) -> ForeignKey | None:
        """Return the key that is meant, or None. Without a kid it must be the only one of its algorithm.

        ``internal`` lets the address be on a network that is not public.
        """
        name, ask = self._question(jwks_uri, internal=internal)
        known = await self._sets.get(name, ask)
        if known is not None and (found := known.find(kid, algorithm)) is not None:
            return found
        newer = await self._sets.newer(name, ask)
        return newer.find(kid, algorithm) if newer is not None else None

    async def are_known(self, jwks_uri: str, *, internal: bool) -> bool:
        """Tell whether there is a set: without one, that a key is not found says nothing about the token."""
        name, ask = self._question(jwks_uri, internal=internal)
        return await self._sets.get(name, ask) is not None

    async def stop(self) -> None:
        """Give up what is being asked."""
        await self._sets.stop()

    def _question(self, jwks_uri: str, *, internal: bool) -> tuple[str, Ask[KeySet]]:
        # Together: what one issuer may reach, another may not.
        name = f"the keys at {jwks_uri}{' (internal)' if internal else ''}"
        return name, partial(self._read, jwks_uri, internal=internal)

    async def _read(self, jwks_uri: str, *, internal: bool) -> KeySet:
        return _checked(await self._fetch(jwks_uri, internal=internal))


class KeyFile:
    """The keys in a file, read again when it has changed; a bad one changes nothing."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state: tuple[int, int, int] | None = None
        self._keys = KeySet(())

    async def find(self, kid: str | None, algorithm: str) -> ForeignKey | None:
        """Return the key that is meant, or None."""
        self.load()
        return self._keys.find(kid, algorithm)

    def load(self) -> None:
        """Read the file, if it is another than the last time."""
        try:
            status = self._path.stat()
            state = (status.st_ino, status.st_mtime_ns, status.st_size)
            if state == self._state:
                return
            self._state = state
            self._keys = _checked(json.loads(read_bounded(self._path)))
        except (OSError, ValueError, RecursionError, Unreadable) as error:
            _log.warning("the keys in %s cannot be had: %s", self._path, error)


def read_bounded(path: Path) -> bytes:
    """Return what a small file holds. Raises OSError, Unreadable."""
    with path.open("rb") as file:
        content = file.read(_LARGEST_FILE_BYTES + 1)
    if len(content) > _LARGEST_FILE_BYTES:
        raise Unreadable(f"more than {_LARGEST_FILE_BYTES} bytes")
    return content


def _checked(document: object) -> KeySet:
    try:
        return KeySet(usable_keys(document, CURVES))
    except UnusableKeys as error:
        raise Unreadable(f"the set of keys {error}") from error
