"""What a client's connection may take its time with, judged look by look."""

from __future__ import annotations

import pytest

from gateway.listening.pace import Patience, Phase, Seen, Verdict, Watch, judge

PATIENCE = Patience(head_seconds=10.0, idle_seconds=60.0, body_rate=100.0)
UNSENT = True
HELD = True


def seen(
    phase: Phase, received: int = 0, requests: int = 0, *, held: bool = False, unsent: bool = False, taken: int = 0
) -> Seen:
    return Seen(phase, received, requests, held, unsent, taken)


def judged(*looks: tuple[float, Seen]) -> list[Verdict | None]:
    watch = Watch(0.0)
    return [judge(watch, each, now, PATIENCE) for now, each in looks]


def every(seconds: float, until: float, look: Seen) -> list[tuple[float, Seen]]:
    return [(step * seconds, look) for step in range(1, int(until / seconds) + 1)]


@pytest.mark.parametrize(
    ("looks", "verdict"),
    [
        pytest.param([(9.0, seen(Phase.IDLE))], None, id="nothing-sent-yet"),
        pytest.param([(10.1, seen(Phase.IDLE))], Verdict.IDLE, id="nothing-sent-for-a-head-s-time"),
        pytest.param(
            [(1.0, seen(Phase.IDLE, 80, 1)), (60.9, seen(Phase.IDLE, 80, 1))], None, id="kept-alive-between-requests"
        ),
        pytest.param(
            [(1.0, seen(Phase.IDLE, 80, 1)), (61.1, seen(Phase.IDLE, 80, 1))], Verdict.IDLE, id="idle-after-a-request"
        ),
        pytest.param(
            [(1.0, seen(Phase.IDLE, 80)), (50.0, seen(Phase.IDLE, 160)), (100.0, seen(Phase.IDLE, 160))],
            None,
            id="answered-between-looks",
        ),
        pytest.param([(1.0, seen(Phase.HEAD, 5)), (10.9, seen(Phase.HEAD, 9))], None, id="head-within-its-time"),
        pytest.param(
            [(1.0, seen(Phase.HEAD, 5)), (6.0, seen(Phase.HEAD, 6)), (11.1, seen(Phase.HEAD, 7))],
            Verdict.SLOW_HEAD,
            id="head-byte-by-byte",
        ),
        pytest.param(
            [(1.0, seen(Phase.HEAD, 5)), (9.0, seen(Phase.HEAD, 99, 1)), (12.0, seen(Phase.HEAD, 105, 1))],
            None,
            id="another-head",
        ),
        pytest.param(
            [(1.0, seen(Phase.BODY, 100, 1)), (30.0, seen(Phase.BODY, 6200, 1)), (90.0, seen(Phase.BODY, 6300, 1))],
            None,
            id="body-in-bursts",
        ),
        pytest.param(
            [(1.0, seen(Phase.BODY, 100, 1)), (30.0, seen(Phase.BODY, 3000, 1)), (61.1, seen(Phase.BODY, 6000, 1))],
            Verdict.SLOW_BODY,
            id="body-below-its-rate",
        ),
        pytest.param(
            [(1.0, seen(Phase.BODY, 9, 1)), (60.0, seen(Phase.BODY, 9, 1, held=HELD)), (119.0, seen(Phase.BODY, 9, 1))],
            None,
            id="body-that-we-hold-up",
        ),
        pytest.param(
            [(1.0, seen(Phase.BUSY, 9, 1)), (9999.0, seen(Phase.BUSY, 9, 1))], None, id="busy-for-as-long-as-it-takes"
        ),
        pytest.param(
            [(1.0, seen(Phase.BUSY, 9, 1, unsent=UNSENT)), (60.9, seen(Phase.BUSY, 9, 1, unsent=UNSENT))],
            None,
            id="answer-not-taken-yet",
        ),
        pytest.param(
            [(1.0, seen(Phase.BUSY, 9, 1, unsent=UNSENT)), (61.1, seen(Phase.BUSY, 9, 1, unsent=UNSENT))],
            Verdict.SLOW_READER,
            id="answer-not-taken",
        ),
        pytest.param(
            [
                (1.0, seen(Phase.BUSY, 9, 1, unsent=UNSENT)),
                (50.0, seen(Phase.BUSY, 9, 1, unsent=UNSENT, taken=1)),
                (70.0, seen(Phase.BUSY, 9, 1, unsent=UNSENT, taken=1)),
            ],
            None,
            id="answer-taken-slowly",
        ),
        pytest.param(
            [
                (1.0, seen(Phase.IDLE, 9, 1, unsent=UNSENT)),
                (50.0, seen(Phase.IDLE, 9, 2)),
                (62.0, seen(Phase.IDLE, 9, 3, unsent=UNSENT)),
            ],
            None,
            id="answer-taken-between-looks",
        ),
        pytest.param(
            [(1.0, seen(Phase.CLOSING)), (6.1, seen(Phase.CLOSING))], Verdict.LINGERING, id="does-not-go-away"
        ),
    ],
)
def test_a_connection_is_ended_when_it_has_had_its_time(
    looks: list[tuple[float, Seen]], verdict: Verdict | None
) -> None:
    assert judged(*looks)[-1] == verdict
    assert set(judged(*looks)[:-1]) <= {None}


def test_any_byte_keeps_a_body_alive_where_no_rate_is_asked_for() -> None:
    watch, patience = Watch(0.0), PATIENCE._replace(body_rate=0.0)
    looks = [(step * 50.0, seen(Phase.BODY, step, 1)) for step in range(1, 20)]
    assert {judge(watch, look, now, patience) for now, look in looks} == {None}
    assert judge(watch, looks[-1][1], 950.0 + 61.0, patience) is Verdict.SLOW_BODY


def test_looks_in_between_change_nothing() -> None:
    """However often it is looked at, a head has its ten seconds."""
    verdicts = judged(*every(0.25, 11.0, seen(Phase.HEAD, 5)))
    assert verdicts.index(Verdict.SLOW_HEAD) == len([step for step in range(1, 45) if step * 0.25 <= 10.25])
