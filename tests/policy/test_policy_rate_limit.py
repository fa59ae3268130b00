"""Token buckets: bursts up to the limit, then the steady rate, whatever the order of arrival."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.policy.rate_limit import Buckets, RateLimit, bucket_key


def ask(buckets: Buckets, key: str, now: float) -> bool:
    if buckets.wait(key, now) > 0:
        return False
    buckets.spend(key, now)
    return True


def test_a_burst_up_to_the_limit_then_the_rate() -> None:
    buckets = Buckets(RateLimit(3, 60, by_user=False))
    assert [ask(buckets, "a", 1000.0) for _ in range(5)] == [True, True, True, False, False]
    assert buckets.wait("a", 1000.0) == pytest.approx(20)
    assert not ask(buckets, "a", 1019.9)
    assert ask(buckets, "a", 1020.0)
    assert not ask(buckets, "a", 1020.0)
    assert ask(buckets, "b", 1020.0)
    assert [ask(buckets, "a", 5000.0) for _ in range(4)] == [True, True, True, False]


@given(st.lists(st.floats(0, 300), max_size=60), st.integers(1, 10), st.floats(1, 100))
def test_no_window_holds_more_than_twice_the_limit_and_the_rate_is_kept(
    times: list[float], requests: int, seconds: float
) -> None:
    """A bucket lets a burst through on top of the rate: within any window at most the burst and what flowed in."""
    buckets = Buckets(RateLimit(requests, seconds, by_user=False))
    passed = [now for now in sorted(times) if ask(buckets, "a", now)]
    for start in passed:
        within = [now for now in passed if start <= now <= start + seconds]
        assert len(within) <= 2 * requests + 1


@given(st.integers(1, 1000), st.floats(0.001, 1e6), st.floats(0, 1e7))
def test_a_full_bucket_holds_exactly_its_limit(requests: int, seconds: float, now: float) -> None:
    buckets = Buckets(RateLimit(requests, seconds * requests, by_user=False))
    assert sum(ask(buckets, "a", now) for _ in range(requests + 5)) == requests


def test_what_is_remembered_is_bounded() -> None:
    buckets = Buckets(RateLimit(1, 60, by_user=False), kept=100)
    for number in range(10_000):
        ask(buckets, str(number), float(number))
    assert len(buckets) <= 200


@pytest.mark.parametrize(
    ("by_user", "user_id", "ip", "key"),
    [
        (True, "u1", "192.0.2.1", "user u1"),
        (True, None, "192.0.2.1", "ip 192.0.2.1"),
        (False, "u1", "192.0.2.1", "ip 192.0.2.1"),
        (False, "u1", "2001:db8::1", "ip 2001:db8::/64"),
        (False, None, "2001:db8::ffff", "ip 2001:db8::/64"),
    ],
)
def test_whose_requests_count_together(by_user: bool, user_id: str | None, ip: str, key: str) -> None:
    assert bucket_key(RateLimit(1, 1, by_user=by_user), user_id, ip_address(ip)) == key
