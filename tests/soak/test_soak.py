"""A soak finds what it looks for, and a short one finds nothing here."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.soak.holdings import Holdings
from tests.soak.ledger import EXCUSED_SECONDS, Ledger, Unavailable, WrongAnswer
from tests.soak.run import ALLOWED_BYTES, CAST, Outcome, report
from tests.soak.scene import hold, response

ROOT = Path(__file__).resolve().parents[2]
HELD = Holdings({"patrol": 1}, {"socket": 9}, {"requests": 0}, 90 << 20, 50 << 20, 1000, {})


def outcome(after: Holdings = HELD, *wrong: str, log_errors: tuple[str, ...] = (), idle: str = "") -> Outcome:
    done = Counter({act.__name__: 1 for act, _ in CAST if act.__name__ != idle})
    return Outcome(60, Ledger(done, wrong=list(wrong), wrong_count=len(wrong)), HELD, after, [], list(log_errors))


def test_nothing_gained_is_all_well() -> None:
    assert outcome().faults == []
    assert report(outcome()).endswith("all well\n")
    fewer = replace(HELD, files={"socket": 3}, used_bytes=HELD.used_bytes + ALLOWED_BYTES)
    assert outcome(fewer).faults == []


@pytest.mark.parametrize(
    ("ended", "fault"),
    [
        (outcome(replace(HELD, tasks={"patrol": 1, "Exchange.run": 2})), "tasks left: {'Exchange.run': 2}"),
        (outcome(replace(HELD, files={"socket": 10})), "files left: {'socket': 1}"),
        (outcome(replace(HELD, under_way={"requests": 1})), "under way for ever: {'requests': 1}"),
        (outcome(replace(HELD, used_bytes=150 << 20)), "memory grew by 104.9 MB"),
        (outcome(HELD, "read: bob for ann"), "wrong: read: bob for ann"),
        (outcome(log_errors=("Traceback",)), "logged: Traceback"),
        (outcome(idle="talk"), "never done: talk"),
    ],
    ids=["task", "file", "request", "memory", "answer", "log", "idle-actor"],
)
def test_what_is_left_or_wrong_is_a_fault(ended: Outcome, fault: str) -> None:
    assert ended.faults == [fault]
    assert report(ended).endswith(f"{fault}\nfailed\n")


def test_an_upstream_that_was_killed_excuses_its_absence_and_nothing_else() -> None:
    ledger, now = Ledger(), time.monotonic()
    ledger.trouble("read", Unavailable("502"), now)
    assert ledger.wrong == ["read: Unavailable: 502"]
    ledger.disturbed()
    ledger.trouble("read", Unavailable("502"), now)
    assert (ledger.wrong_count, ledger.troubles) == (1, Counter({"read: Unavailable": 1}))
    for error in (WrongAnswer("bob for ann"), TimeoutError()):
        ledger.trouble("read", error, now)
    ledger.trouble("read", Unavailable("502"), now + EXCUSED_SECONDS + 60)
    assert ledger.wrong_count == 4


@pytest.mark.parametrize(
    ("status", "said", "error"),
    [
        (200, {"user": "ann"}, None),
        (200, {"user": "bob"}, WrongAnswer),
        (200, {"user": "ann,ann"}, WrongAnswer),
        (200, {}, WrongAnswer),
        (401, {"user": "ann"}, WrongAnswer),
        (503, {}, Unavailable),
    ],
)
def test_an_answer_is_held_to_whom_it_is_for(status: int, said: dict[str, Any], error: type[Exception] | None) -> None:
    if error is None:
        hold(status, said, user="ann")
        return
    with pytest.raises(error):
        hold(status, said, user="ann")


async def test_an_answer_with_two_lengths_is_wrong() -> None:
    reader = asyncio.StreamReader()
    reader.feed_data(
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n" + b"Content-Length: 2\r\n" * 2
    )
    reader.feed_data(b"\r\nok")
    assert await response(reader) == (200, b"ok")
    with pytest.raises(WrongAnswer):
        await response(reader)


def test_a_short_soak_finds_nothing() -> None:
    command = [sys.executable, "-m", "tests.soak", "--minutes", "0.12", "--sockets", "200"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "all well" in run.stdout
    assert "200 idle WebSockets" in run.stdout


# Two upstreams, the gateway, and PostgreSQL with its own; nginx twice, with a worker each.
STARTED = [
    pytest.param(["tests.soak", "--minutes", "5"], 8, signal.SIGTERM, id="soak-SIGTERM"),
    pytest.param(["tests.soak", "--minutes", "5"], 8, signal.SIGINT, id="soak-SIGINT"),
    pytest.param(["tests.bench", "--only", "nginx", "--shape", "same"], 4, signal.SIGTERM, id="bench-SIGTERM"),
]


@pytest.mark.parametrize(("words", "most", "number"), STARTED)
def test_a_program_that_is_stopped_leaves_no_process(words: list[str], most: int, number: signal.Signals) -> None:
    for needed in ("nginx", "wrk", "taskset") if words[0] == "tests.bench" else ():
        if shutil.which(needed) is None:
            pytest.skip(f"{needed} is not installed")
    command = [sys.executable, "-m", *words]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as started:
        family: list[psutil.Process] = []
        deadline = time.monotonic() + 60
        while len(family) < most and time.monotonic() < deadline:
            time.sleep(0.1)
            family = psutil.Process(started.pid).children(recursive=True)
        os.kill(started.pid, number)
        started.wait(60)
    assert len(family) >= most
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []
