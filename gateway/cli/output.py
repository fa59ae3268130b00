"""Results as text for people or JSON for programs; one line on stderr for each thing that went wrong."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click
import uvloop

Result = TypeVar("Result")
Row = Mapping[str, Any]


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run a command's coroutine to its end on uvloop, as the server does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


def emit(result: Row | Sequence[Row], output: str, *, empty: str = "nothing to show") -> None:
    """Print an object or a list of objects with the same keys. ``empty`` stands for an empty list in text."""
    if output == "json":
        click.echo(json.dumps(result, default=_plain, indent=2))
    elif isinstance(result, Mapping):
        width = max((len(key) for key in result), default=0)
        for key, value in result.items():
            click.echo(f"{key:<{width}}  {_text(value)}")
    elif result:
        _table(result)
    else:
        click.echo(empty)


def _table(rows: Sequence[Row]) -> None:
    keys = list(rows[0])
    cells = [
        [key.upper().replace("_", " ") for key in keys],
        *([_text(row[key]) for key in keys] for row in rows),
    ]
    widths = [max(len(line[column]) for line in cells) for column in range(len(keys))]
    for line in cells:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _text(value: object) -> str:
    if value is None or value == {}:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(str(item) for item in value) or "-"
    # A name with control characters must not move the terminal's cursor.
    return "".join(character if character.isprintable() else "?" for character in str(value))
