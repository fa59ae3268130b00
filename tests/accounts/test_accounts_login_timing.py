"""Nobody learns from the time of an answer whether a name has an account."""

from __future__ import annotations

import asyncio
import math
import time

import pytest

from gateway.errors import LoginRefused
from tests.accounts.conftest import OfficeWith

ROUNDS = 200


def likeliness(one: list[float], other: list[float]) -> float:
    """Return the two-sided p of Mann and Whitney's rank test, by the normal approximation."""
    ranked = sorted([(value, 0) for value in one] + [(value, 1) for value in other])
    rank_sum = sum(rank for rank, (_, side) in enumerate(ranked, 1) if side == 0)
    n, m = len(one), len(other)
    u = rank_sum - n * (n + 1) / 2
    z = (u - n * m / 2) / math.sqrt(n * m * (n + m + 1) / 12)
    return math.erfc(abs(z) / math.sqrt(2))


def test_the_rank_test_tells_what_differs() -> None:
    assert likeliness([1.0 + i / 1000 for i in range(200)], [1.05 + i / 1000 for i in range(200)]) < 0.001
    assert likeliness([float(i) for i in range(0, 400, 2)], [float(i) for i in range(1, 400, 2)]) > 0.5


async def test_an_unknown_name_takes_as_long_as_a_wrong_password(office_with: OfficeWith) -> None:
    many = {"max_failures": 10_000, "per_ip": 1_000_000, "per_network": 1_000_000}
    office = office_with(login=many, passwords={"bcrypt_cost": 6})
    await office.add("ann")
    times: dict[str, list[float]] = {"ann": [], "nobody": []}

    async def measure(name: str) -> float:
        started = time.perf_counter()
        with pytest.raises(LoginRefused):
            await office.login.authenticate(name, "wrong password", "10.0.0.1")
        return time.perf_counter() - started

    async def compare() -> float:
        for samples in times.values():
            samples.clear()
        for number in range(ROUNDS):
            # Alternately first, so that neither pays for what the other leaves behind.
            for name in ("ann", "nobody") if number % 2 else ("nobody", "ann"):
                times[name].append(await measure(name))
            await asyncio.sleep(0)
        return likeliness(times["ann"], times["nobody"])

    await measure("ann")
    # One in a hundred comparisons of the same thing comes out as different: three in a row do not.
    assert await compare() > 0.01 or await compare() > 0.01 or await compare() > 0.01, times
