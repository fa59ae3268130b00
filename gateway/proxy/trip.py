"""One request on the fast lane, from the bytes that left for the upstream to the bytes that reached the client."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Final, Protocol

from gateway.observability.access_log import AccessLog
from gateway.observability.metrics import Metrics
from gateway.proxy.connection import UpstreamConnection
from gateway.proxy.journey import Grant, Journey
from gateway.proxy.reply_head import add_length, head_bytes

# What is larger is written piece by piece, as the client takes it.
_LARGEST_WHOLE: Final = 64 * 1024
_CLIENT_LEFT: Final = 499


class ClientSide(Protocol):
    """The client's connection, as a trip sees it."""

    @property
    def peer_address(self) -> str | None:
        """The address at the other end, None for a unix socket."""

    def depart(self, trip: Trip) -> None:
        """Send the trip's request, and wait for its end."""

    def answered(self, data: bytes) -> None:
        """Write a whole answer; the connection waits for the next request."""

    def go_plain(self, trip: Trip, data: bytes) -> None:
        """Read the request again, in the plain path, which takes over the exchange."""


class Book:
    """Where it is written down how requests ended."""

    __slots__ = ("access_log", "metrics")

    def __init__(self, metrics: Metrics, access_log: AccessLog) -> None:
        self.metrics = metrics
        self.access_log = access_log


class Trip:
    """A request that is with its upstream. It ends once: answered, handed over, or abandoned."""

    __slots__ = ("_book", "_client", "_data", "_query", "connection", "grant", "journey", "request_id", "started")

    def __init__(
        self,
        book: Book,
        client: ClientSide,
        data: bytes,
        journey: Journey,
        grant: Grant,
        query: bytes,
        request_id: str,
        connection: UpstreamConnection,
        started: float,
    ) -> None:
        """``journey`` and ``grant`` are those of the target without ``query``, which is with its question mark."""
        self._book = book
        self._client = client
        self._data = data
        self._query = query
        self.journey = journey
        self.grant = grant
        self.request_id = request_id
        self.connection = connection
        self.started = started

    def depart(self) -> None:
        """Send the request."""
        grant, connection = self.grant, self.connection
        metrics = self._book.metrics
        metrics.in_flight += 1
        metrics.decisions[grant.counted] += 1
        connection.send(
            grant.head.of(connection.authority, self.request_id.encode(), self._query),
            grant.times,
            head_request=self.journey.target.method == "HEAD",
            traveller=self,
        )

    def arrived(self) -> None:
        """Answer, when what the upstream sent is the whole of it; called when something has arrived, or never will."""
        connection = self.connection
        if not connection.complete or connection.buffered > _LARGEST_WHOLE:
            self.hand_over()
            return
        try:
            head = self._head()
        except Exception:  # the plain path meets it again, answers and says so; here nobody would
            self.hand_over()
            return
        status, body = connection.status, connection.take()
        self.grant.pool.release(connection)
        self._client.answered(head + body)
        self._record(status, len(body))

    def _head(self) -> bytes:
        connection, reply = self.connection, self.grant.reply
        status, headers, request_id = connection.status, connection.headers, self.request_id.encode()
        if self.journey.target.method == "HEAD":
            lines, length = reply.filtered(headers)
            add_length(lines, status, length, head_request=True, whole_bytes=0)
            return head_bytes(status, lines, request_id)
        return b"%b%b\r\n\r\n" % (reply.whole_head(status, headers, connection.buffered), request_id)

    def hand_over(self) -> None:
        """Let the plain path go on from here."""
        self.connection.traveller = None
        if self._query:
            self.grant = replace(self.grant, head=self.grant.head.with_query(self._query))
        self._client.go_plain(self, self._data)

    def abandon(self) -> None:
        """End without an answer: the client has gone. An exchange that is not whole ends its connection, too."""
        self.connection.traveller = None
        self.grant.pool.release(self.connection)
        self._record(_CLIENT_LEFT, 0)

    def _record(self, status: int, body_bytes: int) -> None:
        grant, journey, book = self.grant, self.journey, self._book
        seconds = perf_counter() - self.started
        book.metrics.in_flight -= 1
        book.metrics.request(grant.rule.name, journey.target.method, status, seconds)
        grant.durations.observe(seconds)
        book.access_log.write(self.request_id, journey.where, status, body_bytes, seconds, grant.who)
