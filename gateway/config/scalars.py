"""Durations and sizes as people write them: ``15m``, ``12h``, ``64KiB``."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, PlainSerializer, WithJsonSchema

_SECONDS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
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
_DURATION: Final = re.compile(r"(?:[0-9]{1,9}(?:ms|[smhdw]))+", re.ASCII)
_DURATION_PART: Final = re.compile(r"([0-9]+)(ms|[smhdw])", re.ASCII)
_SIZE: Final = re.compile(r"([0-9]{1,15}) ?(B|KB|MB|GB|KiB|MiB|GiB|TiB)", re.ASCII)


def parse_duration(text: object) -> timedelta:
    """Read ``90s``, ``15m``, ``1h30m`` or ``7d``. Raises ValueError that says what is accepted."""
    if isinstance(text, timedelta):
        return text
    if text in (0, "0"):
        return timedelta(0)
    if not isinstance(text, str) or not _DURATION.fullmatch(text):
        raise ValueError("a duration is a number with a unit, such as 30s, 15m, 12h or 7d")
    return timedelta(seconds=sum(int(n) * _SECONDS[unit] for n, unit in _DURATION_PART.findall(text)))


def format_duration(duration: timedelta) -> str:
    """Write a duration in its largest whole units: the inverse of ``parse_duration``."""
    left = round(duration.total_seconds() * 1000)
    text = ""
    for unit in ("d", "h", "m", "s", "ms"):
        amount, left = divmod(left, round(_SECONDS[unit] * 1000))
        text += f"{amount}{unit}" if amount else ""
    return text or "0s"


def parse_size(text: object) -> int:
    """Read ``64KiB``, ``100MiB`` or a plain number of bytes. Raises ValueError that says what is accepted."""
    if isinstance(text, int) and not isinstance(text, bool) and text >= 0:
        return text
    match = _SIZE.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("a size is a number of bytes or one with a unit, such as 64KiB, 100MiB or 1GiB")
    return int(match[1]) * _BYTES[match[2]]


def format_size(size: int) -> str:
    """Write a size in its largest whole unit: the inverse of ``parse_size``."""
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"


def _positive(duration: timedelta) -> timedelta:
    if duration <= timedelta(0):
        raise ValueError("must be longer than zero")
    return duration


def _duration(value: Any) -> timedelta:
    return _positive(parse_duration(value))


_DURATION_SCHEMA: Final = WithJsonSchema({"type": "string", "pattern": r"^([0-9]{1,9}(ms|[smhdw]))+$"})
_SIZE_SCHEMA: Final = WithJsonSchema(
    {
        "anyOf": [
            {"type": "string", "pattern": r"^[0-9]{1,15} ?(B|KB|MB|GB|KiB|MiB|GiB|TiB)$"},
            {"type": "integer", "minimum": 0},
        ],
    },
)

Duration = Annotated[
    timedelta,
    BeforeValidator(_duration),
    PlainSerializer(format_duration, return_type=str),
    _DURATION_SCHEMA,
]
Size = Annotated[int, BeforeValidator(parse_size), PlainSerializer(format_size, return_type=str), _SIZE_SCHEMA]
