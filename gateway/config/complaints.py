"""Pydantic's findings, in words for the person who wrote the file."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from gateway.config.document import Finding, KeyPath, value_at
from gateway.config.keys import every_key, keys_beside
from gateway.config.unsupported import is_unsupported

_NO_KEYS: Final = "must hold keys"
_WORDS: Final = {
    "too_short": "must not be empty",
    "missing": "is required",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "dict_type": _NO_KEYS,
    "model_type": _NO_KEYS,
    "model_attributes_type": _NO_KEYS,
    "tuple_type": "must be a list",
    "path_type": "must be a path",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "string_too_short": "must not be empty",
    "string_too_long": "must be at most {max_length} characters",
    "recursion_loop": "contains itself",
}
_ABOUT_FORM: Final = frozenset({_NO_KEYS, _WORDS["tuple_type"]})


def findings_of(error: ValidationError, values: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield one finding for each key that a validation found wrong."""
    seen: set[KeyPath] = set()
    for detail in error.errors(include_url=False, include_input=False):
        path = _path_in_file(detail, values)
        if path in seen:  # a union reports each of its branches
            continue
        value = value_at(values, path)
        if detail["type"] == "too_short" and value:
            continue  # its items were wrong, and are reported themselves
        seen.add(path)
        yield Finding(path, _message(detail, path, value))


def _path_in_file(detail: ErrorDetails, values: Any) -> KeyPath:
    """Cut what pydantic adds to a key's path (branches of unions, places in lists that were not written)."""
    path: list[str | int] = []
    for part in detail["loc"]:
        in_mapping = isinstance(values, Mapping) and part in values
        if in_mapping or (isinstance(values, list) and isinstance(part, int) and part < len(values)):
            values = values[part]
        else:
            if detail["type"] == "missing":
                path.append(detail["loc"][-1])
            break
        path.append(part)
    return tuple(path)


def _message(detail: ErrorDetails, path: KeyPath, value: object) -> str:
    if is_unsupported(path, value):
        return "is not supported yet"
    if detail["type"] == "extra_forbidden":
        return _unknown_key(path)
    if detail["type"] == "literal_error":
        return _not_one_of(detail["ctx"]["expected"], value)
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return _in_words(detail, value)


def _in_words(detail: ErrorDetails, value: object) -> str:
    words = _WORDS.get(detail["type"])
    if words is None:
        return detail["msg"].replace("Input should", "must").replace("Value should", "must")
    if value is None and words in _ABOUT_FORM:
        return "is empty: fill it or take it out"
    if detail["type"] == "string_type" and isinstance(value, int | float):
        return "must be text: put it in quotes"
    return words.format_map(detail.get("ctx", {}))


def _not_one_of(expected: str, value: object) -> str:
    """``expected`` is pydantic's list: ``'a', 'b' or 'c'``."""
    words = re.findall(r"'([^']*)'", expected)
    close = difflib.get_close_matches(value, words, n=1) if isinstance(value, str) else []
    hint = f"; did you mean `{close[0]}`?" if close else ""
    return f"must be one of {', '.join(word for word in words if word)}{hint}" if words else f"must be {expected}"


def _unknown_key(path: KeyPath) -> str:
    name = str(path[-1])
    close = difflib.get_close_matches(name, keys_beside(path), n=1, cutoff=0.6)
    if close:
        return f"is an unknown key; did you mean `{close[0]}`?"
    elsewhere = [key for key, _ in every_key() if key.rpartition(".")[2] == name]
    if len(elsewhere) == 1:
        return f"is an unknown key here; it belongs at {elsewhere[0]}"
    return "is an unknown key"
