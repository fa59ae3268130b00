"""The programs of docs/oauth/applications.md that need no Chromium and no Apache, run as they are shown."""

from __future__ import annotations

import asyncio
import re
import sys
from pathlib import Path

import aiohttp
import pytest

from tests.gateways import GatewayFactory, free_port
from tests.oauth.op import Op, start_op
from tests.oauth.relying.applications_page import PAGE, PORTAL, Section
from tests.oauth.relying.node import running, served
from tests.oauth.relying.person import Person

REPORTS = """
routes:
  - match: {host: localhost, path: /reports/**}
    require: {scopes: [reports]}
    respond: {status: 200, body: all is well}
"""


def person(op: Op, client: aiohttp.ClientSession) -> Person:
    return Person(op.browser(), client)


def environ(op: Op, **more: str) -> dict[str, str]:
    """Return variables for a program; plain http is for tests."""
    return {"ISSUER": op.metadata["issuer"], "AUTHLIB_INSECURE_TRANSPORT": "1", **more}


async def test_a_server_with_openid_client(op: Op, scripts: Path) -> None:
    port = free_port()
    at = f"http://127.0.0.1:{port}"
    section = Section.under("On a server: openid-client", {"https://shop.example.com": at})
    client = await section.register(op)
    (scripts / "shop.mjs").write_text(section.blocks["js"])
    own = {"CLIENT_ID": client.client_id, "CLIENT_SECRET": client.secret, "APP": at, "PORT": str(port)}
    cookies = aiohttp.CookieJar(unsafe=True)
    async with (
        served("shop.mjs", directory=scripts, **environ(op, **own)),
        aiohttp.ClientSession(cookie_jar=cookies) as session,
    ):
        ann = person(op, session)
        assert (await ann.at(f"{at}/")).text == "Hello ann <ann@example.com>"
        assert ann.browser.seen == ["login", "consent"]
        assert (await ann.at(f"{at}/callback?error=access_denied&state=x")).status == 403


async def test_a_tool_on_somebodys_machine_with_authlib(op: Op, tmp_path: Path) -> None:
    section = Section.under("On people's machines: Authlib", {})
    client = await section.register(op)
    own = environ(op, CLIENT_ID=client.client_id)
    program = (sys.executable, "-c", section.blocks["python"])
    async with running(*program, directory=tmp_path, environ=own) as process, asyncio.timeout(30):
        assert process.stdout is not None
        url = (await process.stdout.readline()).decode().removeprefix("Open ").strip()
        async with aiohttp.ClientSession() as session:
            ann = person(op, session)
            assert "You are signed in" in (await ann.at(await ann.visit(url))).text
        assert await process.stdout.readline() == b"Hello ann\n"
        assert await process.wait() == 0


async def test_a_program_of_its_own_with_authlib(gateway_factory: GatewayFactory, tmp_path: Path) -> None:
    op = await start_op(gateway_factory, REPORTS)
    section = Section.under("A program of its own: Authlib", {})
    client = await section.register(op)
    own = environ(op, CLIENT_ID=client.client_id, CLIENT_SECRET=client.secret)
    program = (sys.executable, "-c", section.blocks["python"])
    async with running(*program, directory=tmp_path, environ=own) as process, asyncio.timeout(30):
        output, _ = await process.communicate()
    assert output == b"all is well\n"


def test_everything_that_is_shown_is_run() -> None:
    """A new section needs a test: here, or with Chromium or Apache beside this file."""
    headings = re.findall(r"^## (.+)$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    tests = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    shown = [heading for heading in headings if Section.under(heading, {}).blocks]
    assert len(shown) == 5
    assert [heading for heading in shown if f'"{heading}"' not in tests] == []


@pytest.mark.parametrize("heading", ["In the browser: oidc-client-ts", "Apache: mod_auth_openidc"])
def test_the_example_names_the_portal_as_the_tests_replace_it(heading: str) -> None:
    assert PORTAL in "".join(Section.under(heading, {}).blocks.values())
