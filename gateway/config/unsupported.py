"""Keys whose feature is planned and not here yet: refused by name, so that nobody trusts in them."""

from __future__ import annotations

from typing import Final

UNSUPPORTED: Final = frozenset(
    {
        "tests",
        "routes.*.shadow",
        "routes.*.require.time",
    },
)
# Requirements nest in these; the table names them once.
_NESTING: Final = frozenset({"any", "all", "not"})


def table_key(path: tuple[str | int, ...]) -> str:
    """Return ``path`` as the tables write it: names of pools and places in lists are ``*``."""
    parts: list[str] = []
    for part in path:
        if isinstance(part, int) or parts in (["upstreams"], ["providers"]):
            parts.append("*")
        else:
            parts.append(part)
    if "require" not in parts:
        return ".".join(parts)
    start = parts.index("require") + 1
    inner = [part for part in parts[start:] if part not in _NESTING and part != "*"]
    return ".".join([*parts[:start], *inner])


def is_unsupported(path: tuple[str | int, ...], value: object) -> bool:
    """Say whether the key at ``path``, or its value, belongs to a feature that is not here yet."""
    key = table_key(path)
    if key in UNSUPPORTED:
        return True
    return key == "server.workers" and (value == "auto" or (isinstance(value, int) and value > 1))
