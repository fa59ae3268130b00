"""What is kept between requests: exact, and bounded whatever clients send."""

from __future__ import annotations

from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from gateway.policy.rules import Match, Rule, RuleTable
from gateway.proxy.headers import RequestHeaders
from gateway.proxy.plan import Plans
from gateway.refusal import Refused


def asked(*fields: tuple[str, str]) -> Any:
    return make_mocked_request("GET", "/", headers=CIMultiDict([("Host", "app.test"), *fields]))


def test_the_same_fields_have_one_plan_and_any_other_byte_another() -> None:
    plans = Plans(32768)
    plan = plans.of(asked(("A", "1"), ("B", "2")))
    assert plans.of(asked(("A", "1"), ("B", "2"))) is plan
    for other in ((("A", "1"),), (("B", "2"), ("A", "1")), (("a", "1"), ("B", "2")), (("A", "1B"), ("", "2"))):
        assert plans.of(asked(*other)) is not plan


def test_what_is_kept_is_bounded() -> None:
    plans = Plans(32768)
    for number in range(5000):
        plans.of(asked(("A", str(number))))
    assert len(plans._plans) <= 2048 < number
    large = asked(("A", "x" * 5000))
    assert plans.of(large) is not plans.of(large)


def test_journeys_are_bounded_and_those_with_a_query_not_kept() -> None:
    plan = Plans(32768).of(asked())
    journey: Any = object()
    for number in range(100):
        plan.keep(("GET", f"/{number}", "192.0.2.1"), journey)
    assert len(plan.journeys) <= 32
    plan.journeys.clear()
    plan.keep(("GET", "/?code=secret", None), journey)
    plan.keep(("GET", "/" + "x" * 300, None), journey)
    assert plan.journeys == {}


def test_what_a_large_set_of_fields_keeps_is_as_much_as_a_small_one_does() -> None:
    """Lines and grants repeat the fields: by path and route a client could have a hundred copies of them kept."""
    table = RuleTable.compile([Rule(index, str(index), Match()) for index in range(100)])
    fields = RequestHeaders(table, ["gateway"])
    plan = Plans(32768).of(asked(("A", "x" * 3800)))
    anything: Any = object()
    for rule in table.rules:
        plan.forwarded(fields, rule, frozenset())
        plan.keep(("GET", f"/{rule.index}", None), anything)
        plan.keep_fast(b"GET /%d HTTP/1.1" % rule.index, None, anything)
        plan.keep_grant(rule.index, anything)
    assert 0 < sum(map(len, plan.lines.values())) <= 16 * 1024
    assert [len(each) for each in (plan.journeys, plan.fast, plan.grants)] == [4, 4, 4]


def test_too_many_bytes_are_refused() -> None:
    with pytest.raises(Refused):
        Plans(100).of(asked(("A", "x" * 100)))
