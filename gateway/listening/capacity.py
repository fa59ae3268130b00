"""How many connections there may be, and how many of them one address may hold.

Nobody may hold more than are still free. One address alone gets half of all, k addresses get k in k+1 parts, and
there is always room for who holds nothing yet; while few are connected nobody notices. (The same rule shares the
buffers of network switches: Choudhury and Hahne, "Dynamic queue length thresholds", 1998.)
"""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import Final

_HOST_BITS: Final = 64


class Seat:
    """The right to one connection."""

    __slots__ = ("_capacity", "_holder", "_left")

    def __init__(self, capacity: Capacity, holder: str | None) -> None:
        self._capacity = capacity
        self._holder = holder
        self._left = False

    def hand_to(self, holder: str | None) -> bool:
        """Count it for another holder; False, and nothing has changed, where that one may hold no more."""
        if not self._capacity.move(self._holder, holder):
            return False
        self._holder = holder
        return True

    def leave(self) -> None:
        """Give the right back. A second time changes nothing."""
        if not self._left:
            self._left = True
            self._capacity.give_back(self._holder)


class Capacity:
    """Counts connections, by the address that holds them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.taken = 0
        self._held: dict[str, int] = {}

    def take(self, holder: str | None) -> Seat | None:
        """Return a seat for ``holder``, None when there is none. A ``holder`` of None has no share of its own."""
        if not self._admits(holder):
            return None
        self._add(holder)
        return Seat(self, holder)

    def move(self, holder: str | None, to: str | None) -> bool:
        """Count a seat of ``holder`` for ``to``; False when there is none for that one."""
        self.give_back(holder)
        admitted = self._admits(to)
        self._add(to if admitted else holder)
        return admitted

    def _admits(self, holder: str | None) -> bool:
        free = self.most - self.taken
        return free > 0 and (holder is None or self._held.get(holder, 0) < free)

    def _add(self, holder: str | None) -> None:
        self.taken += 1
        if holder is not None:
            self._held[holder] = self._held.get(holder, 0) + 1

    def give_back(self, holder: str | None) -> None:
        """Count one connection less; called by its seat."""
        self.taken -= 1
        if holder is None:
            return
        held = self._held[holder] - 1
        if held:
            self._held[holder] = held
        else:
            del self._held[holder]


def holder_of(address: str) -> str:
    """Return what counts as one holder: an IPv4 address, or the /64 that an IPv6 client has to itself."""
    ip = ip_address(address.partition("%")[0])
    if not isinstance(ip, IPv6Address):
        return address
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return f"{int(ip) >> _HOST_BITS:x}"
