"""Whether a client keeps a connection busy or only keeps it: judged from what is seen of it now and then.

Pure: ``judge`` is asked a few times a second for each connection, so that no request needs a timer.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, NamedTuple

# What is closed in good order and not gone after this long is cut.
_CLOSING_SECONDS: Final = 5.0


class Phase(StrEnum):
    """What a connection waits for."""

    IDLE = "idle"  # for a request to begin
    HEAD = "head"  # for the rest of a request's head
    BODY = "body"  # for the rest of a request's body
    BUSY = "busy"  # for us, or for nothing that could be slow: a WebSocket
    CLOSING = "closing"  # for its end


class Verdict(StrEnum):
    """Why a connection is ended. The values are labels of a metric."""

    IDLE = "idle"
    SLOW_HEAD = "slow_head"
    SLOW_BODY = "slow_body"
    SLOW_READER = "slow_reader"
    LINGERING = "lingering"


class Seen(NamedTuple):
    """A look at one connection.

    ``received`` is in bytes, ``requests`` counts heads that arrived whole. ``held`` says that we are the ones who do
    not read on, ``unsent`` that there is something the client has not taken; ``taken`` counts the times it took much.
    """

    phase: Phase
    received: int
    requests: int
    held: bool
    unsent: bool
    taken: int


class Patience(NamedTuple):
    """How long for what, in seconds; and bytes of a body for each second."""

    head_seconds: float
    idle_seconds: float
    body_rate: float


@dataclass(slots=True)
class Watch:
    """What is remembered of one connection between looks. ``since`` is when what it does now began."""

    since: float
    phase: Phase = Phase.IDLE
    received: int = 0
    requests: int = 0
    taken: int = 0
    unsent_since: float | None = None


def judge(watch: Watch, seen: Seen, now: float, patience: Patience) -> Verdict | None:
    """Take note of what is seen, and say whether that is enough. ``now`` is in monotonic seconds."""
    if seen.unsent and seen.taken == watch.taken:
        if watch.unsent_since is None:
            watch.unsent_since = now
        elif now - watch.unsent_since > patience.idle_seconds:
            return Verdict.SLOW_READER
    else:
        watch.unsent_since = None
        watch.taken = seen.taken
    if _moved_on(watch, seen, patience):
        watch.since, watch.phase = now, seen.phase
        watch.received, watch.requests = seen.received, seen.requests
        return None
    return _overdue(seen, now - watch.since, patience)


def _moved_on(watch: Watch, seen: Seen, patience: Patience) -> bool:
    if seen.phase is not watch.phase or seen.requests != watch.requests:
        return True
    if seen.phase is Phase.IDLE:
        return seen.received != watch.received
    if seen.phase is Phase.BODY:
        arrived = seen.received - watch.received
        return seen.held or arrived > patience.body_rate * patience.idle_seconds
    return False


def _overdue(seen: Seen, seconds: float, patience: Patience) -> Verdict | None:
    match seen.phase:
        case Phase.IDLE:
            # Who has not sent anything yet is given the time of a head: it is the cheapest way to hold a connection.
            allowed = patience.idle_seconds if seen.received else patience.head_seconds
            return Verdict.IDLE if seconds > allowed else None
        case Phase.HEAD:
            return Verdict.SLOW_HEAD if seconds > patience.head_seconds else None
        case Phase.BODY:
            return Verdict.SLOW_BODY if seconds > patience.idle_seconds else None
        case Phase.CLOSING:
            return Verdict.LINGERING if seconds > _CLOSING_SECONDS else None
        case Phase.BUSY:
            return None
