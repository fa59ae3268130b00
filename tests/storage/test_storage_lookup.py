"""Lookups that share a statement: who is answered by which, and what a failure or a departure does to the others."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.errors import StorageUnavailable
from gateway.storage.database import Database, Executor
from gateway.storage.lookup import Lookup

SQUARES = """
select asked.place, found.* from unnest($1::int[]) with ordinality as asked (n, place)
cross join lateral (select asked.n * asked.n as square where asked.n >= 0 limit 1) as found
"""


class Counted:
    """Counts statements, and holds them back while ``gate`` is closed."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.sent: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: BaseException | None = None

    async def fetch(self, sql: str, *args: object) -> Any:
        self.sent.append(cast(list[int], args[0]))
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return await self.database.fetch(sql, *args)


@pytest.fixture
def counted(database: Database) -> Counted:
    return Counted(database)


@pytest.fixture
def lookup(counted: Counted) -> Lookup:
    return Lookup(cast(Executor, counted), SQUARES)


async def square(lookup: Lookup, number: int) -> int | None:
    row = await lookup.find(number)
    return None if row is None else row["square"]


async def settled() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_each_gets_its_own_row_or_none(lookup: Lookup, counted: Counted) -> None:
    numbers = [3, -1, 3, 0, 12, -5]
    assert await asyncio.gather(*(square(lookup, n) for n in numbers)) == [9, None, 9, 0, 144, None]
    assert counted.sent == [numbers]


async def test_nobody_is_answered_by_a_statement_that_began_before(lookup: Lookup, counted: Counted) -> None:
    counted.gate.clear()
    first = asyncio.create_task(square(lookup, 1))
    await settled()
    later = [asyncio.create_task(square(lookup, n)) for n in (1, 2)]
    await settled()
    assert counted.sent == [[1]]
    counted.gate.set()
    assert await asyncio.gather(first, *later) == [1, 1, 4]
    assert counted.sent == [[1], [1, 2]]


async def test_a_statement_has_a_bounded_number_of_keys(lookup: Lookup, counted: Counted) -> None:
    assert await asyncio.gather(*(square(lookup, n) for n in range(250))) == [n * n for n in range(250)]
    assert [len(keys) for keys in counted.sent] == [100, 100, 50]


async def test_who_leaves_takes_nobody_along(lookup: Lookup, counted: Counted) -> None:
    counted.gate.clear()
    asked = [asyncio.create_task(square(lookup, n)) for n in range(3)]
    await settled()
    waiting = [asyncio.create_task(square(lookup, n)) for n in range(3, 6)]
    await settled()
    for gone in (asked[0], waiting[0]):
        gone.cancel()
    counted.gate.set()
    assert await asyncio.gather(*asked[1:], *waiting[1:]) == [1, 4, 16, 25]
    assert counted.sent == [[0, 1, 2], [4, 5]]


async def test_a_failure_is_told_to_each_and_the_next_is_asked_anew(lookup: Lookup, counted: Counted) -> None:
    counted.error = StorageUnavailable("gone")
    failed = await asyncio.gather(square(lookup, 1), square(lookup, 2), return_exceptions=True)
    assert [type(each) for each in failed] == [StorageUnavailable, StorageUnavailable]
    counted.error = None
    assert await square(lookup, 3) == 9


async def test_when_the_statement_is_given_up_nobody_waits_for_ever(lookup: Lookup, counted: Counted) -> None:
    counted.gate.clear()
    under_way = asyncio.create_task(square(lookup, 1))
    await settled()
    waiting = asyncio.create_task(square(lookup, 2))
    await settled()
    running = lookup._running
    assert running is not None
    running.cancel()
    ends = await asyncio.gather(under_way, waiting, return_exceptions=True)
    assert [type(each) for each in ends] == [StorageUnavailable, StorageUnavailable]
    counted.gate.set()
    assert await square(lookup, 3) == 9
