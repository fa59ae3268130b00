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
    """Return a name's addresses in the system's order (RFC 6724), by a thread of the loop's. Raises OSError."""
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
        self._due = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._turn = 0
        # Those that could not be connected to since the last lookup are tried after the others.
        self._failed: set[str] = set()
        self.known: tuple[str, ...] = (host,) if self._fixed else ()

    async def in_order(self) -> tuple[str, ...]:
        """Return the addresses to try, beginning with another each time. Raises UpstreamUnreachable for none."""
        if not self.known:
            # Requests share one lookup, and none of them ends it by going away.
            await asyncio.shield(self._look_up_once())
        known = self.known
        if not known:
            raise UpstreamUnreachable("name_not_found")
        self._turn = (self._turn + 1) % len(known)
        turned = known[self._turn :] + known[: self._turn]
        return tuple(sorted(turned, key=self._failed.__contains__)) if self._failed else turned

    def refresh(self, now: float) -> None:
        """Look the name up again beside requests, when that is due; ``now`` is by the loop's clock.

        What no request has asked for is not looked up.
        """
        if self.known and not self._fixed and now >= self._due:
            self._look_up_once()

    def failed(self, address: str) -> None:
        """Take note that an address cannot be connected to; it may not be the name's any more."""
        if len(self.known) > 1:
            self._failed.add(address)
        self._due = 0.0

    def succeeded(self, address: str) -> None:
        self._failed.discard(address)

    async def stop(self) -> None:
        """End a lookup that is under way."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.gather(self._looking, return_exceptions=True)

    def _look_up_once(self) -> asyncio.Task[None]:
        if self._looking is None:
            self._looking = asyncio.create_task(self._look_up(), name=f"look up {self.host}")
        return self._looking

    async def _look_up(self) -> None:
        try:
            found = tuple(await self._lookup(self.host, self._port))
        except OSError as error:
            told = {"host": self.host, "kept": len(self.known), "error": error.strerror or str(error)}
            _log.warning("a name could not be looked up", extra=told)
        else:
            # Resolvers shuffle their answers: what stays keeps its place, so that turns come out even.
            self.known = tuple(each for each in self.known if each in found) + tuple(
                each for each in found if each not in self.known
            )
            self._failed &= set(found)
        finally:
            # A lookup that fails is not repeated at once, either.
            self._due = asyncio.get_running_loop().time() + self._every_seconds
            self._looking = None


def _is_address(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
