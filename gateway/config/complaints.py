"""Pydantic's findings, in words for the person who wrote the file."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.document import Document, KeyPath
from gateway.config.settings import Settings
from gateway.config.unsupported import is_unsupported
from gateway.errors import ConfigProblem

_WORDS: Final = {
    "too_short": "must not be empty",
    "missing": "is required",
    "string_type": "must be text",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "dict_type": "must hold keys",
    "model_type": "must hold keys",
    "tuple_type": "must be a list",
    "path_type": "must be a path",
    "model_attributes_type": "must hold keys",
}


def problems_of(error: ValidationError, document: Document) -> Iterator[ConfigProblem]:
    """Yield one problem for each key that a validation found wrong, with its place in the file."""
    seen: set[KeyPath] = set()
    details = error.errors(include_url=False, include_input=False, include_context=True)
    for detail in details:
        path = _path_in_file(detail, document.values)
        if path in seen:  # a union reports each of its branches
            continue
        if detail["type"] == "too_short" and _value_at(document.values, path):
            continue  # its items were wrong, and are reported themselves
        seen.add(path)
        yield document.problem(path, _message(detail, path, document.values))


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


def _message(detail: ErrorDetails, path: KeyPath, values: object) -> str:
    value = _value_at(values, path)
    if is_unsupported(path, value):
        return "is not supported yet"
    if detail["type"] == "extra_forbidden":
        return _unknown_key(path)
    if detail["type"] == "literal_error":
        return f"must be one of: {detail['ctx']['expected'].replace(' or ', ', ')}"
    if detail["type"] == "value_error":
        return str(detail["ctx"]["error"])
    return _general_message(detail)


def _general_message(detail: ErrorDetails) -> str:
    if (words := _WORDS.get(detail["type"])) is not None:
        return words
    message = detail["msg"].replace("Input should be", "must be").replace("Value should", "must")
    return message.replace("String should", "must")


def _value_at(values: Any, path: KeyPath) -> Any:
    for part in path:
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return None
    return values


def _unknown_key(path: KeyPath) -> str:
    known = [name for name in _keys_beside(path) if isinstance(path[-1], str)]
    close = difflib.get_close_matches(str(path[-1]), known, n=1, cutoff=0.6)
    return f"is an unknown key; did you mean `{close[0]}`?" if close else "is an unknown key"


def _keys_beside(path: KeyPath) -> list[str]:
    """Return the keys that the section at ``path``'s parent knows."""
    section: Any = Settings
    for part in path[:-1]:
        section = _inner(section, part)
        if section is None:
            return []
    if not _is_section(section):
        return []
    return [field.alias or name for name, field in section.model_fields.items()]


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, BaseModel)


def _inner(annotation: Any, part: str | int) -> Any:
    """Step from a type to the type of its key or item ``part``, or None."""
    if _is_section(annotation):
        for name, field in annotation.model_fields.items():
            if part in {name, field.alias}:
                return _section_in(field.annotation)
        return None
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:
        return _section_in(arguments[1])
    if typing.get_origin(annotation) is tuple:
        return _section_in(arguments[0])
    return None


def _section_in(annotation: Any) -> Any:
    """Look through Optional, unions and Annotated for the part that can hold keys."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType, typing.Annotated}:
        candidates = [_section_in(argument) for argument in typing.get_args(annotation)]
        return next((each for each in candidates if _holds_keys(each)), None)
    return annotation


def _holds_keys(annotation: Any) -> bool:
    return _is_section(annotation) or typing.get_origin(annotation) in {dict, tuple}
