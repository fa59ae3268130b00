"""What a gateway under test holds, asked from outside, and what it holds more than before."""

from __future__ import annotations

import json
import socket
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_ANSWER_SECONDS = 30.0
_SETTLE_SECONDS = 20.0
_LOOK_SECONDS = 0.3
_LOOKS = 4


@dataclass(frozen=True, slots=True)
class Holdings:
    """Tasks by coroutine, files by kind, requests under way by place, memory, objects of the collector.

    ``used_bytes`` are what the allocators have given out, ``resident_bytes`` what the process takes from the machine:
    the gaps that short-lived memory leaves between long-lived are in the latter only.
    """

    tasks: Mapping[str, int]
    files: Mapping[str, int]
    under_way: Mapping[str, int]
    resident_bytes: int
    used_bytes: int
    objects: int
    kinds: Mapping[str, int]


def ask(path: Path, *, kinds: bool = False) -> Holdings:
    """Ask the gateway's private socket. The gateway collects garbage first."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.connect(str(path))
        connection.sendall(b"kinds\n" if kinds else b"\n")
        with connection.makefile("rb") as answer:
            found = json.loads(answer.read())
    return Holdings(**{"kinds": {}, **found})


def settled(path: Path, *, kinds: bool = False) -> Holdings:
    """Wait until the gateway's tasks and files have not changed for a while, and return what it holds then."""
    unchanged, held = 0, ask(path)
    deadline = time.monotonic() + _SETTLE_SECONDS
    while unchanged < _LOOKS and time.monotonic() < deadline:
        time.sleep(_LOOK_SECONDS)
        now = ask(path)
        unchanged = unchanged + 1 if (now.tasks, now.files) == (held.tasks, held.files) else 0
        held = now
    return ask(path, kinds=True) if kinds else held


def gained(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, int]:
    """Return what there is more of."""
    return dict(Counter(after) - Counter(before))
