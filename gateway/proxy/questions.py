"""Questions of other proxies that differ from one that was read before in the address they are about, and nowhere else.

A proxy sends the same fields again for everything that one browser asks for, but for the one field that holds the
address: cut out, the rest is looked up by its bytes. That field's bytes are held to a part of what a field may hold, so
that putting them where others stood changes nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import Final, NamedTuple

from gateway.authz.dialect import Dialect
from gateway.authz.endpoints import BY_ADDRESS
from gateway.proxy.journey import Journey
from gateway.proxy.journeys import Journeys
from gateway.proxy.plan import Plan
from gateway.proxy.recent import Recent

_KEPT: Final = 1024
_LONGEST: Final = 4096
_ADDRESS: Final = re.compile(rb"[A-Za-z0-9/._~!$&'()*+,;=:@%?-]++")


class _Kind(NamedTuple):
    """A dialect's request line, and what stands before the address."""

    dialect: Dialect
    mark: bytes


class Questions:
    """Knows the fields around addresses that were read before."""

    def __init__(self, journeys: Journeys, max_header_bytes: int, match_headers: Collection[str]) -> None:
        """``match_headers`` choose routes: where the address does, it has to be read with its fields."""
        self._journeys = journeys
        self._longest = min(_LONGEST, max_header_bytes)
        self._kinds = {
            f"GET {dialect.path} HTTP/1.1".encode(): _Kind(dialect, f"\r\n{dialect.address}: ".encode())
            for dialect in BY_ADDRESS
            if dialect.address.lower() not in match_headers
        }
        # By the bytes before and after the address.
        self._plans: Recent[tuple[bytes, bytes], Plan] = Recent(_KEPT)

    def learn(self, line: bytes, block: bytes, plan: Plan) -> None:
        """Remember that ``block`` was read into ``plan``, if it is a question's."""
        kind = self._kinds.get(line)
        if kind is None or block.count(kind.mark) != 1 or len(plan.headers.getall(kind.dialect.address)) != 1:
            return
        start = block.index(kind.mark) + len(kind.mark)
        self._plans.put((block[:start], block[block.index(b"\r\n", start) :]), plan)

    def find(self, data: bytes, line_end: int, peer: str | None) -> Journey | None:
        """Return what a request asks about, None when it has to be read. Raises TargetRejected."""
        kind = self._kinds.get(data[:line_end])
        if kind is None or len(data) > self._longest:
            return None
        start = data.find(kind.mark, line_end) + len(kind.mark)
        end = data.find(b"\r\n", start)
        plan = self._plans.get((data[line_end:start], data[end:]))
        if plan is None:
            return None
        address = data[start:end]
        journey = plan.fast.get((address, peer))
        if journey is not None:
            return journey
        if not _ADDRESS.fullmatch(address):
            return None
        client = self._journeys.client_of(plan, peer)
        place = ("GET", kind.dialect.path, peer)
        journey = self._journeys.question(kind.dialect, plan, place, client, address.decode())
        if b"?" not in address:
            plan.keep_fast(address, peer, journey)
        return journey
