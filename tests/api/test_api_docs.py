"""docs/api.md: what it tells people to type works, and it names every endpoint."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.gateways import GatewayFactory, Running

PAGE = (Path(__file__).parents[2] / "docs" / "api.md").read_text()
COMMANDS = [
    command
    for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
    for command in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]
]


@pytest.fixture
async def gateway(gateway_factory: GatewayFactory) -> Running:
    return await gateway_factory()


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
async def test_the_commands_work(gateway: Running) -> None:
    await gateway.user("ann")
    token, answers = "", []
    for command in COMMANDS:
        here = command.replace("localhost:8080", f"127.0.0.1:{gateway.port} -H Host:localhost:{gateway.port}")
        here = re.sub(r"(http://127\.0\.0\.1:\d+)( -H \S+?)(/\S*)", r"\1\3\2", here)
        process = await asyncio.create_subprocess_exec(
            *("bash", "-c", here), env={"TOKEN": token, "PATH": "/usr/bin:/bin"}, stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
        answers.append(json.loads(output))
        token = token or answers[-1]["token"]
    assert [answer.get("status") if isinstance(answer, dict) else None for answer in answers] == [None] * 5
    signed_in, me, made, listed, signed_out = answers
    assert me["username"] == signed_in["user"]["username"] == "ann"
    assert made["token"].startswith("gwt_")
    assert [each["id"] for each in listed] == [made["id"]]
    assert signed_out["invalidated_tokens"] == 1


async def test_every_endpoint_is_named_and_no_other(gateway: Running) -> None:
    routed = set()
    for route in gateway.gateway.front._portal._application.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        if path.startswith("/api/") and route.method != "HEAD":
            routed.add((route.method, path.replace("{user}", "{}").replace("{id}", "{}")))
    named = set()
    for row in re.findall(r"^\| ((?:GET|POST|PUT|DELETE) .*?) \|", PAGE, re.MULTILINE):
        method = row.split()[0]
        named |= {(method, re.sub(r"{\w+}", "{}", path)) for path in re.findall(r"`(/\S+)`", row)}
    assert named == routed


async def test_the_codes_are_those_of_the_answers(gateway: Running) -> None:
    too_large = await gateway.post("/api/v1/users/login", {"username": "x" * 70_000})
    not_json = await gateway.send("POST", "/api/v1/users/login", data=b"x")
    wrong_method = await gateway.get("/api/v1/auth/token")
    for answer in (too_large, not_json, wrong_method):
        assert f"`{answer.json['code']}`" in PAGE, answer.json["code"]
