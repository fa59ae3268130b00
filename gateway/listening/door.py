"""One listening socket: takes connections in, hands them on, and turns away who finds no place."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Final

# Taken in at one go, before those that are open have their turn.
_AT_ONCE: Final = 64
_PAUSE_SECONDS: Final = 0.5
_log = logging.getLogger(__name__)

# Takes a connection over: its socket, and the address at its other end (None for a unix socket).
Arrived = Callable[[socket.socket, str | None], None]


class Door:
    """Accepts connections from ``open`` until ``close``."""

    def __init__(self, listening: socket.socket, arrived: Arrived) -> None:
        self._socket = listening
        self._arrived = arrived
        self._loop = asyncio.get_running_loop()
        self._pause: asyncio.TimerHandle | None = None

    def open(self) -> None:
        self._pause = None
        self._loop.add_reader(self._socket, self._knocked)

    def close(self) -> None:
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._socket)
        self._socket.close()

    def _knocked(self) -> None:
        for _ in range(_AT_ONCE):
            try:
                accepted, address = self._socket.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # No descriptor or no memory is left: asked again at once, it would be the same.
                _log.error("connections cannot be accepted: %s", error)
                self._loop.remove_reader(self._socket)
                self._pause = self._loop.call_later(_PAUSE_SECONDS, self.open)
                return
            accepted.settimeout(0)
            self._arrived(accepted, address[0] if isinstance(address, tuple) else None)
