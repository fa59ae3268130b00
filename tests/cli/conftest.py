"""Commands, run in this process over a database of the test's own."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pytest

from gateway.accounts.accounts import Accounts
from gateway.cli import main
from gateway.cli.workshop import workshop
from gateway.config.load import load_settings

PASSWORD = "correct horse battery"
Result = TypeVar("Result")


@dataclass(frozen=True)
class Ended:
    """What a command printed, and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class CommandLine:
    """Runs ``gateway ...`` with the test's configuration."""

    config: Path
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, stdin: str | bytes = b"") -> Ended:
        content = stdin.encode() if isinstance(stdin, str) else stdin
        # A pipe, as scripts have it: bytes that need not be text.
        self.monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), errors="surrogateescape"))
        with pytest.raises(SystemExit) as ended:
            main([*arguments, "-c", str(self.config)])
        printed = self.capsys.readouterr()
        return Ended(int(ended.value.code or 0), printed.out, printed.err)

    def add(self, name: str, *roles: str) -> Ended:
        """Add a user with the usual password."""
        given = [argument for role in roles for argument in ("--role", role)]
        return self("user", "add", name, "--email", f"{name}@example.com", "--password-stdin", *given, stdin=PASSWORD)

    def ask(self, question: Callable[[Accounts], Awaitable[Result]]) -> Result:
        """Ask the same database what is so, as the server would."""

        async def work() -> Result:
            async with workshop(load_settings(self.config, {}).settings) as accounts:
                await accounts.keys.ensure()
                return await question(accounts)

        return asyncio.run(work())


@pytest.fixture
def command_line(
    tmp_path: Path, dsn_args: dict[str, Any], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> CommandLine:
    user, password = quote(dsn_args["user"], safe=""), quote(dsn_args["password"], safe="")
    host = quote(str(dsn_args["host"]), safe="")
    path = tmp_path / "gateway.yaml"
    path.write_text(
        f"version: 1\ndata_dir: {tmp_path / 'var'}\npasswords: {{bcrypt_cost: 4}}\n"
        f"database: {{url: 'postgresql://{user}:{password}@/{dsn_args['database']}?host={host}'}}\n"
    )
    return CommandLine(path, capsys, monkeypatch)
