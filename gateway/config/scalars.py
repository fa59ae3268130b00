"""Durations and sizes as people write them: ``15m``, ``12h``, ``64KiB``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_MILLISECONDS: Final = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
LONGEST: Final = timedelta(days=3650)
LARGEST: Final = 2**50  # a pebibyte: larger numbers are slips, and harm what adds them up
_BYTES: Final = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
_DURATION: Final = re.compile(r"(?:[0-9]{1,12}(?:ms|[smhdw]))+", re.ASCII)
_DURATION_PART: Final = re.compile(r"([0-9]+)(ms|[smhdw])", re.ASCII)
_SIZE: Final = re.compile(r"([0-9]{1,16}) ?(B|KB|MB|GB|KiB|MiB|GiB|TiB)", re.ASCII)


def parse_duration(text: object) -> timedelta:
    """Read ``90s``, ``15m``, ``1h30m`` or ``7d``. Raises ValueError that says what is accepted."""
    if isinstance(text, timedelta):
        return text
    if text == "0" or (text == 0 and not isinstance(text, bool)):
        return timedelta(0)
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError("a duration is a number with a unit, such as 30s, 15m, 12h or 7d")
    milliseconds = sum(int(number) * _MILLISECONDS[unit] for number, unit in _DURATION_PART.findall(text))
    if milliseconds > LONGEST // timedelta(milliseconds=1):
        raise ValueError(f"must be at most {LONGEST.days}d")
    return timedelta(milliseconds=milliseconds)


def format_duration(duration: timedelta) -> str:
    """Write a duration in the largest unit that gives a whole number: the inverse of ``parse_duration``."""
    milliseconds = duration // timedelta(milliseconds=1)
    for unit in ("d", "h", "m", "s"):
        if milliseconds and milliseconds % _MILLISECONDS[unit] == 0:
            return f"{milliseconds // _MILLISECONDS[unit]}{unit}"
    return f"{milliseconds}ms" if milliseconds else "0s"


def parse_size(text: object) -> int:
    """Read ``64KiB``, ``100MiB`` or a plain number of bytes. Raises ValueError that says what is accepted."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        size = text
    elif isinstance(text, str) and (match := _SIZE.fullmatch(text)) is not None:
        size = int(match[1]) * _BYTES[match[2]]
    else:
        raise ValueError("a size is a number of bytes or one with a unit, such as 64KiB, 100MiB or 1GiB")
    if size > LARGEST:
        raise ValueError(f"must be at most {format_size(LARGEST)}")
    return size


def format_size(size: int) -> str:
    """Write a size in its largest whole unit: the inverse of ``parse_size``."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def _positive(duration: timedelta) -> timedelta:
    if duration <= timedelta(0):
        raise ValueError("must be longer than zero")
    return duration


def _duration(value: Any) -> timedelta:
    return _positive(parse_duration(value))


_DURATION_SCHEMA: Final = WithJsonSchema({"type": "string", "pattern": r"^([0-9]{1,12}(ms|[smhdw]))+$"})
SIZE_PATTERN: Final = r"^[0-9]{1,16} ?(B|KB|MB|GB|KiB|MiB|GiB|TiB)$"
_SIZE_SCHEMA: Final = WithJsonSchema(
    {"anyOf": [{"type": "string", "pattern": SIZE_PATTERN}, {"type": "integer", "minimum": 0}]},
)

Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    _DURATION_SCHEMA,
]
DurationOrZero = Annotated[
    timedelta,
    BeforeValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str),
    _DURATION_SCHEMA,
]
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(format_size, return_type=str), _SIZE_SCHEMA]
