"""Reads YAML by libyaml's events. Nothing here recurses, so no nesting can exhaust the stack.

Scalars are read by the core schema of YAML 1.2, so that ``no``, ``on`` and ``08:00`` stay what they look like.
Duplicate keys are errors. What aliases unfold to is counted where they stand, and bounded.
"""

from __future__ import annotations

import re
from typing import Any, Final, NoReturn

import yaml

from gateway.config.document import Document, KeyPath, Place, key_text
from gateway.errors import ConfigError, ConfigProblem

_MAX_VALUES: Final = 500_000
_MAX_UNFOLDED: Final = 100_000  # what all aliases together may stand for
_MAX_DEPTH: Final = 60
_NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})
_TRUE: Final = frozenset({"true", "True", "TRUE"})
_FALSE: Final = frozenset({"false", "False", "FALSE"})
# Longer numbers stay text: int() of a very long one is slow, and none is a setting.
_INTEGER: Final = re.compile(r"[-+]?[0-9]{1,18}|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}", re.ASCII)
_FLOAT: Final = re.compile(r"[-+]?(\.[0-9]{1,18}|[0-9]{1,18}(\.[0-9]{0,18})?)([eE][-+]?[0-9]{1,3})?", re.ASCII)
_UNREADABLE: Final = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_TEXT_TAGS: Final = frozenset({"!", "tag:yaml.org,2002:str"})
_DROPPED: Final = object()  # stands for a key that was refused, so that its value is passed over


def read_document(text: str, file: str) -> Document:
    """Read one YAML document. Raises ConfigError when it is not YAML at all."""
    document = Document(file)
    if (found := _UNREADABLE.search(text)) is not None:
        raise ConfigError([_unreadable(text, found.start(), file)])
    reader = _Reader(document)
    loader = yaml.CSafeLoader(text)
    try:
        while (event := loader.get_event()) is not None:
            reader.take(event)
    except yaml.MarkedYAMLError as error:
        raise ConfigError([_syntax_problem(error, text, file)]) from error
    finally:
        loader.dispose()
    if isinstance(reader.root, dict):
        document.values = reader.root
    elif reader.root is not None:
        document.problems.append(document.problem((), "the file must hold keys, such as `routes:`"))
    return document


def plain_value(text: str) -> Any:
    """Read an unquoted scalar (YAML 1.2 section 10.3.2)."""
    if text in _NULL:
        return None
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    if _INTEGER.fullmatch(text):
        return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
    if _FLOAT.fullmatch(text):
        return float(text)
    return text


def _unreadable(text: str, at: int, file: str) -> ConfigProblem:
    lines = _LINE_BREAK.split(text[:at])
    message = f"is not YAML: the character U+{ord(text[at]):04X} may not stand in it"
    return ConfigProblem(message, file=file, line=len(lines), column=len(lines[-1]) + 1)


def _syntax_problem(error: yaml.MarkedYAMLError, text: str, file: str) -> ConfigProblem:
    mark = error.problem_mark or error.context_mark
    what = error.problem or error.context or "it cannot be read"
    if mark is None:
        return ConfigProblem(f"is not YAML: {what}", file=file)
    lines = _LINE_BREAK.split(text)
    if mark.line < len(lines) and lines[mark.line][mark.column : mark.column + 1] == "\t":
        what = "a tab cannot indent; use spaces"
    elif error.context and error.context_mark and error.context_mark.line != mark.line:
        what = f"{what}, {error.context} that starts on line {error.context_mark.line + 1}"
    return ConfigProblem(f"is not YAML: {what}", file=file, line=mark.line + 1, column=mark.column + 1)


class _Open:
    """A mapping or list whose end has not come. ``key`` is the one that waits for its value."""

    __slots__ = ("anchor", "dropped", "height", "is_key", "key", "lines", "path", "size", "value")

    def __init__(self, value: Any, path: KeyPath | None, anchor: str | None, *, is_key: bool) -> None:
        self.value = value
        self.path = path or ()
        self.anchor = anchor
        self.dropped = path is None
        self.is_key = is_key
        self.key: Any = None
        self.lines: dict[str, int] = {}
        self.size = 1
        self.height = 0

    @property
    def wants_key(self) -> bool:
        return not self.dropped and self.key is None and isinstance(self.value, dict)


