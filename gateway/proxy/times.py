"""How long each part of an exchange may take."""

from __future__ import annotations

from typing import NamedTuple


class Times(NamedTuple):
    """The wait for the response's head, for each further piece of it, and for a client that takes none; in seconds."""

    response_seconds: float
    idle_seconds: float
    client_seconds: float
