"""``gateway token``, ``session``, ``keys`` and ``hash-password``."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import click
import pytest

from gateway.accounts.accounts import Accounts
from gateway.accounts.sessions import Login, SessionOwner
from gateway.cli import cli
from tests.cli.conftest import PASSWORD, CommandLine


def stands_for(command_line: CommandLine, text: str) -> str | None:
    async def work(accounts: Accounts) -> str | None:
        owner = await accounts.api_tokens.find(text)
        return owner.username if owner is not None else None

    return command_line.ask(work)


def test_a_token_is_printed_once_and_signs_in_until_it_is_revoked(command_line: CommandLine) -> None:
    command_line.add("ann")
    made = command_line("token", "create", "ann", "--name", "ci", "--scope", "b", "--scope", "a", "--expires", "90d")
    text = made.out.strip()
    assert made.code == 0
    assert re.fullmatch(r"gwt_[0-9A-Za-z]+", text)  # nothing else on stdout: TOKEN=$(gateway token create ...)
    assert "not shown again" in made.err
    assert stands_for(command_line, text) == "ann"
    (listed,) = command_line("token", "list", "ann", "--output", "json").json
    assert (listed["name"], listed["scopes"]) == ("ci", ["a", "b"])
    assert text not in command_line("token", "list", "ann").out
    assert command_line("token", "revoke", "ann", listed["id"]).code == 0
    assert stands_for(command_line, text) is None
    assert "no tokens" in command_line("token", "list", "ann").out


def test_json_is_the_token_as_the_api_shows_one(command_line: CommandLine) -> None:
    command_line.add("ann")
    made = command_line("token", "create", "ann", "--name", "ci", "--output", "json")
    shown = {"id", "name", "scopes", "routes", "hosts", "created_at", "expires_at", "last_used_at"}
    assert set(made.json) == {"user", "token", *shown}
    assert (made.err, made.json["expires_at"]) == ("", None)
    assert stands_for(command_line, made.json["token"]) == "ann"


def test_a_token_is_kept_to_routes_that_there_are_and_to_hosts(command_line: CommandLine) -> None:
    with command_line.config.open("a") as config:
        config.write("\nroutes: [{name: wiki, match: {host: wiki.test}, upstream: 'http://127.0.0.1:9'}]\n")
    command_line.add("ann")
    kept = ("--route", "wiki", "--host", "Wiki.test.", "--host", "*.example.com")
    made = command_line("token", "create", "ann", "--name", "ci", *kept, "--output", "json").json
    assert (made["routes"], made["hosts"]) == (["wiki"], ["*.example.com", "wiki.test"])
    typo = command_line("token", "create", "ann", "--name", "ci", "--route", "wikki")
    assert (typo.code, "wikki" in typo.err) == (2, True)
    bad = command_line("token", "create", "ann", "--name", "ci", "--host", "http://x")
    assert (bad.code, "hosts" in bad.err) == (1, True)


def test_a_token_is_revoked_by_its_owner_name_only(command_line: CommandLine) -> None:
    command_line.add("ann")
    command_line.add("bob")
    made = command_line("token", "create", "ann", "--name", "ci", "--output", "json").json
    ended = command_line("token", "revoke", "bob", made["id"])
    assert (ended.code, ended.err.count("\n")) == (1, 1)
    assert stands_for(command_line, made["token"]) == "ann"


def test_revoked_sessions_and_refresh_tokens_are_counted(command_line: CommandLine) -> None:
    command_line.add("ann")

    async def sign_in(accounts: Accounts) -> str:
        ann = await accounts.users.get("ann")
        await accounts.refresh_tokens.start_family(ann.id)
        now = datetime.now(UTC)
        login = Login(ann.id, "portal.example.com", now, address="192.0.2.7", user_agent="Firefox\x1b[2J")
        return (await accounts.sessions.create(login))[0]

    secret = command_line.ask(sign_in)
    listed = command_line("session", "list", "ann")
    assert "192.0.2.7" in listed.out
    assert "\x1b" not in listed.out
    assert secret not in listed.out
    (session,) = command_line("session", "list", "ann", "--output", "json").json
    assert session["host"] == "portal.example.com"
    revoked = command_line("session", "revoke", "ann", "--output", "json")
    assert revoked.json == {"user": "ann", "sessions": 1, "refresh_token_families": 1}

    async def find(accounts: Accounts) -> SessionOwner | None:
        return await accounts.sessions.find(secret, "portal.example.com")

    assert command_line.ask(find) is None
    assert "no sessions" in command_line("session", "list", "ann").out


def test_keys_are_listed_rotated_and_retired(command_line: CommandLine) -> None:
    assert "gateway serve" in command_line("keys", "list").out
    first = {key["state"]: key["kid"] for key in command_line("keys", "rotate", "--output", "json").json}
    assert set(first) == {"active", "next"}
    rotated = {key["state"]: key["kid"] for key in command_line("keys", "rotate", "--output", "json").json}
    assert (rotated["active"], rotated["retired"]) == (first["next"], first["active"])
    active = command_line("keys", "retire", rotated["active"])
    assert (active.code, active.err.count("\n")) == (1, 1)
    assert "rotated out first" in active.err
    assert command_line("keys", "retire", rotated["retired"]).code == 0
    left = command_line("keys", "list", "--output", "json").json
    assert {key["state"] for key in left} == {"active", "next"}
    assert not any("private" in name for key in left for name in key)


def test_another_master_key_is_one_line(command_line: CommandLine) -> None:
    command_line("keys", "rotate")
    (command_line.config.parent / "var" / "secret_key").unlink()
    ended = command_line("keys", "list")
    assert (ended.code, ended.out, ended.err.count("\n")) == (1, "", 1)
    assert "secret_key" in ended.err


def test_a_printed_hash_verifies_and_tells_nothing(command_line: CommandLine) -> None:
    printed = command_line("hash-password", stdin=f"{PASSWORD}\n")
    stored = printed.out.strip()
    assert (printed.code, printed.err, PASSWORD in stored) == (0, "", False)

    async def verify(accounts: Accounts) -> list[bool]:
        return [(await accounts.hasher.verify(text, stored))[0] for text in (PASSWORD, "another")]

    assert command_line.ask(verify) == [True, False]


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "said"),
    [
        pytest.param(["token", "create", "nobody", "--name", "x"], b"", 1, "gateway user list", id="no such user"),
        pytest.param(["token", "create", "ann"], b"", 2, "--name", id="no name"),
        pytest.param(["token", "create", "ann", "--name", "x", "--expires", "90"], b"", 2, "such as 30s", id="no unit"),
        pytest.param(["token", "create", "ann", "--name", "x", "--expires", "0s"], b"", 1, "expires_in", id="no time"),
        pytest.param(["token", "create", "ann", "--name", "a\nb"], b"", 1, "name: must be", id="two lines"),
        pytest.param(
            ["token", "create", "ann", "--name", "x", "--scope", "a b"], b"", 1, "scopes: must", id="two scopes"
        ),
        pytest.param(["token", "revoke", "ann", "nothing"], b"", 1, "no such token", id="no such token"),
        pytest.param(["token", "revoke", "ann", "\udcff"], b"", 1, "no such token", id="no text"),
        pytest.param(["session", "list", "nobody"], b"", 1, "gateway user list", id="nobody's sessions"),
        pytest.param(["keys", "retire", "nothing"], b"", 1, "no key nothing", id="no such key"),
        pytest.param(["hash-password"], b"", 2, "holds no password", id="no password"),
        pytest.param(["hash-password"], b"\xff\xfe\n", 2, "is not UTF-8", id="no UTF-8"),
    ],
)
def test_what_is_refused_is_one_line(
    command_line: CommandLine, arguments: list[str], stdin: bytes, code: int, said: str
) -> None:
    command_line.add("ann")
    ended = command_line(*arguments, stdin=stdin)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(("group", "name"), [("user", "add"), ("user", "set-password")])
def test_passwords_are_no_arguments(group: str, name: str) -> None:
    """Others on the machine read the arguments of a process."""
    context = click.Context(cli)
    commands = cli.get_command(context, group)
    assert isinstance(commands, click.Group)
    command = commands.get_command(context, name)
    assert command is not None
    taking = [parameter for parameter in command.params if "password" in (parameter.name or "")]
    assert taking
    assert all(isinstance(parameter, click.Option) and parameter.is_flag for parameter in taking)
