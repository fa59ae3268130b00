"""Times as people say them: how long to wait, how long something lasts, how long ago something was."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final

from markupsafe import Markup

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_LONGEST_DAYS: Final = 30


def wait(seconds: int) -> str:
    """Say how long to wait, rounded up as people would."""
    if seconds < _MINUTE:
        return "a few seconds" if seconds <= 10 else "a minute"  # noqa: PLR2004
    minutes = math.ceil(seconds / _MINUTE)
    if minutes == 1:
        return "a minute"
    hours = math.ceil(minutes / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{hours} hours"  # noqa: PLR2004


def days(seconds: float) -> str:
    """Say a long duration: in days where it has whole ones, else in hours."""
    if seconds >= _DAY:
        return _counted(round(seconds / _DAY), "day")
    return _counted(max(1, round(seconds / _HOUR)), "hour")


def span(seconds: float) -> str:
    """Say how long something lasts, in the largest unit that it fills."""
    for size, unit in ((_DAY, "day"), (_HOUR, "hour"), (_MINUTE, "minute")):
        if seconds >= size:
            return _counted(round(seconds / size), unit)
    return _counted(max(1, round(seconds)), "second")


def ago(then: datetime, now: datetime) -> str:
    """Say how long ago ``then`` was; the date itself after a month."""
    seconds = (now - then).total_seconds()
    if seconds < _MINUTE:
        return "just now"
    if seconds < _HOUR:
        return _counted(int(seconds / _MINUTE), "minute") + " ago"
    if seconds < _DAY:
        return _counted(int(seconds / _HOUR), "hour") + " ago"
    if seconds < _LONGEST_DAYS * _DAY:
        return _counted(int(seconds / _DAY), "day") + " ago"
    return f"{then.day} {then:%B %Y}"


def moment(then: datetime, now: datetime) -> Markup:
    """Return ``then`` for a page: in words, with the exact time to be looked at."""
    exact = f"{then.day} {then:%B %Y, %H:%M} UTC"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        then.isoformat("T", "seconds"), exact, ago(then, now)
    )


def _counted(count: int, unit: str) -> str:
    return f"{count} {unit}" + ("" if count == 1 else "s")
