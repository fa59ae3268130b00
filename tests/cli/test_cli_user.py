"""``gateway user``: who may sign in, and with what."""

from __future__ import annotations

import pytest

from gateway.accounts.accounts import Accounts
from gateway.accounts.user import User
from gateway.errors import LoginRefused, TokenRejected
from tests.cli.conftest import PASSWORD, CommandLine

USER = {
    "id",
    "username",
    "email",
    "name",
    "roles",
    "created_at",
    "updated_at",
    "last_login",
    "is_active",
    "is_verified",
    "is_admin",
}


def sign_in(command_line: CommandLine, name: str, password: str = PASSWORD) -> User:
    async def work(accounts: Accounts) -> User:
        return await accounts.login.authenticate(name, password, "127.0.0.1")

    return command_line.ask(work)


def test_an_added_user_signs_in_with_the_password_of_standard_input(command_line: CommandLine) -> None:
    added = command_line.add("ann", "admin", "ops")
    assert (added.code, added.err) == (0, "")
    assert "admin, ops" in added.out
    assert PASSWORD not in added.out
    ann = sign_in(command_line, "ann")
    assert (ann.roles, ann.is_verified, ann.is_active) == (("admin", "ops"), True, True)
    assert sign_in(command_line, "ANN@example.com").id == ann.id


def test_json_is_the_user_as_the_api_shows_one(command_line: CommandLine) -> None:
    added = command_line(
        "user", "add", "ann", "--email", "a@example.com", "--no-password", "--role", "admin", "--output", "json"
    )
    assert set(added.json) == USER
    assert (added.json["username"], added.json["is_admin"]) == ("ann", True)
    assert command_line("user", "show", "ann", "--output", "json").json == added.json
    assert command_line("user", "show", added.json["id"], "--output", "json").json == added.json
    assert command_line("user", "list", "--output", "json").json == [added.json]


def test_without_a_role_the_configured_ones_are_given(command_line: CommandLine) -> None:
    command_line.add("ann")
    assert command_line("user", "show", "ann", "--output", "json").json["roles"] == ["user"]


def test_the_list_is_sorted_and_searched(command_line: CommandLine) -> None:
    empty = command_line("user", "list")
    assert empty.code == 0
    assert "gateway user add" in empty.out
    assert command_line("user", "list", "--output", "json").json == []
    for name in ("bob", "ann"):
        command_line.add(name)
    lines = command_line("user", "list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["USERNAME", "ann", "bob"]
    assert [user["username"] for user in command_line("user", "list", "--search", "OB", "--output", "json").json] == [
        "bob"
    ]


def test_a_disabled_user_is_out_at_once_and_back_when_enabled(command_line: CommandLine) -> None:
    command_line.add("ann", "user")

    async def start(accounts: Accounts) -> str:
        ann = await accounts.users.get("ann")
        return (await accounts.refresh_tokens.start_family(ann.id)).refresh_token

    refresh_token = command_line.ask(start)
    assert command_line("user", "disable", "ann").code == 0
    with pytest.raises(LoginRefused, match="inactive"):
        sign_in(command_line, "ann")
    assert command_line("user", "enable", "ann").code == 0
    assert sign_in(command_line, "ann").username == "ann"

    async def rotate(accounts: Accounts) -> object:
        return await accounts.refresh_tokens.rotate(refresh_token)

    with pytest.raises(TokenRejected):
        command_line.ask(rotate)  # what was ended stays ended


def test_a_set_password_replaces_the_old_one(command_line: CommandLine) -> None:
    command_line.add("ann")
    done = command_line("user", "set-password", "ann", "--password-stdin", stdin="another good one\r\n")
    assert (done.code, done.err) == (0, "")
    assert "another good one" not in done.out
    assert sign_in(command_line, "ann", "another good one").username == "ann"
    with pytest.raises(LoginRefused):
        sign_in(command_line, "ann")


def test_set_roles_gives_exactly_these(command_line: CommandLine) -> None:
    for name in ("ann", "root"):
        command_line.add(name, "admin")
    assert command_line("user", "set-roles", "ann", "user", "ops").out == "ann has the roles ops, user\n"
    assert command_line("user", "show", "ann", "--output", "json").json["is_admin"] is False


@pytest.mark.parametrize(
    "arguments", [["disable", "ann"], ["set-roles", "ann", "user"], ["delete", "ann", "--yes"]], ids=" ".join
)
def test_an_operator_may_end_the_last_administrator_and_make_another(
    command_line: CommandLine, arguments: list[str]
) -> None:
    command_line.add("ann", "admin")
    assert command_line("user", *arguments).code == 0
    assert command_line.add("bea", "admin").code == 0
    assert sign_in(command_line, "bea").is_admin


def test_delete_asks_unless_told_yes(command_line: CommandLine) -> None:
    command_line.add("ann")
    assert command_line("user", "delete", "ann", stdin="n\n").code != 0
    assert command_line("user", "show", "ann").code == 0
    assert command_line("user", "delete", "ann", "--yes").code == 0
    assert command_line("user", "show", "ann").code == 1


REFUSED = {
    "short password": (["add", "bob", "--email", "b@example.com"], b"short\n", 1, "password: must have at least 8"),
    "no password": (["add", "bob", "--email", "b@example.com"], b"\n", 2, "holds no password"),
    "not UTF-8": (["add", "bob", "--email", "b@example.com"], b"caf\xe9 au lait\n", 2, "is not UTF-8"),
    "no address": (["add", "bob", "--email", "nowhere"], b"a good password\n", 1, "email: must be"),
    "bad name": (["add", "b b", "--email", "b@example.com"], b"a good password\n", 1, "username: must be"),
    "taken": (["add", "\uff21\uff2e\uff2e", "--email", "b@example.com"], b"a good password\n", 1, "username: is taken"),
    "taken address": (["add", "bob", "--email", "ANN@example.com"], b"a good password\n", 1, "email: is taken"),
    "no email": (["add", "bob"], b"a good password\n", 2, "--email"),
    "unknown": (["disable", "nobody"], b"", 1, "gateway user list"),
    "unknown show": (["show", "\udcff"], b"", 1, "gateway user list"),
    "no roles": (["set-roles", "ann"], b"", 2, "ROLES"),
    "control characters": (["set-roles", "ann", "a\nb"], b"", 1, "roles: must be"),
}


@pytest.mark.parametrize(("arguments", "stdin", "code", "said"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused_is_one_line_and_changes_nothing(
    command_line: CommandLine, arguments: list[str], stdin: bytes, code: int, said: str
) -> None:
    command_line.add("ann")
    before = command_line("user", "list", "--output", "json").json
    ended = command_line("user", *arguments, stdin=stdin)
    assert (ended.code, ended.out) == (code, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert command_line("user", "list", "--output", "json").json == before
