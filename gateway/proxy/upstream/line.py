"""The requests that wait for a server to have room: a bounded line, first come, first served."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from gateway.config.upstream import UpstreamLimits
from gateway.errors import UpstreamBusy, UpstreamDown
from gateway.proxy.upstream.server import Server

_RETRY_SECONDS: Final = 1


@dataclass(slots=True, eq=False)
class _Place:
    """Somebody in the line, who is given a server with room taken in it: nobody can push in before that is used."""

    client: str
    given: asyncio.Future[Server] = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Line:
    """``reserve`` takes room for a client's address, None when there is none; ``free`` gives it back."""

    def __init__(
        self, limits: UpstreamLimits, reserve: Callable[[str], Server | None], free: Callable[[Server], None]
    ) -> None:
        self._longest = limits.queue
        self._seconds = limits.queue_timeout.total_seconds()
        self._reserve = reserve
        self._free = free
        self.places: deque[_Place] = deque()

    async def wait(self, client: str) -> Server:
        """Return a server with room taken in it. Raises UpstreamBusy when line or wait are too long; UpstreamDown."""
        if len(self.places) >= self._longest:
            raise UpstreamBusy(_RETRY_SECONDS)
        place = _Place(client)
        self.places.append(place)
        try:
            async with asyncio.timeout(self._seconds):
                return await place.given
        except BaseException as error:
            if place in self.places:
                self.places.remove(place)
            elif place.given.done() and not place.given.cancelled() and place.given.exception() is None:
                self._free(place.given.result())  # its turn had come in the same moment
            if isinstance(error, TimeoutError):
                raise UpstreamBusy(_RETRY_SECONDS) from error
            raise

    def advance(self) -> None:
        """Give what room there is to those who have waited longest."""
        places = self.places
        while places:
            if places[0].given.done():  # it goes away, and has not come to say so
                places.popleft()
                continue
            try:
                server = self._reserve(places[0].client)
            except UpstreamDown as error:
                self._refuse(error)
                continue
            if server is None:
                return
            places.popleft().given.set_result(server)

    def close(self) -> None:
        """Send everybody away."""
        while self.places:
            self._refuse(UpstreamDown(_RETRY_SECONDS))

    def _refuse(self, error: UpstreamDown) -> None:
        place = self.places.popleft()
        if not place.given.done():
            place.given.set_exception(error)
