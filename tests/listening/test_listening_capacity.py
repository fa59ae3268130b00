"""How many connections one address may hold."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.listening.capacity import Capacity, Seat, holder_of


def fill(capacity: Capacity, holder: str | None) -> list[Seat]:
    seats = []
    while (seat := capacity.take(holder)) is not None:
        seats.append(seat)
    return seats


@pytest.mark.parametrize(("attackers", "each"), [(1, 50), (2, 33), (4, 20)])
def test_who_takes_all_there_is_leaves_as_much_for_others(attackers: int, each: int) -> None:
    capacity = Capacity(100)
    held = dict.fromkeys(range(attackers), 0)
    for _ in range(200):
        for attacker in held:
            held[attacker] += capacity.take(f"10.0.0.{attacker}") is not None
    assert all(abs(count - each) <= 1 for count in held.values()), held
    assert capacity.take("192.0.2.1") is not None


def test_a_proxy_brings_as_many_as_there_is_room_for() -> None:
    capacity = Capacity(100)
    assert len(fill(capacity, None)) == 100
    assert capacity.take("192.0.2.1") is None


def test_a_place_is_free_again_once() -> None:
    capacity = Capacity(10)
    seats = fill(capacity, "10.0.0.1")
    assert len(seats) == 5
    seats[0].leave()
    seats[0].leave()
    assert capacity.taken == 4
    assert len(fill(capacity, "10.0.0.1")) == 1


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("192.0.2.1", "192.0.2.1", True, id="v4"),
        pytest.param("192.0.2.1", "192.0.2.2", False, id="v4-neighbours"),
        pytest.param("2001:db8::1", "2001:db8::ffff:1", True, id="v6-of-one-network"),
        pytest.param("2001:db8::1", "2001:db8:0:1::1", False, id="v6-of-two-networks"),
        pytest.param("::ffff:192.0.2.1", "192.0.2.1", True, id="v4-in-v6"),
        pytest.param("fe80::1%eth0", "fe80::2%eth0", True, id="with-zone"),
    ],
)
def test_an_ipv6_network_is_one_holder(one: str, other: str, *, same: bool) -> None:
    assert (holder_of(one) == holder_of(other)) is same


@given(st.integers(1, 30), st.lists(st.tuples(st.booleans(), st.integers(0, 4)), max_size=200))
def test_what_is_counted_is_what_is_there(most: int, steps: list[tuple[bool, int]]) -> None:
    capacity, seats = Capacity(most), [[] for _ in range(5)]  # type: tuple[Capacity, list[list[Seat]]]
    for enter, who in steps:
        if not enter:
            if seats[who]:
                seats[who].pop().leave()
            continue
        free = most - capacity.taken
        seat = capacity.take(str(who))
        assert (seat is not None) == (len(seats[who]) < free)
        if seat is not None:
            seats[who].append(seat)
    assert capacity.taken == sum(map(len, seats)) <= most
    for each in (seat for held in seats for seat in held):
        each.leave()
    assert capacity.taken == 0
