"""A YAML file as plain values that remember where they stood.

libyaml composes the nodes (ten times faster than pure Python); scalars are read by YAML 1.2's core
schema, so that ``no`` and ``08:00`` stay what they look like. Duplicate keys are errors, aliases and
nesting are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Any, Final

import yaml

from gateway.errors import ConfigError, ConfigProblem

_MAX_NODES: Final = 500_000
_MAX_DEPTH: Final = 60
_NULL: Final = {"", "~", "null", "Null", "NULL"}
_TRUE: Final = {"true", "True", "TRUE"}
_FALSE: Final = {"false", "False", "FALSE"}
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]{1,18}|[0-9]{1,18}\.[0-9]{0,18})", re.ASCII)
_STRING: Final = "tag:yaml.org,2002:str"

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in a file: 1-based."""

    line: int
    column: int


@dataclass(slots=True)
class Document:
    """The values of one file, where each stood, and what was wrong with its form."""

    file: str
    values: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)
    problems: list[ConfigProblem] = field(default_factory=list)

    def place(self, path: KeyPath) -> Place:
        """Return where ``path`` stands, or its nearest parent that is in the file."""
        for length in range(len(path), -1, -1):
            if (found := self.places.get(path[:length])) is not None:
                return found
        return Place(1, 1)

    def problem(self, path: KeyPath, message: str) -> ConfigProblem:
        place = self.place(path)
        return ConfigProblem(message, key_text(path), self.file, place.line, place.column)


def key_text(path: KeyPath) -> str:
    """Write a key path as people read it: ``routes[2].match.host``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read_document(text: str, file: str) -> Document:
    """Read one YAML document. Raises ConfigError when it is not YAML at all."""
    document = Document(file)
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, file)]) from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError([ConfigProblem(f"is not YAML: {_first_line(error)}", file=file)]) from error
    if root is None:
        return document
    values = _Reader(document).value(root, (), 0)
    if isinstance(values, dict):
        document.values = values
    elif not document.problems:
        document.problems.append(document.problem((), "the file must hold keys, such as `routes:`"))
    return document


def _syntax_problem(error: yaml.MarkedYAMLError, file: str) -> ConfigProblem:
    mark = error.problem_mark or error.context_mark
    what = error.problem or error.context or "cannot be read"
    if mark is None:
        return ConfigProblem(f"is not YAML: {what}", file=file)
    return ConfigProblem(f"is not YAML: {what}", file=file, line=mark.line + 1, column=mark.column + 1)


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__


class _Reader:
    """Turns nodes into values while it counts what they cost."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._nodes = 0

    def value(self, node: yaml.Node, path: KeyPath, depth: int) -> Any:
        # An alias is the same node again, so counting visits bounds what aliases can unfold to.
        self._nodes += 1
        mark = node.start_mark
        self._document.places.setdefault(path, Place(mark.line + 1, mark.column + 1))
        if depth > _MAX_DEPTH:
            raise ConfigError([self._document.problem(path, "is nested too deeply")])
        if self._nodes > _MAX_NODES:
            raise ConfigError([self._document.problem(path, "the file unfolds to too many values")])
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path, depth)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(item, (*path, index), depth + 1) for index, item in enumerate(node.value)]
        return self._scalar(node)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, Any]:
        values: dict[str, Any] = {}
        first: dict[Hashable, Place] = {}
        for key_node, value_node in node.value:
            place = Place(key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if not isinstance(key_node, yaml.ScalarNode):
                self._complain(path, place, "a key must be a plain word")
                continue
            key = str(key_node.value)
            if key in first:
                self._complain((*path, key), place, f"is given twice, first on line {first[key].line}")
                continue
            first[key] = place
            self._document.places[(*path, key)] = place
            values[key] = self.value(value_node, (*path, key), depth + 1)
        return values

    @staticmethod
    def _scalar(node: yaml.Node) -> Any:
        text = str(node.value)
        # A quoted, block or `!!str` scalar is text, whatever it looks like.
        if getattr(node, "style", None) or node.tag == _STRING:
            return text
        return plain_value(text)

    def _complain(self, path: KeyPath, place: Place, message: str) -> None:
        self._document.problems.append(
            ConfigProblem(message, key_text(path), self._document.file, place.line, place.column),
        )


def plain_value(text: str) -> Any:
    """Read an unquoted scalar by the core schema of YAML 1.2 section 10.3."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INTEGER.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    return text
