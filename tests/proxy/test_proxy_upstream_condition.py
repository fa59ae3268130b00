"""What takes a server out and brings it back."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.proxy.upstream.condition import Condition, Rules

RULES = Rules(ejection_failures=3, ejection_seconds=10, unhealthy_after=2, healthy_after=3, slow_start_seconds=20)


def play(story: str, rules: Rules = RULES) -> tuple[Condition, float]:
    """Tell a story, return what became of it and when.

    f: a request fails, s: one succeeds, g and b: a good and a bad check, a number: so many seconds pass.
    """
    condition, now = Condition(rules), 0.0
    for word in story.split():
        match word:
            case "f":
                condition.failed(now)
            case "s":
                condition.succeeded()
            case "g" | "b":
                condition.checked(good=word == "g", why="", now=now)
            case _:
                now += float(word)
    return condition, now


@pytest.mark.parametrize(
    ("story", "available"),
    [
        pytest.param("", True, id="nothing-known"),
        pytest.param("f f", True, id="failures-below-the-limit"),
        pytest.param("f f f", False, id="failures-in-a-row"),
        pytest.param("f f s f f", True, id="a-success-between"),
        pytest.param("f f f 9", False, id="left-alone"),
        pytest.param("f f f 10", True, id="back-after-its-time"),
        pytest.param("f f f f f f 10", True, id="failures-meanwhile-make-it-no-longer"),
        pytest.param("f f f 10 f", False, id="on-trial-one-failure-is-enough"),
        pytest.param("f f f 10 f 19", False, id="and-counts-for-longer"),
        pytest.param("f f f 10 f 20", True, id="but-not-for-ever"),
        pytest.param("f f f 10 s f", True, id="a-trial-passed"),
        pytest.param("b", True, id="one-bad-check"),
        pytest.param("b g b", True, id="bad-checks-not-in-a-row"),
        pytest.param("b b", False, id="bad-checks-in-a-row"),
        pytest.param("b b 999", False, id="only-checks-bring-it-back"),
        pytest.param("b b s", False, id="no-request-does"),
        pytest.param("b b g g b g g", False, id="good-checks-not-in-a-row"),
        pytest.param("b b g g g", True, id="good-checks-in-a-row"),
        pytest.param("f f f b b g g g", True, id="coming-back-forgives-failures"),
        pytest.param("f f f g g g", False, id="good-checks-alone-do-not"),
    ],
)
def test_a_server_is_available(story: str, available: bool) -> None:
    condition, now = play(story)
    assert condition.available(now) is available


@pytest.mark.parametrize(
    ("story", "weight"),
    [
        pytest.param("", 1.0, id="at-the-start-it-is-whole"),
        pytest.param("b b g g g", 0.1, id="just-back"),
        pytest.param("b b g g g 10", 0.5, id="half-way"),
        pytest.param("b b g g g 20", 1.0, id="all-the-way"),
        pytest.param("f f f 10", 0.1, id="just-back-from-ejection"),
        pytest.param("f f f 25", 0.75, id="later"),
        pytest.param("f f f", 0.1, id="while-there-is-no-other"),
    ],
)
def test_a_server_that_comes_back_starts_slowly(story: str, weight: float) -> None:
    condition, now = play(story)
    assert condition.weight(now) == pytest.approx(weight)


def test_requests_alone_take_nothing_out_where_that_is_off() -> None:
    condition = Condition(replace(RULES, ejection_failures=0))
    assert not any(condition.failed(0) for _ in range(1000))
    assert condition.available(0)


def test_a_change_is_told_once() -> None:
    condition = Condition(RULES)
    told = [condition.checked(good=good, why="", now=0) for good in (False, False, False, True, True, True, True)]
    assert told == [False, True, False, False, False, True, False]


STEPS = st.lists(st.sampled_from(["f", "s", "g", "b", "1", "7", "60"]), max_size=60)


@given(STEPS)
def test_no_story_leaves_it_out_for_ever_or_without_weight(steps: list[str]) -> None:
    condition, now = play(" ".join(steps))
    assert 0.1 <= condition.weight(now) <= 1
    assert condition.ejected_until <= now + 100
    for _ in range(RULES.healthy_after):
        condition.checked(good=True, why="", now=now)
    assert condition.available(now + 100)


@given(STEPS)
def test_a_success_is_news_whenever_something_is_held_against_it(steps: list[str]) -> None:
    condition, _ = play(" ".join(steps))
    assert condition.suspected or (condition.failures, condition.ejections) == (0, 0)
