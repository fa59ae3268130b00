"""The shortcut for what comes again: a request without a body whose block of fields was read before.

aiohttp reads a block of fields once; after that the same bytes have the same meaning, and only the request line and
the credential are looked at. A request that may pass goes upstream at once, and an answer that arrives in one piece is
written at once, both from the event loop's callbacks. Whatever is out of the ordinary is handed over to the plain path,
which begins where the shortcut stopped: before anything is sent the request is simply read again; after that the plain
path takes over the exchange.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from time import perf_counter
from typing import Final

from aiohttp import HttpVersion11, web

from gateway.errors import GatewayError
from gateway.observability.request_id import RequestIds
from gateway.proxy.admission import Admission
from gateway.proxy.decisions import Consent, Decisions
from gateway.proxy.journey import Grant, Journey
from gateway.proxy.journeys import Journeys
from gateway.proxy.plan import Plan
from gateway.proxy.questions import Questions
from gateway.proxy.recent import Recent
from gateway.proxy.trip import Book, ClientSide, Trip
from gateway.refusal import Refused

_KEPT: Final = 1024
_KEPT_BYTES: Final = 4096
_LONGEST_LINE: Final = 1000
_OK: Final = 200
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
        decisions: Decisions,
        book: Book,
        request_ids: RequestIds,
        max_header_bytes: int,
        match_headers: Collection[str],
    ) -> None:
        self._journeys = journeys
        self._admission = admission
        self._decisions = decisions
        self._book = book
        self._longest_line = min(_LONGEST_LINE, max_header_bytes)
        self._request_ids = request_ids
        self._blocks: Recent[bytes, Plan] = Recent(_KEPT)
        self._questions = Questions(journeys, max_header_bytes, match_headers)

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
            self._questions.learn(f"{request.method} {request.raw_path} HTTP/1.1".encode(), block, plan)

    def enter(self, client: ClientSide, data: bytes) -> bool:
        """Send a request upstream or answer it, if it may take this way; otherwise it has to take the other."""
        end = data.find(b"\r\n")
        plan = self._blocks.get(data[end:])
        started = perf_counter()
        line, query = self._parted(data[:end]) if plan is not None else (b"", b"")
        try:
            if plan is not None:
                journey = self._journey(client, line, plan)
            else:
                journey = self._questions.find(data, end, client.peer_address)
            if journey is None or journey.portal:
                return False
            leave = self._leave(journey)
        except (GatewayError, Refused):
            return False  # it is refused in the plain path's words
        if isinstance(leave, Consent) and not query:  # which may be a part of the question
            return self._answer(client, journey, leave, started)
        if isinstance(leave, Grant) and not leave.upgrade:
            return self._depart(client, data, journey, leave, query, started)
        return False

    def _parted(self, line: bytes) -> tuple[bytes, bytes]:
        """Return a line without its query, and that; nothing for a query that needs a closer look."""
        start, mark, rest = line.partition(b"?")
        if not mark:
            return line, b""
        # A query has no part in what is decided, but for what is written in it: the line's end, too.
        match = _QUERY_END.fullmatch(rest)
        if match is None or len(line) > self._longest_line:
            return b"", b""
        return start + _VERSION, mark + match[1]

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

    def _leave(self, journey: Journey) -> Grant | Consent | None:
        """Return what lets it pass without asking the database, None when that cannot be said or is no."""
        admission = self._admission
        if not journey.routed:
            admission.route(journey)
        verified = None
        if journey.asks:
            verified = admission.known(journey)
            if verified is None:
                return None
        if journey.dialect is not None:
            consent = self._decisions.consent(journey, verified)
            return consent if isinstance(consent, Consent) else None
        grant = admission.grant(journey, verified)
        return grant if isinstance(grant, Grant) else None

    def _depart(
        self, client: ClientSide, data: bytes, journey: Journey, grant: Grant, query: bytes, started: float
    ) -> bool:
        allowance = grant.allowance
        if allowance is not None and not allowance.open():
            return False
        connection = grant.pool.take(journey.client.address)
        if connection is None:
            return False
        if allowance is not None:
            allowance.spend()
        request_id = self._request_id(journey)
        client.depart(Trip(self._book, client, data, journey, grant, query, request_id, connection, started))
        return True

    def _answer(self, client: ClientSide, journey: Journey, consent: Consent, started: float) -> bool:
        request_id = self._request_id(journey)
        client.answered(consent.answer(request_id))
        seconds = perf_counter() - started
        book = self._book
        book.metrics.decisions[consent.counted] += 1
        book.metrics.request(consent.counted[0], journey.target.method, _OK, seconds)
        book.access_log.write(request_id, journey.where, _OK, 0, seconds, consent.who)
        return True

    def _request_id(self, journey: Journey) -> str:
        ids = self._request_ids
        return ids.keep(journey.plan.headers.get("X-Request-Id")) if journey.client.trusted else ids.new()
