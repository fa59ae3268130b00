"""``GATEWAY_SECTION__KEY=value`` overrides a scalar of the file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from gateway.config.document import Document, KeyPath, plain_value
from gateway.errors import ConfigProblem

PREFIX: Final = "GATEWAY_"
# Names that steer commands, not settings.
_OTHERS: Final = frozenset({"GATEWAY_CONFIG", "GATEWAY_PG_BINDIR"})
# These hold text even when it looks like a number.
_TEXT: Final = frozenset({("secret_key",), ("database", "url"), ("branding", "name")})


def override(document: Document, environ: Mapping[str, str]) -> dict[KeyPath, str]:
    """Write overrides into ``document`` and return which variable each came from."""
    origins: dict[KeyPath, str] = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(PREFIX) or variable in _OTHERS:
            continue
        path: KeyPath = tuple(part.lower() for part in variable.removeprefix(PREFIX).split("__"))
        if _set(document.values, path, text if path in _TEXT else plain_value(text)):
            origins[path] = variable
        else:
            document.problems.append(
                ConfigProblem("does not name a scalar of the configuration", file=f"environment {variable}"),
            )
    return origins


def _set(values: dict[str, Any], path: KeyPath, value: Any) -> bool:
    section: Any = values
    for part in path[:-1]:
        if not isinstance(section, dict) or not part:
            return False
        section = section.setdefault(part, {})
    if not isinstance(section, dict) or not path[-1] or isinstance(section.get(str(path[-1])), dict):
        return False
    section[str(path[-1])] = value
    return True
