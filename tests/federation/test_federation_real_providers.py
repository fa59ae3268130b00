"""Signing in with providers that others wrote, as programs of their own, and with another gateway."""

from __future__ import annotations

import asyncio
import html
import json
import os
import re
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import pytest

from gateway.accounts.user import User
from gateway.oauth.state.client_metadata import checked_metadata
from gateway.oauth.state.registry import Rights
from tests.federation.test_federation_login import Person, person
from tests.gateways import BROWSER, GatewayFactory, Running, database_url, free_port
from tests.oauth.browser import Browser
from tests.oauth.npm import missing_program, prepare

SECRET = "a secret: of ours"
INPUT = re.compile(r"<input\b[^>]*>")
ATTRIBUTE = re.compile(r'\b(name|value)="([^"]*)"')


def configured(issuer: str, client_id: str, secret: str = SECRET) -> str:
    return f"""
providers:
  corp:
    issuer: {issuer}
    client_id: {json.dumps(client_id)}
    client_secret: {json.dumps(secret)}
    trust_email: true
    allow_private: true
    roles: [{{claim: groups, equals: staff, role: editor}}]
"""


@asynccontextmanager
async def program(*command: str, cwd: Path | None = None, **environ: str) -> AsyncIterator[None]:
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, cwd=cwd, env={**os.environ, **environ}, stdout=quiet, stderr=quiet
    )
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def until_it_answers(issuer: str, client: aiohttp.ClientSession) -> None:
    async with asyncio.timeout(60):
        while True:
            try:
                async with client.get(f"{issuer}/.well-known/openid-configuration") as answer:
                    if answer.status == 200:
                        return
            except aiohttp.ClientConnectionError:
                await asyncio.sleep(0.05)


def form_on(page: str, url: str) -> tuple[str, dict[str, str]]:
    """Return the first form of a page: where it goes, and what is in it."""
    action = re.search(r'<form[^>]*\baction="([^"]*)"', page)
    inputs = [dict(ATTRIBUTE.findall(each)) for each in INPUT.findall(page)]
    fields = {each["name"]: html.unescape(each.get("value", "")) for each in inputs if "name" in each}
    return urljoin(url, html.unescape(action[1]) if action else ""), fields


async def through(provider: aiohttp.ClientSession, url: str, home: str, typed: Mapping[str, str]) -> str:
    """Fill in a provider's pages until it sends the browser home. Returns where to."""
    data: dict[str, str] | None = None
    for _ in range(12):
        method = "GET" if data is None else "POST"
        async with provider.request(method, url, data=data, allow_redirects=False) as answer:
            if answer.status in {302, 303}:
                url, data = urljoin(url, answer.headers["Location"]), None
                if url.startswith(home):
                    return url
                continue
            assert answer.status == 200, (url, await answer.text())
            url, data = form_on(await answer.text(), url)
            data |= {name: value for name, value in typed.items() if name in data}
    raise AssertionError(f"the provider goes on asking, at last at {url}")


async def assert_signed_in(ann: Person, done_status: int, username: str, email: str) -> User:
    user = await ann.who()
    assert done_status == 303
    assert user is not None
    assert (user.username, user.email, user.is_verified) == (username, email, True)
    return user


async def test_npm_s_oidc_provider(
    gateway_factory: GatewayFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if missing := missing_program():
        pytest.skip(f"{missing} is not installed")
    port, ours = free_port(), free_port()
    issuer = f"http://127.0.0.1:{port}"
    home = f"http://localhost:{ours}/login/callback/corp"
    started = program(
        "node",
        "login_provider.mjs",
        cwd=prepare(tmp_path / "clients_js"),
        PORT=str(port),
        REDIRECT_URI=home,
        CLIENT_SECRET=SECRET,
    )
    jar = aiohttp.CookieJar(unsafe=True)
    async with started, aiohttp.ClientSession(cookie_jar=jar) as provider:
        await until_it_answers(issuer, provider)
        running = await gateway_factory(configured(issuer, "gateway"), port=ours)
        ann = await person(running)
        begun = await ann.go("/login/with/corp")
        back = await through(provider, begun.location, home, {"login": "ann", "password": "any"})
        done = await ann.come_back(back)
        user = await assert_signed_in(ann, done.status, "ann", "ann@example.com")
        assert user.roles == ("editor", "user")
        # Signed in there already: it asks again because it is asked to.
        begun = await ann.go("/login/with/corp?prompt=login")
        back = await through(provider, begun.location, home, {"login": "ann", "password": "any"})
        assert (await ann.come_back(back)).status == 303


async def test_pypi_s_oidc_provider_mock(gateway_factory: GatewayFactory) -> None:
    port = free_port()
    issuer = f"http://127.0.0.1:{port}"
    claims = {"sub": "ann@example.com", "email": "ann@example.com", "email_verified": True, "groups": ["staff"]}
    command = (sys.executable, "-W", "ignore", "-m", "oidc_provider_mock", "--port", str(port))
    async with (
        program(*command, "--user-claims", json.dumps(claims)),
        aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as provider,
    ):
        await until_it_answers(issuer, provider)
        running = await gateway_factory(configured(issuer, "gateway"))
        ann = await person(running)
        begun = await ann.go("/login/with/corp")
        back = await through(provider, begun.location, running.origin, {"sub": "ann@example.com"})
        done = await ann.come_back(back)
        await assert_signed_in(ann, done.status, "ann", "ann@example.com")


async def test_another_gateway(empty_database: dict[str, Any], gateway_factory: GatewayFactory) -> None:
    """One signs people in with the accounts of the other, consent and its own second factor included."""
    home = await gateway_factory(database=database_url(empty_database))
    user = await home.user("ann")
    port = free_port()
    metadata = {
        "client_name": "Away",
        "redirect_uris": [f"http://localhost:{port}/login/callback/corp"],
        "token_endpoint_auth_method": "client_secret_basic",
    }
    issued = await home.gateway.registry.create(checked_metadata(metadata), Rights(first_party=False))
    away = await gateway_factory(configured(home.origin, issued.client.id, issued.secret or ""), port=port)
    ann = await person(away)
    begun = await ann.go("/login/with/corp")
    there = Browser(home)
    there.cookies["gateway"] = await home.session(user)
    page = await there.through(await there.open(begun.location))
    assert there.seen == ["consent"]
    done = await ann.come_back(page.url)
    assert done.status == 303
    found = await ann.who()
    assert found is not None
    assert (found.username, found.email) == ("ann", "ann@example.com")
    assert await _signs_out_there_alone(home, there, ann)


async def _signs_out_there_alone(home: Running, there: Browser, ann: Person) -> bool:
    """A session that began at a provider goes on by its own times."""
    page = await there.open(f"{home.origin}/logout")
    await there.submit(page, page.forms[0])
    gone = await there.send("GET", f"{home.origin}/account", headers=BROWSER)
    return gone.status == 303 and await ann.who() is not None
