"""A server's addresses: its name is looked up now and then, and never while a request waits for a known answer."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from ipaddress import ip_address

from gateway.errors import UpstreamUnreachable

Lookup = Callable[[str, int], Awaitable[list[str]]]
_log = logging.getLogger(__name__)


async def look_up(host: str, port: int) -> list[str]:
    """Return a name's addresses in the system's order (RFC 6724). Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Addresses:
    """The addresses of one name. When a lookup fails, what was known before goes on being used."""

    def __init__(self, host: str, port: int, every_seconds: float, lookup: Lookup = look_up) -> None:
        self.host = host
        self._port = port
        self._every_seconds = every_seconds
        self._lookup = lookup
        self._fixed = _is_address(host)
        self._known: tuple[str, ...] = (host,) if self._fixed else ()
        self._looked_up_at = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._next = 0
        # What was known and is not any more.
        self.gone: set[str] = set()

    async def in_order(self, now: float) -> tuple[str, ...]:
        """Return the addresses to try, beginning with another each time. Raises UpstreamUnreachable for none."""
        due = not self._fixed and now - self._looked_up_at >= self._every_seconds
        if (due or not self._known) and self._looking is None:
            self._looking = asyncio.create_task(self._look_up(now), name=f"look up {self.host}")
        if not self._known and self._looking is not None:
            await asyncio.shield(self._looking)
        known = self._known
        if not known:
            raise UpstreamUnreachable("name_not_found")
        self._next = (self._next + 1) % len(known)
        return known[self._next :] + known[: self._next]

    async def stop(self) -> None:
        """End a lookup that is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    async def _look_up(self, now: float) -> None:
        self._looked_up_at = now  # a lookup that fails is not repeated at once, either
        try:
            found = tuple(await self._lookup(self.host, self._port))
        except OSError:
            _log.warning("a name could not be looked up", extra={"host": self.host, "kept": len(self._known)})
        else:
            self.gone = (self.gone | set(self._known)) - set(found)
            self._known = found
        finally:
            self._looking = None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
