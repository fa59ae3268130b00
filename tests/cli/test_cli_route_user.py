"""``gateway route explain --user NAME`` asks the database who that is."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from click.testing import CliRunner, Result

from gateway.accounts.changes import Changes
from gateway.accounts.passwords.hasher import PasswordHasher
from gateway.accounts.users import Users
from gateway.cli.route import command
from gateway.config.settings import Settings
from gateway.errors import GatewayError, NotFound
from gateway.storage.database import Database
from gateway.tokens.master_key import MasterKey
from tests.fake_clock import FakeClock

ROUTES = """
routes:
  - {match: {path: /public}, access: public, upstream: "http://127.0.0.1:1"}
  - {require: {roles: admin}, upstream: "http://127.0.0.1:1"}
"""


@pytest.fixture
def config(tmp_path: Path, dsn_args: dict[str, Any]) -> Path:
    names = {name: dsn_args[name] for name in ("host", "port", "user", "password")}
    url = f"postgresql:///{dsn_args['database']}?{urlencode(names)}&sslmode=disable"
    path = tmp_path / "gateway.yaml"
    path.write_text(f"version: 1\ndata_dir: {tmp_path}\ndatabase: {{url: '{url}'}}\n{ROUTES}")
    return path


@pytest.fixture
def users(database: Database, clock: FakeClock) -> Users:
    settings = Settings()
    return Users(database, PasswordHasher(settings.passwords, MasterKey(bytes(32))), settings, clock)


async def explain(config: Path, path: str, user: str) -> Result:
    arguments = ["explain", "-c", str(config), f"https://h.test{path}", "--user", user, "--output", "json"]
    return await asyncio.to_thread(CliRunner().invoke, command, arguments)


async def test_user_is_looked_up_by_name_or_id(config: Path, users: Users) -> None:
    ann = await users.create("ann", "ann@example.com", None, roles=["admin"])
    bob = await users.create("bob", "bob@example.com", None, roles=["user"])
    for reference in ("ann", ann.id):
        result = await explain(config, "/", reference)
        assert result.exit_code == 0
        sent = {header["name"]: header["value"] for header in json.loads(result.stdout)["headers"]}
        assert sent["X-Forwarded-User"] == "ann"
        assert sent["X-Forwarded-Email"] == "ann@example.com"
    denied = await explain(config, "/", bob.id)
    assert denied.exit_code == 1
    assert json.loads(denied.stdout)["reason"] == "missing_role"


async def test_disabled_user_counts_as_nobody(config: Path, users: Users) -> None:
    await users.create("root", "root@example.com", None, roles=["admin"])
    ann = await users.create("ann", "ann@example.com", None, roles=["admin"])
    await users.change(ann.id, Changes(is_active=False))
    result = await explain(config, "/", "ann")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["outcome"]) == (1, "login")
    assert document["notes"] == ["ann is disabled: each of their credentials is refused"]
    assert (await explain(config, "/public", "ann")).exit_code == 0


async def test_unknown_user_is_one_clear_error(config: Path) -> None:
    result = await explain(config, "/", "nobody")
    assert isinstance(result.exception, NotFound)
    assert "gateway user list" in str(result.exception)
    assert result.stdout == ""


async def test_database_that_is_down_decides_nothing(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text(f"version: 1\ndata_dir: {tmp_path}\ndatabase: {{url: 'postgresql://u:pw@127.0.0.1:1/d'}}\n{ROUTES}")
    result = await explain(path, "/", "ann")
    assert result.exit_code == 1
    assert isinstance(result.exception, GatewayError)
    assert "pw" not in str(result.exception)
    assert result.stdout == ""
