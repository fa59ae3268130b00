"""SQL files parse as they read, and every statement in them fits the schema."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

import gateway
from gateway.storage.statements import parse_statements, sql_directory, statements

QUERIES = sorted((sql_directory() / "queries").glob("*.sql"))


def test_statements_are_split_at_their_names() -> None:
    text = "-- a file\n\n-- name: one\n-- why\nselect 1;\n\n-- name: two^\nselect\n  2;\n"
    assert parse_statements(text) == {"one": "-- why\nselect 1;", "two": "select\n  2;"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("-- name: a\nselect 1;\n-- name: a\nselect 2;", "two statements", id="a name twice"),
        pytest.param("-- name: a\n-- only a comment\n", "empty", id="no statement"),
        pytest.param("select 1;\n-- name: a\nselect 2;", "before", id="SQL without a name"),
        pytest.param("select 1;", "before", id="no name at all"),
    ],
)
def test_a_file_that_would_lose_sql_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_statements(text)


def test_a_missing_name_says_which_file_lacks_it() -> None:
    with pytest.raises(LookupError, match=r"sql/queries/event\.sql has no statement named 'nothing'"):
        statements("event")["nothing"]


async def test_every_statement_is_prepared_against_the_schema(dsn_args: dict[str, Any]) -> None:
    """One that names a column which is not there, or whose types do not fit, fails here."""
    connection = await asyncpg.connect(**dsn_args)
    try:
        failures = []
        for path in QUERIES:
            for name, sql in statements(path.stem).items():
                try:
                    await connection.prepare(sql)
                except asyncpg.PostgresError as error:
                    failures.append(f"{path.name}: {name}: {error}")
        assert failures == []
    finally:
        await connection.close()


def uses() -> Iterator[tuple[Path, str, str]]:
    """Yield (module, file of statements, name) for each ``_SQL["name"]`` in the package."""
    for path in Path(gateway.__file__).parent.rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        files: dict[str, str] = {}
        for node in ast.walk(tree):
            match node:
                case (
                    ast.Assign(targets=[ast.Name(id=variable)], value=ast.Call() as call)
                    | ast.AnnAssign(target=ast.Name(id=variable), value=ast.Call() as call)
                ):
                    match call:
                        case ast.Call(func=ast.Name(id="statements"), args=[ast.Constant(value=str(file))]):
                            files[variable] = file
        for node in ast.walk(tree):
            match node:
                case ast.Subscript(value=ast.Name(id=variable), slice=ast.Constant(value=str(name))):
                    if variable in files:
                        yield path, files[variable], name


def test_every_statement_that_is_asked_for_exists() -> None:
    missing = [f"{path}: {file}.{name}" for path, file, name in uses() if name not in statements(file)]
    assert missing == []


def test_every_statement_is_used() -> None:
    used = {(file, name) for _, file, name in uses()}
    unused = [
        f"{path.name}: {name}" for path in QUERIES for name in statements(path.stem) if (path.stem, name) not in used
    ]
    assert unused == []
