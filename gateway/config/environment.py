"""``GATEWAY_SECTION__KEY=value`` overrides a scalar of the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from gateway.config.document import Document, KeyPath, Place, key_text
from gateway.config.keys import holds_keys, takes_text
from gateway.config.yaml_reader import plain_value
from gateway.errors import ConfigProblem

PREFIX: Final = "GATEWAY_"
# Names that steer commands, not settings.
_OTHERS: Final = frozenset({"GATEWAY_CONFIG", "GATEWAY_PG_BINDIR"})
# Kubernetes sets these in every container beside a Service that is called `gateway` or `gateway-...`.
_SERVICE_LINK: Final = re.compile(
    r"GATEWAY_(?:[A-Z0-9]+_)*(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_[0-9]+_(?:TCP|UDP|SCTP)(?:_[A-Z]+)?)?)"
)


def override(document: Document, environ: Mapping[str, str]) -> None:
    """Write the variables' values into ``document``, each with its origin."""
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in _OTHERS or _SERVICE_LINK.fullmatch(variable):
            continue
        path: KeyPath = tuple(part.lower() for part in variable.removeprefix(PREFIX).split("__"))
        if complaint := _set(document, path, text, Place(variable=variable)):
            document.problems.append(ConfigProblem(complaint, key_text(path), f"environment {variable}"))


def _set(document: Document, path: KeyPath, text: str, place: Place) -> str:
    """Set one value. Return what is wrong, or nothing."""
    if "" in path:
        return "does not name a key: write GATEWAY_SECTION__KEY"
    if holds_keys(path):
        return "cannot be set as a whole: name one of its keys, or use the file"
    section: dict[str, Any] = document.values
    for depth, part in enumerate(path[:-1], start=1):
        inner = section.get(str(part))
        if inner is not None and not isinstance(inner, dict):
            return f"cannot be set: {key_text(path[:depth])} holds no keys"
        if inner is None:
            document.places.setdefault(path[:depth], place)
        # A copy: where an alias put it, the same section stands elsewhere as well.
        section[str(part)] = section = dict(inner or {})
    section[str(path[-1])] = _value(path, text)
    document.places[path] = place
    return ""


def _value(path: KeyPath, text: str) -> Any:
    value = plain_value(text)
    return text if value is not None and takes_text(path) else value
