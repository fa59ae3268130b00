"""The routes of a configuration, compiled: every problem at once, under its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.config.rules import compile_rules
from gateway.config.settings import Settings
from gateway.errors import ConfigError
from gateway.identity.identity import CredentialKind
from gateway.policy.decision import Outcome, decide
from gateway.policy.requirements import phrase
from gateway.policy.rules import Access
from tests.policy.asking import NO_HEADERS, ask, someone


def settings(*routes: dict[str, Any]) -> Settings:
    return Settings.model_validate({"routes": [{"upstream": "http://127.0.0.1:1", **route} for route in routes]})


def problems(*routes: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ConfigError) as caught:
        compile_rules(settings(*routes))
    return {problem.key: problem.message for problem in caught.value.problems}


def test_route_is_compiled_whole() -> None:
    table = compile_rules(
        settings(
            {"match": {"path": "/public/**"}, "access": "public"},
            {
                "name": "wiki",
                "match": {"host": ["Wiki.Example.com.", "*.Example.org"], "path": "/w/**", "methods": ["get"]},
                "credentials": ["bearer"],
                "identity": {"preset": "remote-user", "assertion": {"audience": "w"}, "pass_authorization": True},
                "rewrite": {"strip_prefix": "/w", "add_prefix": "/app"},
                "request_headers": {"pass": ["X-HTTP-Method-Override", "Forwarded"]},
                "timeouts": {"response": "90s"},
                "limits": {"body_bytes": "1KiB"},
                "preserve_host": False,
                "websocket": False,
            },
        )
    )
    first, wiki = table.rules
    assert (first.name, first.access, first.rewrite, first.requirement) == ("route-1", Access.PUBLIC, None, None)
    assert wiki.credentials == {CredentialKind.BEARER}
    assert (wiki.identity.assertion_audience, wiki.identity.pass_authorization) == ("w", True)
    assert (wiki.response_timeout_seconds, wiki.idle_timeout_seconds, wiki.max_body_bytes) == (90, None, 1024)
    assert (wiki.preserve_host, wiki.websocket, wiki.upstream) == (False, False, "http://127.0.0.1:1")
    assert wiki.pass_request_headers == {"x-http-method-override", "forwarded"}
    assert table.find(ask("/w/x"), NO_HEADERS) is wiki
    assert table.find(ask("/w/x", host="a.b.example.org"), NO_HEADERS) is wiki
    assert table.find(ask("/w/x", method="POST"), NO_HEADERS) is None


def test_requirements_are_all_of_what_is_given() -> None:
    table = compile_rules(
        settings(
            {
                "require": {
                    "roles": ["admin", "ops"],
                    "scopes": ["w"],
                    "users": "ann",
                    "source_ip": ["10.0.0.0/8"],
                    "any": [{"roles": ["a"]}, {"users": ["b"], "roles": ["c"]}],
                    "all": [{"roles": ["d"]}, {"not": {"users": ["eve"]}}],
                    "not": {"any": [{"roles": ["x"]}, {"roles": ["y"]}]},
                }
            },
            {"require": {"roles": ["admin"]}},
            {"require": {}},
        )
    )
    requirement = table.rules[0].requirement
    assert requirement is not None
    assert phrase(requirement) == (
        "(one of the roles admin, ops and scope w, if the credential is limited by scopes and user ann"
        " and address in 10.0.0.0/8 and (role a or (role c and user b))"
        " and (role d and not user eve) and not (role x or role y))"
    )
    assert decide(table.rules[1], someone(), None).outcome is Outcome.FORBID
    assert table.rules[2].requirement is None


def test_every_problem_is_told_at_once_under_its_key() -> None:
    found = problems(
        {"match": {"path": ["/ok", "/a;x"]}, "identity": {"headers": {"X-Team": "{team}", "X_Team": "a"}}},
        {"match": {"path": "/a/%2e%2e/b"}, "require": {"any": [{}]}, "rewrite": {"add_prefix": "/a/.."}},
        {"request_headers": {"pass": ["X-Forwarded-User", "X-Real-IP", "X-Gateway-Assertion", "X-Own"]}},
        {"identity": {"headers": {"X-Own": "1", "x-own": "2"}}},
    )
    assert set(found) == {
        "routes[0].match.path",
        "routes[0].identity.headers.X-Team",
        "routes[0].identity.headers.X_Team",
        "routes[1].match.path",
        "routes[1].require.any[0]",
        "routes[1].rewrite.add_prefix",
        "routes[2].request_headers.pass",
        "routes[3].identity.headers",
    }


@pytest.mark.parametrize(
    "name",
    [
        "Host",
        "connection",
        "Content-Length",
        "Transfer-Encoding",
        "Cookie",
        "X-Forwarded-For",
        "X-Real-IP",
        "X-Request-Id",
        "X-Gateway-Assertion",
        "x-gateway-anything",
        "Upgrade",
        "Trailer",
    ],
)
def test_header_that_the_gateway_writes_cannot_be_a_route_s_own(name: str) -> None:
    key = f"routes[0].identity.headers.{name}"
    assert problems({"identity": {"headers": {name: "x"}}}) == {key: "is a field that the gateway itself writes"}


@pytest.mark.parametrize("name", ["X-Forwarded-User", "remote-user", "X-Own", "X-Gateway-User", "X-Forwarded-Proto"])
def test_no_route_lets_a_client_s_identity_header_pass(name: str) -> None:
    passing, owning = {"request_headers": {"pass": [name]}}, {"identity": {"headers": {"X-Own": "1"}}}
    assert set(problems(passing, owning)) == {"routes[0].request_headers.pass"}


def test_secret_is_read_from_its_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"hunter2\r\n")
    table = compile_rules(settings({"identity": {"headers": {"X-Secret": {"file": str(secret)}}}}))
    (template,) = table.rules[0].identity.headers
    assert template.value(None) == "hunter2"
    assert "hunter2" not in repr(table.rules)
    assert "x-secret" in table.identity_headers


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "cannot read"),
        (b"", "one line"),
        (b"hunter\x00two", "one line"),
        (b"\xff\xfe", "one line"),
        (b"a" * 20000, "too long"),
        (b"hunter2\nmore", "one line"),
    ],
)
def test_secret_file_that_cannot_serve_is_one_problem(tmp_path: Path, content: bytes | None, message: str) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    found = problems({"identity": {"headers": {"X-Secret": {"file": str(secret)}}}})
    assert message in found["routes[0].identity.headers.X-Secret"]
    assert "hunter" not in str(found)


def test_problem_tells_where_its_key_was_given() -> None:
    origins = {"routes[0].match": "gateway.yaml:7", "routes[0]": "gateway.yaml:5"}
    with pytest.raises(ConfigError) as caught:
        compile_rules(settings({"match": {"path": "/a;x"}, "rewrite": {"add_prefix": "/a/.."}}), origins)
    assert [(problem.file, problem.line) for problem in caught.value.problems] == [
        ("gateway.yaml", 5),
        ("gateway.yaml", 7),
    ]
