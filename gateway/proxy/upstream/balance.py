"""Which of several servers is next. Choosing changes nothing; what was chosen and used is said by ``took``."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final, Protocol


class Choice(Protocol):
    """A server as it is chosen from. ``credit`` is what it has coming, ``turn`` when it was last used."""

    in_flight: int
    credit: float
    turn: int

    @property
    def url(self) -> str:
        """What tells it from the others."""


def in_turn(servers: Sequence[Choice], weights: Sequence[float], _client: str) -> int:
    """Smooth weighted round robin: the one with the most credit, so that shares are spread evenly in time."""
    best, most = 0, servers[0].credit + weights[0]
    for index in range(1, len(servers)):
        credit = servers[index].credit + weights[index]
        if credit > most:
            best, most = index, credit
    return best


def least_requests(servers: Sequence[Choice], weights: Sequence[float], _client: str) -> int:
    """The one with the fewest requests for its weight; among equals the one that was used least recently."""
    return min(range(len(servers)), key=lambda at: ((servers[at].in_flight + 1) / weights[at], servers[at].turn))


def by_address(servers: Sequence[Choice], _weights: Sequence[float], client: str) -> int:
    """Rendezvous hashing: a client keeps its server, and when that is gone only its clients move."""
    return max(range(len(servers)), key=lambda at: _score(servers[at].url, client))


def _score(url: str, client: str) -> bytes:
    return blake2b(f"{client}\0{url}".encode(), digest_size=8).digest()


def took(servers: Sequence[Choice], weights: Sequence[float], chosen: int, turn: int) -> None:
    """Take note of what ``chosen``, an index, was used for; ``turn`` is larger each time."""
    for server, weight in zip(servers, weights, strict=True):
        server.credit += weight
    servers[chosen].credit -= sum(weights)
    servers[chosen].turn = turn


CHOOSERS: Final = {"round_robin": in_turn, "least_requests": least_requests, "hash_ip": by_address}
