"""Which of several servers is next. Pure: loads and weights come in, a turn goes out.

A turn is a number that only grows; its server is the one at ``turn % len(servers)``. Whoever follows a choice goes on
with the turn after it, so that a choice that came to nothing changes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from hashlib import blake2b
from ipaddress import IPv6Address, ip_address
from typing import Final, Protocol

_WORD: Final = (1 << 64) - 1
_CLIENTS_KEPT: Final = 4096


class Candidate(Protocol):
    """A server as it is chosen from. ``seed`` tells it from the others, in every process alike."""

    @property
    def in_flight(self) -> int: ...
    @property
    def seed(self) -> int: ...


# Servers, the weight of each (1, or less while it starts slowly; never 0), the turn, and the client's address.
Choose = Callable[[Sequence[Candidate], Sequence[float], int, str], int]


def in_turn(servers: Sequence[Candidate], weights: Sequence[float], turn: int, _client: str) -> int:
    """Return the next turn; a server with half the weight of the others takes every second one of its turns."""
    count = len(servers)
    if weights[turn % count] >= 1:
        return turn
    highest = max(weights)
    for each in range(turn, turn + count):
        weight = weights[each % count] / highest
        lap = each // count
        if math.floor((lap + 1) * weight) > math.floor(lap * weight):
            return each
    return turn


def least_requests(servers: Sequence[Candidate], weights: Sequence[float], turn: int, _client: str) -> int:
    """Return the turn of the server with the fewest requests for its weight; equals take turns."""
    count = len(servers)
    best, least = turn, math.inf
    for each in range(turn, turn + count):
        at = each % count
        load = (servers[at].in_flight + 1) / weights[at]
        if load < least:
            best, least = each, load
    return best


def by_address(servers: Sequence[Candidate], weights: Sequence[float], _turn: int, client: str) -> int:
    """Return the turn of the client's server: the same one for as long as it is there (rendezvous hashing).

    When a server leaves, only its clients move; while it starts slowly, it gets them back by and by.
    """
    key = client_seed(client)
    # Each server draws a number for the client, from which its weight takes something off: the highest wins.
    draws = [_mixed(key ^ server.seed) for server in servers]
    if min(weights) >= 1:
        return draws.index(max(draws))
    scores = [weight / -math.log((draw + 1) / (_WORD + 2)) for weight, draw in zip(weights, draws, strict=True)]
    return scores.index(max(scores))


CHOOSERS: Final[Mapping[str, Choose]] = {
    "round_robin": in_turn,
    "least_requests": least_requests,
    "hash_ip": by_address,
}


def among(balance: str, servers: Sequence[Candidate], weights: Sequence[float]) -> Callable[[int, str], int]:
    """Return what chooses among servers that stay the same for a while; a client's home is worked out once."""
    choose = CHOOSERS[balance]
    if choose is by_address:
        home = lru_cache(_CLIENTS_KEPT)(lambda client: by_address(servers, weights, 0, client))
        return lambda _turn, client: home(client)
    return lambda turn, client: choose(servers, weights, turn, client)


def seed_of(text: str) -> int:
    """Return 64 bits that are the same in every process: a fleet of gateways agrees on them."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest())


@lru_cache(_CLIENTS_KEPT)
def client_seed(client: str) -> int:
    """Return the seed of a client's address; of IPv6, one /64 is one client, whatever it calls itself today."""
    try:
        address = ip_address(client)
    except ValueError:
        return seed_of(client)
    return seed_of(str(int(address) >> 64) if isinstance(address, IPv6Address) else client)


def _mixed(word: int) -> int:
    """Spread 64 bits over 64 bits (the last steps of splitmix64)."""
    word = ((word ^ (word >> 30)) * 0xBF58476D1CE4E5B9) & _WORD
    word = ((word ^ (word >> 27)) * 0x94D049BB133111EB) & _WORD
    return word ^ (word >> 31)