class _Reader:
    """Builds values from events. A value's ``size`` and ``height`` are those of its unfolded form."""

    def __init__(self, document: Document) -> None:
        self.root: Any = None
        self._document = document
        self._open: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int, int]] = {}
        self._values = 0
        self._unfolded = 0
        self._documents = 0

    def take(self, event: yaml.Event) -> None:
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        elif isinstance(event, yaml.MappingStartEvent):
            self._start(event, {})
        elif isinstance(event, yaml.SequenceStartEvent):
            self._start(event, [])
        elif isinstance(event, yaml.MappingEndEvent | yaml.SequenceEndEvent):
            self._end()
        elif isinstance(event, yaml.AliasEvent):
            self._alias(event)
        elif isinstance(event, yaml.DocumentStartEvent):
            self._documents += 1
            if self._documents > 1:
                self._give_up(_place(event), "a second document starts here; one file holds one")

    def _scalar(self, event: yaml.ScalarEvent) -> None:
        if self._open and self._open[-1].wants_key:
            self._key(event)
            return
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self._complain(self._next_path(), _place(event), f"tags such as {_tag(event.tag)} have no meaning here")
        # A quoted or block scalar is text, whatever it looks like.
        value = event.value if event.style or event.tag else plain_value(event.value)
        self._put(value, _place(event))
        if event.anchor:
            self._anchors[event.anchor] = (value, 1, 0)

    def _key(self, event: yaml.ScalarEvent) -> None:
        mapping, key, place = self._open[-1], event.value, _place(event)
        path = (*mapping.path, key)
        mapping.key = _DROPPED
        if event.anchor:
            self._anchors[event.anchor] = (key, 1, 0)
        if key == "<<" and not event.style:
            self._complain(path, place, "merge keys are not part of YAML 1.2; repeat what they would bring")
        elif key in mapping.lines:
            self._complain(path, place, f"is given twice, first on line {mapping.lines[key]}")
        else:
            mapping.key = key
            mapping.lines[key] = place.line
            self._document.places[path] = place

    def _start(self, event: yaml.CollectionStartEvent, value: Any) -> None:
        place = _place(event)
        is_key = bool(self._open) and self._open[-1].wants_key
        if is_key:
            self._complain(self._open[-1].path, place, "a key must be a plain word")
            path = None
        else:
            if event.tag is not None:
                self._complain(self._next_path(), place, f"tags such as {_tag(event.tag)} have no meaning here")
            path = self._put(value, place, size=0)  # what it holds is counted at its end
        self._open.append(_Open(value, path, event.anchor, is_key=is_key))
        if len(self._open) > _MAX_DEPTH:
            self._give_up(place, f"is nested more than {_MAX_DEPTH} levels deep")

    def _end(self) -> None:
        closed = self._open.pop()
        if closed.anchor:
            self._anchors[closed.anchor] = (closed.value, closed.size, closed.height)
        if not self._open:
            return
        parent = self._open[-1]
        parent.size += closed.size
        parent.height = max(parent.height, closed.height + 1)
        if closed.is_key:
            parent.key = _DROPPED

    def _alias(self, event: yaml.AliasEvent) -> None:
        place = _place(event)
        if self._open and self._open[-1].wants_key:
            self._complain(self._open[-1].path, place, "a key must be a plain word")
            self._open[-1].key = _DROPPED
            return
        known = self._anchors.get(event.anchor or "")
        if known is None:
            self._give_up(place, f"*{event.anchor} stands for nothing that ends before it")
        value, size, height = known
        self._unfolded += size
        if self._unfolded > _MAX_UNFOLDED:
            self._give_up(place, "aliases stand for too many values")
        if len(self._open) + height > _MAX_DEPTH:
            self._give_up(place, f"is nested more than {_MAX_DEPTH} levels deep")
        self._put(value, place, size, height)

    def _next_path(self) -> KeyPath:
        if not self._open or self._open[-1].dropped:
            return ()
        parent = self._open[-1]
        if isinstance(parent.value, list):
            return (*parent.path, len(parent.value))
        return (*parent.path, parent.key) if parent.key is not _DROPPED else parent.path

    def _put(self, value: Any, place: Place, size: int = 1, height: int = 0) -> KeyPath | None:
        """Put ``value`` where it belongs and return its path, None when it is passed over."""
        self._values += 1
        if self._values > _MAX_VALUES:
            self._give_up(place, f"the file holds more than {_MAX_VALUES} values")
        if not self._open:
            self.root = value
            self._document.places[()] = place
            return ()
        parent = self._open[-1]
        parent.size += size
        parent.height = max(parent.height, height + 1)
        if parent.dropped:
            return None
        if isinstance(parent.value, list):
            path = (*parent.path, len(parent.value))
            parent.value.append(value)
        else:
            key, parent.key = parent.key, None
            if key is _DROPPED:
                return None
            path = (*parent.path, key)
            parent.value[key] = value
        self._document.places.setdefault(path, place)
        return path

    def _complain(self, path: KeyPath, place: Place, message: str) -> None:
        self._document.problems.append(self._document.problem_at(place, key_text(path), message))

    def _give_up(self, place: Place, message: str) -> NoReturn:
        raise ConfigError([*self._document.problems, self._document.problem_at(place, "", message)])


def _place(event: yaml.Event) -> Place:
    mark = event.start_mark
    return Place() if mark is None else Place(mark.line + 1, mark.column + 1)


def _tag(tag: str) -> str:
    return tag.replace("tag:yaml.org,2002:", "!!")[:40]
