"""``gateway route explain``: the decision in the exit code, why in the text, all of it in the JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from gateway.cli import cli
from gateway.cli.route import command

CONFIG = """
version: 1
upstreams:
  wiki: {servers: [http://127.0.0.1:9000]}
routes:
  - name: public
    match: {host: wiki.example.com, path: [/public/**, /favicon.ico], methods: [GET]}
    access: public
    upstream: wiki
  - name: admin
    match: {host: wiki.example.com, path: /admin/**}
    require: {roles: [admin, ops], source_ip: [10.0.0.0/8]}
    identity: {headers: {X-Proxy-Secret: {file: SECRET}}, assertion: {audience: wiki}}
    rewrite: {strip_prefix: /admin}
    upstream: wiki
  - name: tenant
    match: {host: wiki.example.com, headers: {X-Tenant: blue}}
    upstream: wiki
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    secret = tmp_path / "secret"
    secret.write_text("hunter2\n")
    path = tmp_path / "gateway.yaml"
    path.write_text(f"data_dir: {tmp_path / 'var'}\n" + CONFIG.replace("SECRET", str(secret)))
    return path


def explain(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(command, ["explain", "-c", str(config), *arguments])


def told(config: Path, *arguments: str) -> Any:
    return json.loads(explain(config, *arguments, "--output", "json").stdout)


ADMIN = "https://wiki.example.com/admin/x?y=1"
AS_ANN = ("--user", "ann", "--role", "admin", "--role", "user")


def test_allowed_request_shows_the_way_and_the_headers(config: Path) -> None:
    result = explain(config, ADMIN, *AS_ANN, "--ip", "10.1.2.3")
    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "GET https://wiki.example.com/admin/x?y=1",
        "as ann (roles: admin, user) from 10.1.2.3",
        "",
        "  · 1  public  path is not /public/** or /favicon.ico",
        "  ✓ 2  admin   matches",
        "",
        "  ✓ all of",
        "    ✓ one of the roles admin, ops",
        "    ✓ address in 10.0.0.0/8",
        "",
        "allowed",
        "  because someone is signed in, and every requirement holds (authenticated)",
        "  forwarded to wiki as GET /x?y=1",
        "  with the headers",
        "    X-Forwarded-User:               ann",
        "    X-Forwarded-Preferred-Username: ann",
        "    X-Forwarded-Groups:             admin,user",
        "    X-Proxy-Secret:                 (secret)",
        "    X-Gateway-Assertion:            (a JWT for wiki)",
    ]


@pytest.mark.parametrize("output", ["text", "json"])
def test_secrets_are_masked(config: Path, output: str) -> None:
    result = explain(config, ADMIN, *AS_ANN, "--ip", "10.1.2.3", "--output", output)
    assert "X-Proxy-Secret" in result.stdout
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    ("arguments", "outcome", "route", "reason", "code"),
    [
        (["https://wiki.example.com/public/x"], "allow", "public", "public", 0),
        (["https://wiki.example.com/public/x", "--method", "POST"], "unknown", None, "no_route", 1),
        (["https://wiki.example.com/public/x", "--anonymous"], "allow", "public", "public", 0),
        ([ADMIN], "login", "admin", "anonymous", 1),
        ([ADMIN, *AS_ANN], "forbid", "admin", "unknown_address", 1),
        ([ADMIN, *AS_ANN, "--ip", "192.0.2.1"], "forbid", "admin", "address_not_listed", 1),
        ([ADMIN, *AS_ANN, "--ip", "10.0.0.1"], "allow", "admin", "authenticated", 0),
        ([ADMIN, "--user", "eve", "--role", "user", "--ip", "10.0.0.1"], "forbid", "admin", "missing_role", 1),
        (["https://other.example.com/", *AS_ANN], "unknown", None, "no_route", 1),
        (["https://wiki.example.com/", *AS_ANN, "--header", "x-tenant: blue"], "allow", "tenant", "authenticated", 0),
        (["https://wiki.example.com/", *AS_ANN, "--header", "X-Tenant: red"], "unknown", None, "no_route", 1),
    ],
)
def test_decision_and_exit_code(
    config: Path, arguments: list[str], outcome: str, route: str | None, reason: str, code: int
) -> None:
    document = told(config, *arguments)
    assert (document["outcome"], document["route"], document["reason"]) == (outcome, route, reason)
    assert document["allowed"] is (code == 0)
    assert explain(config, *arguments).exit_code == code
    if code:
        assert document["headers"] == []
        assert document["target"] is None


def test_json_tells_routes_and_requirements(config: Path) -> None:
    document = told(config, ADMIN, *AS_ANN, "--ip", "192.0.2.1")
    assert document["routes"] == [
        {"name": "public", "hit": False, "miss": "path is not /public/** or /favicon.ico"},
        {"name": "admin", "hit": True, "miss": None},
    ]
    assert [(check["requirement"], check["holds"]) for check in document["requirements"]] == [
        ("all of", False),
        ("one of the roles admin, ops", True),
        ("address in 10.0.0.0/8", False),
    ]


def test_target_that_is_refused_asks_no_route(config: Path) -> None:
    url = "https://wiki.example.com/public/%2e%2e/admin"
    result = explain(config, url, *AS_ANN)
    assert result.exit_code == 1
    assert result.stdout == "refused: 400  The path contains a dot segment. (dot_segment)\n"
    assert told(config, url)["reason"] == "dot_segment"


@pytest.mark.parametrize(
    "arguments",
    [
        ["/admin"],
        ["wiki.example.com/admin"],
        [ADMIN, "--ip", "10.0.0"],
        [ADMIN, "--header", "no colon"],
        [ADMIN, "--user", "ann", "--anonymous"],
        [ADMIN, "--role", "admin"],
        [],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_code_2(config: Path, arguments: list[str]) -> None:
    result = explain(config, *arguments)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
    assert result.stdout == ""


def test_many_foreign_hosts_are_one_line(tmp_path: Path) -> None:
    routes = "".join(
        f"  - {{name: r{number}, match: {{host: h{number}.test}}, upstream: 'http://127.0.0.1:1'}}\n"
        for number in range(50)
    )
    path = tmp_path / "gateway.yaml"
    path.write_text(f"version: 1\nroutes:\n{routes}")
    lines = explain(path, "https://h49.test/").stdout.splitlines()
    assert "  · 49 routes for other hosts" in lines
    assert "  ✓ 50  r49  matches" in lines
    assert len(lines) < 10


def test_gateway_s_own_paths_are_pointed_out(config: Path) -> None:
    assert "no route is asked" in explain(config, "https://wiki.example.com/.gateway/start").stdout
    assert "come before every route" in explain(config, "http://localhost:8080/login").stdout


def test_text_cannot_move_the_cursor(tmp_path: Path) -> None:
    path = tmp_path / "gateway.yaml"
    path.write_text('version: 1\nroutes: [{name: "a\\e[2Jb", upstream: "http://127.0.0.1:1"}]\n')
    result = explain(path, "http://h.test/", "--user", "x\x1b[2J", "--role", "a")
    assert "\x1b" not in result.stdout


def test_command_is_reached_from_the_root(config: Path) -> None:
    result = CliRunner().invoke(cli, ["-c", str(config), "route", "explain", ADMIN])
    assert result.exit_code == 1
    assert "login" in result.stdout


def test_somebody_of_another_issuer_is_not_looked_up(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(
        """
trusted_issuers: [{issuer: https://idp.example.com, audience: wiki, username_prefix: "idp:"}]
routes: [{match: {path: /ann/**}, require: {users: ["idp:ann"]}, upstream: "http://127.0.0.1:1"}]
"""
    )
    assert explain(config, "http://localhost:8080/ann/", "--user", "idp:ann").exit_code == 0
    assert explain(config, "http://localhost:8080/ann/", "--user", "idp:bob").exit_code == 1
