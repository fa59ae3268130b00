"""Times as people say them: how long to wait, how long something lasts, how long ago something was."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Final

from babel.dates import format_date, format_datetime
from markupsafe import Markup

from gateway.translation.words import counted, current, text

_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400
_LONGEST_DAYS: Final = 30


def wait(seconds: int) -> str:
    """Say how long to wait, rounded up as people would."""
    if seconds <= 10:  # noqa: PLR2004
        return text("a few seconds")
    minutes = math.ceil(seconds / _MINUTE)
    if minutes == 1:
        return text("a minute")
    return _minutes(minutes) if minutes < 120 else _hours(math.ceil(minutes / 60))  # noqa: PLR2004


def days(seconds: float) -> str:
    """Say a long duration: in days where it has whole ones, else in hours."""
    if seconds >= _DAY:
        return _days(round(seconds / _DAY))
    return _hours(max(1, round(seconds / _HOUR)))


def span(seconds: float) -> str:
    """Say how long something lasts, in the largest unit that it fills."""
    if seconds >= _DAY:
        return _days(round(seconds / _DAY))
    if seconds >= _HOUR:
        return _hours(round(seconds / _HOUR))
    if seconds >= _MINUTE:
        return _minutes(round(seconds / _MINUTE))
    return counted("%(count)s second", "%(count)s seconds", max(1, round(seconds)))


def ago(then: datetime, now: datetime) -> str:
    """Say how long ago ``then`` was; the date itself after a month."""
    seconds = (now - then).total_seconds()
    if seconds < _MINUTE:
        return text("just now")
    if seconds < _HOUR:
        return counted("%(count)s minute ago", "%(count)s minutes ago", int(seconds / _MINUTE))
    if seconds < _DAY:
        return counted("%(count)s hour ago", "%(count)s hours ago", int(seconds / _HOUR))
    if seconds < _LONGEST_DAYS * _DAY:
        return counted("%(count)s day ago", "%(count)s days ago", int(seconds / _DAY))
    return format_date(then, "d MMMM y", locale=current().locale)


def exact(then: datetime) -> str:
    """Say a moment in UTC, to the minute."""
    return f"{format_datetime(then, 'd MMMM y, HH:mm', locale=current().locale)} UTC"


def moment(then: datetime, now: datetime) -> Markup:
    """Return ``then`` for a page: in words, with the exact time to be looked at."""
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        then.isoformat("T", "seconds"), exact(then), ago(then, now)
    )


def _minutes(count: int) -> str:
    return counted("%(count)s minute", "%(count)s minutes", count)


def _hours(count: int) -> str:
    return counted("%(count)s hour", "%(count)s hours", count)


def _days(count: int) -> str:
    return counted("%(count)s day", "%(count)s days", count)
