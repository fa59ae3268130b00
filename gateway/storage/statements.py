"""SQL read from files: one statement a name, in aiosql's form (``-- name: find_by_hash``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

_NAME = re.compile(r"^--\s*name:\s*(?P<name>[a-z][a-z0-9_]*)(?P<operator>[\^$!*]|<!)?\s*$", re.MULTILINE)


class Statements(Mapping[str, str]):
    """The statements of one file by name; asking for one that is not there says which file lacks it."""

    def __init__(self, file: str, by_name: Mapping[str, str]) -> None:
        self._file = file
        self._by_name = dict(by_name)

    def __getitem__(self, name: str) -> str:
        try:
            return self._by_name[name]
        except KeyError:
            raise LookupError(f"{self._file} has no statement named {name!r}") from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


@cache
def sql_directory() -> Path:
    """Return the directory of ``migrations/`` and ``queries/``.

    The wheel carries it inside the package; an editable install reads the repository's.
    """
    package = Path(__file__).resolve().parents[1]
    for directory in (package / "sql", package.parent / "sql"):
        if (directory / "migrations").is_dir():
            return directory
    raise LookupError(f"the installation lacks its SQL files (looked beside and below {package})")


@cache
def statements(module: str) -> Statements:
    """Return the statements of ``sql/queries/<module>.sql``."""
    path = sql_directory() / "queries" / f"{module}.sql"
    return Statements(f"sql/queries/{module}.sql", parse_statements(path.read_text(encoding="utf-8")))


def parse_statements(text: str) -> dict[str, str]:
    """Split a file at its ``-- name:`` lines; aiosql's operator after a name is allowed and has no effect.

    Raises ValueError for a name used twice, a statement without text, or SQL before the first name.
    """
    parts = list(_NAME.finditer(text))
    if _without_comments(text[: parts[0].start() if parts else len(text)]):
        raise ValueError("SQL before the first '-- name:' line")
    found: dict[str, str] = {}
    for index, part in enumerate(parts):
        end = parts[index + 1].start() if index + 1 < len(parts) else len(text)
        sql = text[part.end() : end].strip()
        name = part["name"]
        if name in found:
            raise ValueError(f"two statements are named {name!r}")
        if not _without_comments(sql):
            raise ValueError(f"the statement {name!r} is empty")
        found[name] = sql
    return found


def _without_comments(sql: str) -> str:
    lines = (line for line in sql.splitlines() if not line.lstrip().startswith("--"))
    return "\n".join(lines).strip()
