"""The shortcut for what comes again: a request without a body whose block of fields was read before.

aiohttp reads a block of fields once; after that the same bytes have the same meaning, and only the request line and
the credential are looked at. A request that may pass goes upstream at once, and an answer that arrives in one piece is
written at once, both from the event loop's callbacks. Whatever is out of the ordinary is handed over to the plain path,
which begins where the shortcut stopped: before anything is sent the request is simply read again; after that the plain
path takes over the exchange.
"""

from __future__ import annotations

import re
from time import perf_counter
from typing import Final

from aiohttp import HttpVersion11, web

from gateway.errors import GatewayError
from gateway.observability.request_id import RequestIds
from gateway.proxy.admission import Admission
from gateway.proxy.journey import Grant, Journey
from gateway.proxy.journeys import Journeys
from gateway.proxy.plan import Plan
from gateway.proxy.recent import Recent
from gateway.proxy.trip import Book, ClientSide, Trip
from gateway.refusal import Refused

_KEPT: Final = 1024
_KEPT_BYTES: Final = 4096
_LONGEST_LINE: Final = 1000
_METHODS: Final = frozenset({"GET", "HEAD"})
# Narrower than what is allowed: the rest is read by the plain path.
_VERSION: Final = b" HTTP/1.1"
_LINE: Final = re.compile(rb"(GET|HEAD) (/[A-Za-z0-9/._~!$&'()*+,;=:@%-]*+) HTTP/1\.1")
_QUERY_END: Final = re.compile(rb"([A-Za-z0-9/._~!$&'()*+,;=:@%?-]*+) HTTP/1\.1")


class FastLane:
    """Knows the blocks of fields that were read before."""

    def __init__(
        self,
        *,
        journeys: Journeys,
        admission: Admission,
        book: Book,
        request_ids: RequestIds,
        max_header_bytes: int,
    ) -> None:
        self._journeys = journeys
        self._admission = admission
        self._book = book
        self._longest_line = min(_LONGEST_LINE, max_header_bytes)
        self._request_ids = request_ids
        self._blocks: Recent[bytes, Plan] = Recent(_KEPT)

    def learn(self, block: bytes, plan: Plan, request: web.BaseRequest) -> None:
        """Remember that ``block`` (all that follows a request line, to the empty line) was read into ``plan``."""
        if (
            len(block) <= _KEPT_BYTES
            and not plan.framing
            and not plan.upgrade
            and "Expect" not in plan.headers
            and request.keep_alive
            and request.version == HttpVersion11
            and request.method in _METHODS
        ):
            self._blocks.put(block, plan)

    def enter(self, client: ClientSide, data: bytes) -> Trip | None:
        """Send a request upstream, if it is one that may take this way; None: it has to take the other."""
        end = data.find(b"\r\n")
        plan = self._blocks.get(data[end:])
        if plan is None:
            return None
        started = perf_counter()
        line, mark, query = data[:end].partition(b"?")
        if mark:
            # A query has no part in what is decided, but for what is written in it: the line's end, too.
            match = _QUERY_END.fullmatch(query)
            if match is None or end > self._longest_line:
                return None
            query = mark + match[1]
            line += _VERSION
        try:
            journey = self._journey(client, line, plan)
            if journey is None or journey.portal:
                return None
            grant = self._grant(journey)
        except (GatewayError, Refused):
            return None  # it is refused in the plain path's words
        if grant is None or grant.upgrade:
            return None
        return self._depart(client, data, journey, grant, query, started)

    def _journey(self, client: ClientSide, line: bytes, plan: Plan) -> Journey | None:
        """Return what is asked for, None for a line that needs a closer look. Raises TargetRejected."""
        peer = client.peer_address
        journey = plan.fast.get((line, peer))
        if journey is not None:
            return journey
        match = _LINE.fullmatch(line) if len(line) <= self._longest_line else None
        if match is None:
            return None
        place = (match[1].decode(), match[2].decode(), peer)
        journey = plan.journeys.get(place)
        if journey is None:
            journey = self._journeys.new(plan, place, self._journeys.client_of(plan, peer))
        plan.keep_fast(line, peer, journey)
        return journey

    def _grant(self, journey: Journey) -> Grant | None:
        """Return what is granted without asking the database, None when that cannot be said or is no."""
        admission = self._admission
        if not journey.routed:
            admission.route(journey)
        verified = None
        if journey.asks:
            verified = admission.known(journey)
            if verified is None:
                return None
        grant = admission.grant(journey, verified)
        return grant if isinstance(grant, Grant) else None

    def _depart(
        self, client: ClientSide, data: bytes, journey: Journey, grant: Grant, query: bytes, started: float
    ) -> Trip | None:
        connection = grant.pool.resting()
        if connection is None:
            return None
        ids = self._request_ids
        client_is_trusted = journey.client.trusted
        request_id = ids.keep(journey.plan.headers.get("X-Request-Id")) if client_is_trusted else ids.new()
        trip = Trip(self._book, client, data, journey, grant, query, request_id, connection, started)
        trip.depart()
        return trip
