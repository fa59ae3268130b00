"""Which rights were taken away, in what order: so that what began before a revocation is not believed after it."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import Final

from gateway.identity.verified import Dependency

_REMEMBERED: Final = 50_000


class RevocationLedger:
    """Numbers revocations as this process learns of them.

    A verification notes ``now`` before it asks the database, and asks ``revoked_since`` when it has its answer.
    Bounded: what began before the oldest number that is remembered counts as revoked.
    """

    def __init__(self, remembered: int = _REMEMBERED) -> None:
        self.now = 0
        self._remembered = remembered
        self._forgotten = 0
        self._numbers: OrderedDict[Dependency, int] = OrderedDict()  # its oldest is found at once, unlike a dict's

    def note(self, dependency: Dependency) -> None:
        """Write down that what rests on ``dependency`` has lost its ground."""
        self.now += 1
        self._numbers.pop(dependency, None)
        self._numbers[dependency] = self.now
        if len(self._numbers) > self._remembered:
            _, self._forgotten = self._numbers.popitem(last=False)

    def note_all(self) -> None:
        """Write down that nothing verified before now counts."""
        self.now += 1
        self._forgotten = self.now
        self._numbers.clear()

    def revoked_since(self, depends_on: Iterable[Dependency], began: int) -> bool:
        """Tell whether any of ``depends_on`` lost its ground after ``began``."""
        if began < self._forgotten:
            return True
        return any(self._numbers.get(dependency, 0) > began for dependency in depends_on)
