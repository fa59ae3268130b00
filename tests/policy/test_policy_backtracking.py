"""Expressions that could take for ever are told from those that cannot, by looking at them."""

from __future__ import annotations

import pytest

from gateway.policy.backtracking import may_explode

EXPLODING = [
    "(a+)+",
    "(a*)*b",
    "^/(a|a)*$",
    "/(a|ab)+x",
    "/(?:a?)*x",
    "/(?:a{1,3})+",
    "/(?P<x>[a-z]+)*",
    "/((a+)b?)+",
    "/(x(a+))*",
    "/(a+){10}",
    "/(a+){2,}",
    "/([^/]+/)*x",
    "/((a+))+",
    "/(a+?)+",
    "/(?:(?:a|b)c)*",
    "/(?i:a+)+",
]
SAFE = [
    "/files/[0-9]+/.*",
    "/internal(/.*)?",
    "/(api|v[0-9]+)/users",
    "/(a+)(b+)",
    "/(abc)+",
    "/([a-z])*",
    "/(a++)+",
    "/(?:[^/]++/)*x",
    "/(?>a|ab)+",
    "/(a+){1}",
    "/(a{3})+",
    r"/\(a+\)+",
    "/[(a+)]+",
    r"/[]a+)]+",
    r"/(\|)*",
    "/(a+)++",
    "(?i)/a+",
    "/(?P<x>a)(?P=x)*",
    "/(?=a+)b",
]


@pytest.mark.parametrize("regex", EXPLODING)
def test_a_repetition_of_what_matches_in_several_ways_is_told(regex: str) -> None:
    assert may_explode(regex)


@pytest.mark.parametrize("regex", SAFE)
def test_what_matches_in_one_way_is_fine(regex: str) -> None:
    assert not may_explode(regex)
