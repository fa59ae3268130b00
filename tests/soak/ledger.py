"""What happened in a soak: how often each act was done, what got in its way, and every answer that was wrong."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field

# A killed upstream may be felt for so long: until it is up again, and the gateway has seen it.
EXCUSED_SECONDS = 5.0
_MOST_WRONG = 20


class WrongAnswer(Exception):
    """Something that must never happen: another's identity, another body, another order, a lost revocation."""


class Unavailable(Exception):
    """A 502, 503 or 504: right while an upstream is down, wrong at any other time."""


@dataclass
class Ledger:
    """``wrong`` holds the first few in words; ``wrong_count`` is how many there were."""

    done: Counter[str] = field(default_factory=Counter)
    troubles: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    wrong_count: int = 0
    _disturbed: float = float("-inf")

    def disturbed(self) -> None:
        """Note that an upstream is being killed, or was down until now."""
        self._disturbed = time.monotonic()

    def excuses(self, began: float) -> bool:
        """Say whether what began then, and has failed now, may have failed for a killed upstream."""
        return began < self._disturbed + EXCUSED_SECONDS

    def trouble(self, act: str, error: Exception, began: float) -> None:
        """Note that an act did not come to its end; that is a wrong answer unless something explains it."""
        what = f"{act}: {type(error).__name__}"
        # A client that is told nothing at all is never excused.
        if isinstance(error, WrongAnswer | TimeoutError) or not self.excuses(began):
            self.wrong_count += 1
            if len(self.wrong) < _MOST_WRONG:
                self.wrong.append(f"{what}: {error}"[:500])
        else:
            self.troubles[what] += 1
