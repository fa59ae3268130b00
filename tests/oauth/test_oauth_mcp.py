"""A Model Context Protocol client finds its way from a 401 to a tool of an unmodified server behind the gateway."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from mcp.client.auth import AuthorizationCodeResult, OAuthClientProvider
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import OAuthClientInformationFull, OAuthClientMetadata, OAuthToken
from pydantic import AnyUrl

from tests.applications.programs import program
from tests.gateways import GatewayFactory, Running, free_port
from tests.oauth.browser import Browser
from tests.oauth.party import claims

SERVER = Path(__file__).with_name("mcp_server.py")
CALLBACK = "http://127.0.0.1:{port}/callback"
PAGE = (Path(__file__).resolve().parents[2] / "docs" / "mcp.md").read_text(encoding="utf-8")
# Of the page's example, and beside it what its token must not open.
YAML = (
    PAGE.partition("```yaml\n")[2].partition("```")[0]
    + """
  - {name: other, match: {path: /other/**}, resource: true, upstream: notes}
  - {name: everything, upstream: notes}
"""
)


class Kept:
    """What the client remembers."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


class Person:
    """Opens the address that the client asks them to open, signs in and agrees."""

    def __init__(self, running: Running) -> None:
        self.browser = Browser(running)
        self.landed: dict[str, str] = {}

    async def open(self, url: str) -> None:
        page = await self.browser.through(await self.browser.open(url))
        self.landed = page.parameters

    async def result(self) -> AuthorizationCodeResult:
        return AuthorizationCodeResult(
            code=self.landed["code"], state=self.landed.get("state"), iss=self.landed.get("iss")
        )


@pytest.fixture
async def upstream(tmp_path: Path) -> AsyncIterator[int]:
    port = free_port()
    async with program([sys.executable, str(SERVER), str(port)], port, tmp_path):
        yield port


@pytest.fixture
async def running(gateway_factory: GatewayFactory, upstream: int) -> Running:
    running = await gateway_factory(YAML.replace("127.0.0.1:8000", f"127.0.0.1:{upstream}"))
    await running.user()
    return running


async def add(running: Running, kept: Kept, person: Person) -> str:
    """Call the server's tool as an MCP client does."""
    metadata = OAuthClientMetadata(
        client_name="Notes on the desk", redirect_uris=[AnyUrl(CALLBACK.format(port=free_port()))]
    )
    url = f"{running.origin}/mcp"
    auth = OAuthClientProvider(url, metadata, kept, person.open, person.result)
    async with (
        httpx2.AsyncClient(auth=auth, timeout=30) as http,
        streamable_http_client(url, http_client=http) as streams,
        ClientSession(streams[0], streams[1]) as session,
    ):
        await session.initialize()
        result = await session.call_tool("add", {"first": 19, "second": 23})
        return str(result.content[0])


async def test_a_client_registers_authorizes_and_calls_a_tool(running: Running) -> None:
    kept, person = Kept(), Person(running)
    assert "42" in await add(running, kept, person)
    assert person.browser.seen == ["login", "consent"]
    assert kept.tokens is not None
    said = claims(kept.tokens.access_token)
    assert (said["aud"], said["scope"]) == (f"{running.origin}/mcp", "notes:read offline_access")

    # Again, with what is kept: nobody is asked anything.
    assert "42" in await add(running, kept, person)
    assert person.browser.seen == ["login", "consent"]

    # The token is for this server alone.
    for path in ("/other/x", "/", "/api/me"):
        assert (await running.get(path, token=kept.tokens.access_token)).status == 401, path


async def test_a_client_renews_its_token(running: Running) -> None:
    kept, person = Kept(), Person(running)
    await add(running, kept, person)
    assert kept.tokens is not None
    assert kept.tokens.refresh_token is not None
    before = kept.tokens.access_token
    kept.tokens = kept.tokens.model_copy(update={"access_token": "expired", "expires_in": -1})
    assert "42" in await add(running, kept, person)
    assert kept.tokens.access_token not in {before, "expired"}
    assert person.browser.seen[:2] == ["login", "consent"]
