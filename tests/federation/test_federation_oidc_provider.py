"""npm's oidc-provider as a trusted issuer: its metadata, keys and JWTs, its opaque tokens, and their revocation."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote_plus

import aiohttp
import pytest

from tests.gateways import GatewayFactory, Running, field_of, free_port
from tests.oauth.npm import missing_program, prepare

SECRET = "a secret: of ours"
CONFIG = """
trusted_issuers:
  - issuer: {issuer}
    audience: ["urn:wiki", "urn:opaque"]
    username_prefix: "op:"
    allow_private: true
    roles: [{{claim: groups, equals: staff, role: editor}}]
    introspection: {{url: "{issuer}/token/introspection", client_id: gateway, client_secret: "{secret}", cache: 1s}}
upstreams: {{app: {{servers: "{echo}"}}}}
routes:
  - {{name: editors, match: {{path: /editors/**}}, require: {{roles: editor, scopes: read}}, upstream: app}}
  - {{name: wiki, match: {{path: /wiki/**}}, audience: "urn:wiki", upstream: app}}
"""


@dataclass
class Provider:
    """A running oidc-provider."""

    url: str
    mint_url: str
    client: aiohttp.ClientSession

    async def token(self, resource: str) -> str:
        """Return an access token of ann for a resource."""
        async with self.client.get(f"{self.mint_url}/{resource}") as answer:
            return await answer.text()

    async def post(self, path: str, **fields: str) -> aiohttp.ClientResponse:
        headers = {"Authorization": aiohttp.encode_basic_auth("gateway", quote_plus(SECRET))}
        answer = await self.client.post(f"{self.url}{path}", data=fields, headers=headers)
        assert answer.status == 200, await answer.text()
        return answer


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := missing_program():
        pytest.skip(f"{missing} is not installed")
    return prepare(tmp_path_factory.mktemp("npm") / "clients_js")


@pytest.fixture
async def provider(scripts: Path) -> AsyncIterator[Provider]:
    port, mint_port = free_port(), free_port()
    environ = {**os.environ, "PORT": str(port), "MINT_PORT": str(mint_port), "CLIENT_SECRET": SECRET}
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        "node", "trusted_issuer.mjs", cwd=scripts, env=environ, stdout=quiet, stderr=quiet
    )
    try:
        async with aiohttp.ClientSession() as client, asyncio.timeout(60):
            running = Provider(f"http://127.0.0.1:{port}", f"http://127.0.0.1:{mint_port}", client)
            while not await _answers(running):
                await asyncio.sleep(0.05)
            yield running
    finally:
        process.kill()
        await process.wait()


async def _answers(provider: Provider) -> bool:
    try:
        async with provider.client.get(f"{provider.url}/.well-known/openid-configuration") as answer:
            return answer.status == 200
    except aiohttp.ClientConnectionError:
        return False


@pytest.fixture
async def running(gateway_factory: GatewayFactory, provider: Provider, echo: str) -> Running:
    return await gateway_factory(CONFIG.format(issuer=provider.url, secret=SECRET, echo=echo))


async def test_its_tokens_open_routes_until_it_takes_them_back(running: Running, provider: Provider) -> None:
    jwt, opaque = await provider.token("urn:wiki"), await provider.token("urn:opaque")
    for token in (jwt, opaque):
        answer = await running.get("/editors/", token=token)
        assert answer.status == 200, answer.text
        assert field_of(answer, "X-Forwarded-User") == ["op:ann"]
        assert field_of(answer, "X-Forwarded-Groups") == ["editor"]
    assert [(await running.get("/wiki/", token=token)).status for token in (jwt, opaque)] == [200, 401]
    program = await (await provider.post("/token", grant_type="client_credentials", scope="read")).json()
    answer = await running.get("/editors/", token=program["access_token"])
    assert (answer.status, field_of(answer, "X-Forwarded-User")) == (200, ["op:gateway"])
    await provider.post("/token/revocation", token=opaque)
    async with asyncio.timeout(10):
        while (await running.get("/editors/", token=opaque)).status == 200:
            await asyncio.sleep(0.1)
    assert (await running.get("/editors/", token=opaque)).status == 401
    assert (await running.get("/editors/", token=opaque[::-1])).status == 401
