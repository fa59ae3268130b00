"""The applications of docs/applications, run as their pages say, behind a gateway with the pages' routes."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from gateway_client import HEADER
from tests.applications.programs import program
from tests.gateways import Answer, GatewayFactory, Running, field_of, free_port

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted((ROOT / "docs" / "applications").glob("*.md"))
HOST = "wiki.localhost"
MAIL = """
  - match: {host: mail.localhost}
    identity: {preset: none, assertion: {audience: mail}}
    upstream: ECHO
  - match: {host: open.localhost}
    identity: {preset: none, assertion: {audience: wiki}}
    upstream: ECHO
"""


def block(page: Path, language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


def words(command: str) -> list[str]:
    first, *rest = shlex.split(command)
    return [sys.executable, *([] if first == "python" else ["-m", first]), *rest]


@dataclass(frozen=True)
class Application:
    """An application of a page behind its gateway, and the way past that."""

    gateway: Running
    port: int

    async def through(self, path: str, **more: str) -> Answer:
        return await self.gateway.get(path, host=HOST, **more)

    async def directly(self, path: str, *fields: tuple[str, str]) -> Answer:
        url = f"http://127.0.0.1:{self.port}{path}"
        async with self.gateway.client.get(url, headers=fields, timeout=aiohttp.ClientTimeout(30)) as answer:
            return Answer(answer.status, answer.headers, await answer.read())


@asynccontextmanager
async def running(page: Path, factory: GatewayFactory, directory: Path, echo: str) -> AsyncIterator[Application]:
    ours, theirs = free_port(), free_port()
    routes = block(page, "yaml")
    assert "http://127.0.0.1:5000" in routes
    routes = routes.replace("127.0.0.1:5000", f"127.0.0.1:{theirs}").rstrip() + MAIL.replace("ECHO", echo)
    gateway = await factory(routes, port=ours)
    code, command = block(page, "python"), block(page, "console")
    assert "http://localhost:8080" in code
    assert "5000" in code + command
    adapted = code.replace("localhost:8080", f"localhost:{ours}").replace("5000", str(theirs))
    (directory / "wiki.py").write_text(adapted, encoding="utf-8")
    environ = {**os.environ, "PYTHONPATH": str(ROOT / "clients" / "python"), "PYTHONDONTWRITEBYTECODE": "1"}
    async with program(words(command.replace("5000", str(theirs))), theirs, directory, environ):
        yield Application(gateway, theirs)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
async def test_the_application_of_the_page_knows_who_asks(
    page: Path, gateway_factory: GatewayFactory, tmp_path: Path, echo: str
) -> None:
    async with running(page, gateway_factory, tmp_path, echo) as wiki:
        gateway = wiki.gateway
        ann = await gateway.token(await gateway.user("ann"))
        root = await gateway.token(await gateway.user("root", "admin"))

        assert "Hello ann" in (await wiki.through("/", token=ann)).text
        assert (await wiki.through("/admin", token=ann)).status == 403
        allowed = await wiki.through("/admin", token=root)
        assert (allowed.status, "The keys to everything" in allowed.text) == (200, True)
        assert (await wiki.through("/")).status == 401

        # What the client says of itself is not what the gateway says.
        roots = field_of(await gateway.get("/", host="open.localhost", token=root), HEADER)[0]
        forged = {HEADER: roots, "Remote-User": "root", "X-Forwarded-Groups": "admin"}
        assert (await gateway.get("/admin", host=HOST, token=ann, headers=forged)).status == 403

        # Past the gateway nobody gets in but with its word, to this application.
        for plain in ((), (("Remote-User", "root"), ("X-Forwarded-User", "root"), ("X-Forwarded-Groups", "admin"))):
            refused = await wiki.directly("/admin", *plain)
            assert (refused.status, refused.json["code"]) == (401, "unauthenticated")
            assert refused.headers["Content-Type"] == "application/problem+json"
        others = field_of(await gateway.get("/", host="mail.localhost", token=root), HEADER)[0]
        assert (await wiki.directly("/admin", (HEADER, others))).status == 401
        assert (await wiki.directly("/admin", (HEADER, root))).status == 401
        assert (await wiki.directly("/admin", (HEADER, roots))).status == 200
        assert "ok" in (await wiki.directly("/healthz")).text


def test_every_framework_has_its_page() -> None:
    assert [page.stem for page in PAGES] == ["aiohttp", "asgi", "django", "flask"]
