"""The grants that OAuth 2.1 has left out, for applications that know nothing better: an administrator gave them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

_log: Final = logging.getLogger(__name__)
_WHY: Final[Mapping[str, str]] = {
    "password": "it sees people's passwords, and no second factor is asked for",
    "implicit": "its tokens stand in addresses, in histories and logs",
}


class OldGrants:
    """Remembers whom operators have been warned about, so that each is named once for a start of the program."""

    def __init__(self) -> None:
        self._named: set[tuple[str, str]] = set()

    def note(self, grant: str, client_id: str) -> None:
        """Warn of a client that uses one of them."""
        if (grant, client_id) not in self._named:
            self._named.add((grant, client_id))
            _log.warning("client %s uses the old grant %s: %s", client_id, grant, _WHY[grant])
