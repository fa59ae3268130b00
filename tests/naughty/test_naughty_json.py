"""Every member of every JSON endpoint, as nobody should send it: refused by name, or taken and given back as it was."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from gateway.accounts.user import User
from tests.gateways import Answer, GatewayFactory, Running

MARKUP = "<script>alert(1)</script>"
# Values as JSON text: some are nothing that json.dumps would write.
BROKEN: Mapping[str, str] = {
    "null": "null",
    "empty": '""',
    "number": "7",
    "fraction": "1.5",
    "vast": "1e400",
    "flag": "true",
    "list": '["a", 1]',
    "object": '{"a": 1}',
    "deep": "[" * 20_000 + "]" * 20_000,
    "nul": r'"a\u0000b"',
    "half-a-surrogate": r'"\ud800"',
    "bidi": r'"\u202egnp.exe"',
    "control": r'"a\u0007\r\nX-Injected: yes"',
    "emoji": '"🙂🦊🌳🚀🙃🐢🎈🎯"',
    "sql": '"\' or 1=1; --"',
    "markup": json.dumps(MARKUP),
    "template": '"{{7*7}}${7*7}%(x)s{0}"',
    "long": json.dumps("a" * 3000),
    "huge": json.dumps("a" * 2**20),
}
CHANGES = ("missing", *BROKEN)
SIGNED_IN = "/api/v1/users/"

# What a person may be called. Bidirectional and control characters are for nobody's name.
ANY_NAME = frozenset({"emoji", "sql", "markup", "template"})
# Nothing is right but one secret: what is wrong with a guess is not told.
SECRET = frozenset({"bidi", "control", "emoji", "sql", "markup", "template"})
GUESS = SECRET | {"empty"}
ABSENT = frozenset({"null", "missing"})


@dataclass(frozen=True)
class Member:
    """A member with a right value (``{n}`` is counted up), and the changes that are as right, or are a wrong guess."""

    good: Any
    takes: frozenset[str] = frozenset()
    guess: bool = False


@dataclass(frozen=True)
class Endpoint:
    """An endpoint and who may use it."""

    method: str
    path: str
    members: Mapping[str, Member]
    asks: str = ""
    # how a wrong guess is answered
    wrong: frozenset[int] = field(default=frozenset({401}))

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


NEW_PASSWORD = Member("a good new password {n}", SECRET)
USERNAME = Member("user-{n}")
EMAIL = Member("user-{n}@example.com")
REGISTRATION = {
    "username": USERNAME,
    "email": EMAIL,
    "password": NEW_PASSWORD,
    "name": Member("Ann", ANY_NAME | ABSENT | {"empty"}),
}
ENDPOINTS = (
    Endpoint("POST", "/api/v1/users/register", REGISTRATION),
    Endpoint("POST", "/api/v1/users/", {**REGISTRATION, "roles": Member(["user"], ABSENT)}, asks="admin"),
    Endpoint(
        "PUT",
        "/api/v1/users/{user}",
        {
            "username": Member("ann-{n}", ABSENT),
            "email": Member("ann-{n}@example.com", ABSENT),
            "name": Member("Ann", ANY_NAME | ABSENT | {"empty"}),
            "password": Member("a good new password {n}", SECRET | ABSENT),
            "roles": Member(["user"], ABSENT),
            "is_active": Member(good=True, takes=ABSENT | {"flag"}),
            "is_verified": Member(good=True, takes=ABSENT | {"flag"}),
            "is_admin": Member(good=False, takes=ABSENT | {"flag"}),
        },
        asks="admin",
    ),
    Endpoint("PUT", "/api/v1/users/{user}/verify", {}, asks="admin"),
    Endpoint(
        "POST",
        "/api/v1/users/login",
        {"username": Member("nobody-{n}", GUESS, guess=True), "password": Member("wrong-{n}", GUESS, guess=True)},
    ),
    Endpoint(
        "POST",
        "/api/v1/users/login/mfa",
        {"mfa_token": Member("a" * 43, GUESS, guess=True), "code": Member("123456", GUESS, guess=True)},
    ),
    Endpoint("POST", "/api/v1/users/login/oauth", {"provider": Member("corp")}),
    Endpoint("POST", "/api/v1/users/token-refresh", {"refresh_token": Member("a.b.c", GUESS, guess=True)}),
    Endpoint(
        "POST",
        "/api/v1/auth/token",
        {
            "username": Member("nobody-{n}", GUESS, guess=True),
            "password": Member("wrong-{n}", GUESS, guess=True),
            "grant_type": Member("password", ABSENT | {"empty"}, guess=True),
        },
    ),
    Endpoint(
        "POST",
        "/api/v1/auth/refresh",
        {
            "refresh_token": Member("a.b.c", GUESS, guess=True),
            "grant_type": Member("refresh_token", ABSENT | {"empty"}, guess=True),
        },
    ),
    Endpoint("POST", "/api/v1/auth/logout", {}, asks="ann"),
    Endpoint(
        "POST",
        "/api/v1/users/{user}/api-tokens",
        {
            "name": Member("backup", ANY_NAME),
            "scopes": Member(["read"], ABSENT),
            "expires_in": Member(3600, ABSENT | {"number"}),
            "routes": Member(["wiki"], ABSENT),
            "hosts": Member(["wiki.example.com"], ABSENT),
        },
        asks="ann",
    ),
    Endpoint("POST", "/api/v1/invitations", {"email": EMAIL, "roles": Member(["user"], ABSENT)}, asks="admin"),
)
CONFIG = """
login: {max_failures: 10000, per_ip: 100000, per_network: 100000}
sessions: {max_per_user: 1000}
"""


@dataclass
class Scene:
    """A gateway with two people, and a count that makes values new."""

    running: Running
    ann: User
    tokens: Mapping[str, str]
    count: int = 0

    async def send(self, endpoint: Endpoint, body: bytes, kind: str = "application/json") -> Answer:
        path = endpoint.path.format(user=self.ann.id)
        headers = {"Content-Type": kind}
        token = self.tokens.get(endpoint.asks, "")
        return await self.running.send(endpoint.method, path, token=token, data=io.BytesIO(body), headers=headers)

    def body(self, endpoint: Endpoint, name: str, change: str) -> bytes:
        """Write the members, one of them changed."""
        self.count += 1
        texts = {key: json.dumps(filled(member.good, self.count)) for key, member in endpoint.members.items()}
        if change == "missing":
            del texts[name]
        elif change:
            texts[name] = BROKEN[change]
        return ("{" + ", ".join(f"{json.dumps(key)}: {text}" for key, text in texts.items()) + "}").encode()


def filled(value: Any, count: int) -> Any:
    return value.replace("{n}", str(count)) if isinstance(value, str) else value


@pytest.fixture
async def scene(gateway_factory: GatewayFactory) -> Scene:
    running = await gateway_factory(CONFIG)
    ann, root = await running.user("ann"), await running.user("root", "admin")
    return Scene(running, ann, {"ann": await running.token(ann), "admin": await running.token(root)})


def assert_safe(answer: Answer, what: object) -> None:
    assert answer.status < 500, (what, answer.body[:300])
    assert "X-Injected" not in answer.headers, what
    assert b"Traceback" not in answer.body, what
    assert answer.headers["Cache-Control"] == "no-store", what
    assert answer.headers.get("X-Content-Type-Options") == "nosniff", what
    kind = answer.headers.get("Content-Type", "")
    assert answer.status == 204 or kind.startswith(("application/json", "application/problem+json")), what


def assert_names(answer: Answer, name: str, change: str, what: object) -> None:
    """Hold a refusal to naming its field, unless the body could not even be read."""
    if change == "huge":
        assert answer.status == 413, what
    elif change in {"deep", "vast"}:
        assert answer.status == 400, what
    else:
        assert answer.status == 400, (what, answer.status, answer.body[:300])
        assert name in {error["field"] for error in answer.json["errors"]}, (what, answer.body[:300])


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=str)
async def test_no_member_is_taken_as_nobody_should_send_it(scene: Scene, endpoint: Endpoint) -> None:
    for name, member in endpoint.members.items():
        for change in CHANGES:
            what = (str(endpoint), name, change)
            answer = await scene.send(endpoint, scene.body(endpoint, name, change))
            assert_safe(answer, what)
            if change not in member.takes:
                assert_names(answer, name, change, what)
            elif member.guess:
                assert answer.status in endpoint.wrong, (what, answer.body[:300])
            else:
                assert answer.status in {200, 201}, (what, answer.body[:300])
