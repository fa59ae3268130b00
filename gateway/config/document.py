"""A YAML file as plain values that remember where they stood."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from gateway.errors import ConfigProblem

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a key was given: line and column (1-based) of the file, or a variable of the environment."""

    line: int = 0
    column: int = 0
    variable: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong with the key at ``path``. It is void where a key that it ``reads`` is wrong itself."""

    path: KeyPath
    message: str
    reads: tuple[KeyPath, ...] = ()


@dataclass(slots=True)
class Document:
    """The values of one file, where each stood, and what was wrong with its form."""

    file: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[ConfigProblem] = field(default_factory=list)

    def place(self, path: KeyPath) -> Place:
        """Return where ``path`` stands, or its nearest parent that was given."""
        for length in range(len(path), -1, -1):
            if (found := self.places.get(path[:length])) is not None:
                return found
        return Place()

    def problem(self, path: KeyPath, message: str) -> ConfigProblem:
        """Return a problem of the key at ``path`` that says where it was given."""
        return self.problem_at(self.place(path), key_text(path), message)

    def problem_at(self, place: Place, key: str, message: str) -> ConfigProblem:
        if place.variable:
            return ConfigProblem(message, key, f"environment {place.variable}")
        return ConfigProblem(message, key, self.file, place.line, place.column)

    def origin(self, path: KeyPath) -> str:
        """Return where the key at ``path`` was given: ``file:line`` or ``$VARIABLE``."""
        place = self.places[path]
        return f"${place.variable}" if place.variable else f"{self.file}:{place.line}"


def key_text(path: KeyPath) -> str:
    """Write a key path as people read it: ``routes[2].match.host``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def value_at(values: Any, path: KeyPath) -> Any:
    """Return what stands at ``path``, or None."""
    for part in path:
        if not isinstance(values, dict | list):
            return None
        try:
            values = values[part]  # type: ignore[index]  # a wrong kind of part is caught
        except (LookupError, TypeError):
            return None
    return values
