"""Durations and sizes: what is accepted, what is refused, and that writing is the inverse of reading."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config.scalars import LARGEST, LONGEST, format_duration, format_size, parse_duration, parse_size

MILLISECOND = timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "duration", "written"),
    [
        ("250ms", timedelta(milliseconds=250), "250ms"),
        ("30s", timedelta(seconds=30), "30s"),
        ("75s", timedelta(seconds=75), "75s"),
        ("60s", timedelta(minutes=1), "1m"),
        ("1h30m", timedelta(minutes=90), "90m"),
        ("1s500ms", timedelta(milliseconds=1500), "1500ms"),
        ("24h", timedelta(days=1), "1d"),
        ("2w", timedelta(days=14), "14d"),
        ("3650d", LONGEST, "3650d"),
        ("0s", timedelta(0), "0s"),
        ("0", timedelta(0), "0s"),
        (0, timedelta(0), "0s"),
        (timedelta(hours=12), timedelta(hours=12), "12h"),
    ],
)
def test_duration(text: object, duration: timedelta, written: str) -> None:
    assert parse_duration(text) == duration
    assert format_duration(duration) == written


NO_DURATIONS = [
    "",
    "15",
    "m",
    "15 m",
    "-1s",
    "+1s",
    "1.5h",
    "1H",
    "1min",
    "1s ",
    "1s\n",
    "\u0661s",
    "3651d",
    "9" * 400 + "s",
]


@pytest.mark.parametrize("text", [*NO_DURATIONS, 15, 1.5, True, False, None, []])
def test_what_is_no_duration_is_a_value_error(text: object) -> None:
    with pytest.raises(ValueError, match=r"a duration is|must be at most 3650d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size", "written"),
    [
        (0, 0, "0B"),
        (1500, 1500, "1500B"),
        ("7B", 7, "7B"),
        ("64KiB", 65536, "64KiB"),
        ("64 KiB", 65536, "64KiB"),
        ("64KB", 64000, "64000B"),
        ("100MiB", 100 * 1024**2, "100MiB"),
        ("100MB", 10**8, "100000000B"),
        ("1GiB", 1024**3, "1GiB"),
        ("1GB", 10**9, "1000000000B"),
        ("1024TiB", LARGEST, "1024TiB"),
    ],
)
def test_size(text: object, size: int, written: str) -> None:
    assert parse_size(text) == size
    assert format_size(size) == written


@pytest.mark.parametrize(
    "text",
    ["", "12", "KiB", "-1B", "1.5GiB", "1kib", "1K", "1  KiB", "1KiB\n", "1025TiB", -1, 1.5, True, None, [], 2**51],
)
def test_what_is_no_size_is_a_value_error(text: object) -> None:
    with pytest.raises(ValueError, match=r"a size is|must be at most 1024TiB"):
        parse_size(text)


@given(st.integers(0, LONGEST // MILLISECOND))
def test_duration_is_read_as_it_was_written(milliseconds: int) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(format_duration(duration)) == duration


@given(st.integers(0, LARGEST))
def test_size_is_read_as_it_was_written(size: int) -> None:
    assert parse_size(format_size(size)) == size


@given(
    st.text() | st.text("0123456789mshdwKMGTiB ", max_size=30) | st.integers() | st.floats() | st.booleans() | st.none()
)
def test_anything_is_in_bounds_or_a_value_error(value: object) -> None:
    for parse, largest in ((parse_duration, LONGEST), (parse_size, LARGEST)):
        try:
            parsed = parse(value)
        except ValueError:
            continue
        assert type(largest)() <= parsed <= largest  # type: ignore[operator]
