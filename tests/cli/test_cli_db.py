"""``gateway db`` migrates and reports, beside a running server or alone, and fails in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from gateway.cli import main
from gateway.storage import embedded as embedded_module


@pytest.fixture
def url(empty_database: dict[str, Any]) -> str:
    args = empty_database
    host = quote(str(args["host"]), safe="")
    return f"postgresql://{args['user']}:{args['password']}@/{args['database']}?host={host}"


@pytest.fixture
def config(tmp_path: Path, url: str) -> Path:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"version: 1\ndatabase: {{url: '{url}'}}\n")
    return path


def gateway(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(arguments))
    return int(ended.value.code or 0)


def test_status_and_migrate(config: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert gateway("db", "status", "-c", str(config)) == 1
    assert "pending" in capsys.readouterr().out
    assert gateway("db", "migrate", "-c", str(config), "--output", "json") == 0
    assert json.loads(capsys.readouterr().out)[0] == {"version": 1, "name": "initial"}
    assert gateway("db", "migrate", "-c", str(config)) == 0
    assert capsys.readouterr().out == "the database is up to date\n"
    assert gateway("db", "status", "-c", str(config), "--output", "json") == 0
    states = json.loads(capsys.readouterr().out)
    assert (states[0]["version"], states[0]["name"], states[0]["state"]) == (1, "initial", "applied")


def test_the_embedded_database_is_made_when_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(embedded_module, "_SETTINGS", {**embedded_module._SETTINGS, "fsync": "off"})
    monkeypatch.chdir(tmp_path)
    assert gateway("db", "migrate") == 0
    assert (tmp_path / "var/postgres/data/PG_VERSION").exists()
    assert gateway("db", "status") == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("line", "code", "said"),
    [
        pytest.param("database: {url: 'postgresql://u:hunter2@127.0.0.1:1/db'}", 1, "cannot be reached", id="down"),
        pytest.param("database: {url: 'mysql://u:hunter2@h/db'}", 2, "must start with postgresql://", id="scheme"),
        pytest.param("data_dir: gateway.yaml/var", 1, "data_dir cannot be used", id="data_dir below a file"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], line: str, code: int, said: str
) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"version: 1\n{line}\n")
    assert gateway("db", "migrate", "-c", str(path)) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert said in printed.err
    assert printed.err.count("\n") == 1
    assert "hunter2" not in printed.err
