"""Exploring for a while: two seconds a test, or FUZZ_SECONDS shared by all of them (``make fuzz``)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

_TESTS = 9
SECONDS = float(os.environ.get("FUZZ_SECONDS", "18")) / _TESTS
_EXAMPLES = 50


def explored(**strategies: SearchStrategy[Any]) -> Callable[[Callable[..., None]], Callable[[], None]]:
    """Make a test of a check: it is tried on examples until the time is over, and on fifty at least."""

    def decorate(check: Callable[..., None]) -> Callable[[], None]:
        @settings(
            max_examples=_EXAMPLES,
            deadline=None,
            database=None,
            phases=(Phase.explicit, Phase.generate, Phase.target, Phase.shrink),
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        )
        @given(**strategies)
        def explore(**values: Any) -> None:
            check(**values)

        def test() -> None:
            end = time.monotonic() + SECONDS
            while True:
                explore()
                if time.monotonic() >= end:
                    return

        test.__name__ = test.__qualname__ = check.__name__
        test.__doc__ = check.__doc__
        return test

    return decorate
