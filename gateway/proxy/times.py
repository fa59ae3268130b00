"""How long each part of an exchange may take."""

from __future__ import annotations

import math
from typing import NamedTuple


class Times(NamedTuple):
    """The wait for the response's head, for each further piece of it, and for a client that takes none; in seconds.

    ``tunnel_seconds`` is the longest silence on a WebSocket, in both directions.
    """

    response_seconds: float
    idle_seconds: float
    client_seconds: float
    tunnel_seconds: float = math.inf
