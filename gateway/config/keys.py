"""The keys that the configuration knows, read off the settings' types."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.config.document import KeyPath
from gateway.config.section import Section
from gateway.config.settings import Settings


def keys_beside(path: KeyPath) -> list[str]:
    """Return the keys of the section that ``path`` stands in; none when it is no section."""
    section = _type_at(path[:-1])
    if not is_section(section):
        return []
    return [field.alias or name for name, field in section.model_fields.items()]


def holds_keys(path: KeyPath) -> bool:
    """Say whether the value at ``path`` consists of sections, so that no single value can stand for it."""
    found = _type_at(path)
    if typing.get_origin(found) in {tuple, dict}:
        return True if typing.get_origin(found) is dict else is_section(_section_in(typing.get_args(found)[0]))
    return is_section(found)


def takes_text(path: KeyPath) -> bool:
    """Say whether the value at ``path`` is text even when it looks like a number."""
    return bool({str, SecretStr} & set(_leaves(_type_at(path))))


def every_key() -> Iterator[tuple[str, FieldInfo]]:
    """Yield every key as ``routes[].match.host`` or ``upstreams.*.servers``, sections before what they hold."""
    return _keys_below(Settings, "", ())


def is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _keys_below(
    section: type[Section], prefix: str, above: tuple[type[Section], ...]
) -> Iterator[tuple[str, FieldInfo]]:
    for name, field in section.model_fields.items():
        key = f"{prefix}{field.alias or name}"
        yield key, field
        inner = _section_in(field.annotation)
        mark = ""
        if typing.get_origin(inner) is dict:
            inner, mark = _section_in(typing.get_args(inner)[1]), ".*"
        elif typing.get_origin(inner) is tuple:
            inner, mark = _section_in(typing.get_args(inner)[0]), "[]"
        if is_section(inner) and inner not in (*above, section):  # requirements nest
            yield from _keys_below(inner, f"{key}{mark}.", (*above, section))


def _type_at(path: KeyPath) -> Any:
    found: Any = Settings
    for part in path:
        found = _inner(found, part)
    return found


def _inner(annotation: Any, part: str | int) -> Any:
    """Step from a type to the type of its key or item ``part``, or None."""
    if is_section(annotation):
        for name, field in annotation.model_fields.items():
            if part == (field.alias or name):
                return _section_in(field.annotation)
        return None
    arguments = typing.get_args(annotation)
    if typing.get_origin(annotation) is dict:
        return _section_in(arguments[1])
    if typing.get_origin(annotation) is tuple:
        return _section_in(arguments[0])
    return None


def _section_in(annotation: Any) -> Any:
    """Look through Optional, unions and Annotated for the part that can hold keys; the whole where there is none."""
    if typing.get_origin(annotation) in {typing.Union, types.UnionType, typing.Annotated}:
        candidates = [_section_in(argument) for argument in typing.get_args(annotation)]
        return next((each for each in candidates if _can_hold(each)), annotation)
    return annotation


def _can_hold(annotation: Any) -> bool:
    return is_section(annotation) or typing.get_origin(annotation) in {dict, tuple}


def _leaves(annotation: Any) -> Iterator[Any]:
    arguments = typing.get_args(annotation)
    if not arguments:
        yield annotation
    for argument in arguments:
        yield from _leaves(argument)
