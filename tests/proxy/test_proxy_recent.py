"""What was seen lately is bounded, and what is in use is not pushed out by what never comes again."""

from __future__ import annotations

from gateway.proxy.recent import Recent


def test_what_is_kept_is_bounded() -> None:
    recent: Recent[int, int] = Recent(10)
    for number in range(1000):
        recent.put(number, number)
        assert len(recent) <= 20
    assert recent.get(999) == 999
    assert recent.get(0) is None


def test_what_is_asked_for_stays_however_many_others_pass() -> None:
    recent: Recent[int, str] = Recent(10)
    recent.put(-1, "in use")
    for number in range(1000):
        recent.put(number, "once")
        if number % 9 == 0:
            assert recent.get(-1) == "in use"


def test_an_unknown_key_is_none() -> None:
    assert Recent[str, str](1).get("nothing") is None
