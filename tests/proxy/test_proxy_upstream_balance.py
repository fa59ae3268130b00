"""Which server is next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.upstream.balance import CHOOSERS, among, by_address, client_seed, in_turn, least_requests, seed_of


@dataclass
class Candidate:
    """A server as balancing sees it."""

    name: str
    in_flight: int = 0
    seed: int = field(init=False)

    def __post_init__(self) -> None:
        self.seed = seed_of(self.name)


def servers(count: int, loads: Sequence[int] = ()) -> list[Candidate]:
    return [Candidate(f"http://10.0.0.{at}", loads[at] if loads else 0) for at in range(count)]


@pytest.mark.parametrize(
    ("weights", "shares"),
    [
        pytest.param((1, 1, 1), [40, 40, 40], id="equals-take-turns"),
        pytest.param((1,), [120], id="one"),
        pytest.param((1, 0.5), [80, 40], id="half"),
        pytest.param((1, 0.2), [100, 20], id="a-fifth"),
        pytest.param((0.5, 0.5), [60, 60], id="all-start-slowly"),
        pytest.param((0.1, 1, 1), [6, 60, 54], id="the-one-after-it-stands-in"),
    ],
)
def test_servers_take_turns_by_weight(weights: tuple[float, ...], shares: list[int]) -> None:
    candidates, turn, found = servers(len(weights)), 0, Counter[int]()
    for _ in range(120):
        chosen = in_turn(candidates, weights, turn, "")
        found[chosen % len(candidates)] += 1
        turn = chosen + 1
    assert [found[at] for at in range(len(weights))] == pytest.approx(shares, abs=3)


@pytest.mark.parametrize(
    ("loads", "weights", "turn", "chosen"),
    [
        pytest.param((3, 1, 2), (1, 1, 1), 0, 1, id="fewest"),
        pytest.param((1, 1, 1), (1, 1, 1), 2, 2, id="equals-take-turns"),
        pytest.param((1, 1, 5), (1, 1, 1), 2, 0, id="equals-after-a-loaded-one"),
        pytest.param((0, 1), (0.2, 1), 0, 1, id="a-slow-start-counts-as-load"),
        pytest.param((0, 9), (0.2, 1), 0, 0, id="and-is-outdone-by-more"),
    ],
)
def test_the_least_loaded_is_next(loads: tuple[int, ...], weights: tuple[float, ...], turn: int, chosen: int) -> None:
    assert least_requests(servers(len(loads), loads), weights, turn, "") % len(loads) == chosen


ADDRESSES = st.integers(0, 2**32 - 1).map(lambda number: str(IPv4Address(number)))


@given(ADDRESSES, st.integers(2, 8), st.data())
def test_a_client_moves_only_when_its_server_leaves(client: str, count: int, data: st.DataObject) -> None:
    candidates = servers(count)
    home = candidates[by_address(candidates, [1.0] * count, 0, client)]
    gone = data.draw(st.sampled_from(candidates))
    rest = [each for each in candidates if each is not gone]
    moved = rest[by_address(rest, [1.0] * len(rest), 7, client)]
    assert moved is home or gone is home


@given(ADDRESSES, st.integers(1, 8))
def test_a_remembered_home_is_the_home(client: str, count: int) -> None:
    candidates, weights = servers(count), [1.0] * count
    homes = among("hash_ip", candidates, weights)
    assert {homes(turn, client) for turn in (0, 5, 9)} == {by_address(candidates, weights, 0, client)}


@given(ADDRESSES, st.integers(2, 8), st.data())
def test_a_slow_start_takes_clients_from_no_one_but_gives_up_its_own(
    client: str, count: int, data: st.DataObject
) -> None:
    candidates = servers(count)
    slow = data.draw(st.integers(0, count - 1))
    weights = [0.1 if at == slow else 1.0 for at in range(count)]
    home, meanwhile = (by_address(candidates, each, 0, client) for each in ([1.0] * count, weights))
    assert meanwhile == home or home == slow


def test_clients_are_spread_evenly_and_fewer_go_to_a_slow_start() -> None:
    clients = [str(IPv4Address(0x0A000000 + n)) for n in range(4000)]
    even = Counter(by_address(servers(4), [1.0] * 4, 0, each) for each in clients)
    assert all(900 < count < 1100 for count in even.values())
    slow = Counter(by_address(servers(2), [1.0, 0.1], 0, each) for each in clients)
    assert 250 < slow[1] < 500  # one in eleven


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        pytest.param("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True, id="one-network-of-ipv6"),
        pytest.param("2001:db8:1:2::1", "2001:db8:1:3::1", False, id="two-networks-of-ipv6"),
        pytest.param("10.0.0.1", "10.0.0.2", False, id="ipv4"),
        pytest.param("", "10.0.0.2", False, id="a-unix-socket"),
    ],
)
def test_what_counts_as_one_client(one: str, other: str, same: bool) -> None:
    assert (client_seed(one) == client_seed(other)) is same


@pytest.mark.parametrize("balance", CHOOSERS)
@given(
    weights=st.lists(st.floats(0.01, 1), min_size=1, max_size=9),
    turn=st.integers(0, 10**9),
    loads=st.lists(st.integers(0, 10**6), min_size=9, max_size=9),
)
def test_every_balance_chooses_one_of_them(balance: str, weights: list[float], turn: int, loads: list[int]) -> None:
    candidates = servers(len(weights), loads)
    assert CHOOSERS[balance](candidates, weights, turn, "10.0.0.1") >= 0
