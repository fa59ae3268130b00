"""Chores: each in small batches, as many as it takes, and one that fails stops no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.errors import StorageUnavailable
from gateway.housekeeping import Housekeeping


def chore(*counts: int | None) -> tuple[list[int | None], Callable[[], Awaitable[int | None]]]:
    """Return a chore that removes so many at each batch, and what is left of them."""
    left = list(counts)

    async def run() -> int | None:
        return left.pop(0)

    return left, run


async def test_a_chore_goes_on_while_its_batches_are_full() -> None:
    left, run = chore(1000, 500, 20, 7)
    await Housekeeping([run]).once()
    assert left == [7]


async def test_a_chore_that_counts_nothing_runs_once() -> None:
    left, run = chore(None, None)
    await Housekeeping([run]).once()
    assert left == [None]


async def test_a_chore_that_fails_stops_no_other() -> None:
    async def fails() -> None:
        raise StorageUnavailable("down")

    left, run = chore(3)
    await Housekeeping([fails, run]).once()
    assert left == []
