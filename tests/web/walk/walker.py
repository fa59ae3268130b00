"""Somebody in Chromium who walks from page to page, through a portal that is lived in."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

import aiohttp
import pyotp
from playwright.async_api import Page

from gateway.accounts.changes import Changes
from gateway.accounts.sessions import Login
from gateway.accounts.user import User
from gateway.oauth.state.client import Client
from tests.authenticator import SoftPasskey
from tests.web.asking import register
from tests.web.portal import PASSWORD, Browser, Portals, World
from tests.web.test_web_applications import connect
from tests.web.test_web_passkeys import add
from tests.web.test_web_second_factor import set_up

SETTINGS: Final[dict[str, Any]] = {
    "registration": {"require_verified_email": True},
    "second_factors": {"required_roles": ["finance"]},
    "sessions": {"idle_timeout": "7d", "lifetime": "7d"},
    "providers": {
        "acme": {"label": "Acme", "issuer": "https://id.example.com", "client_id": "wiki"},
        "github": {"type": "github", "client_id": "wiki"},
    },
}
MAIL: Final[dict[str, Any]] = {"mail": {"url": "smtp://127.0.0.1:1?tls=none", "from": "wiki@example.com"}}
_LINKED: Final = """
    insert into external_login (authority, subject, account_id, provider, shown, created_at, last_login_at)
    values ('https://id.example.com', 'u-1', $1, 'acme', 'ann@acme.example', $2, $2)
"""
_FIREFOX: Final = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
_SAFARI: Final = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.0 Mobile/15E148 Safari/604.1"
)


class Who(StrEnum):
    """Who walks: nobody yet, somebody on the first day, or an administrator who has everything."""

    NOBODY = "nobody"
    NEWCOMER = "bea"
    ADMIN = "ann"


@dataclass
class Walker:
    """A page of Chromium and what its visitor needs to get somewhere."""

    world: World
    silent: World  # the same accounts behind a portal that sends no mail and has no application on its own host
    page: Page
    users: dict[Who, User]
    own_client: Client  # the administrator's
    app: pyotp.TOTP  # the administrator's
    login_id: str | None = None

    async def become(self, who: Who) -> None:
        """Begin anew as ``who``, signed in a moment ago."""
        await self.page.unroute_all()
        await self.page.context.clear_cookies()
        if self.login_id is not None:
            await self.world.sessions.revoke_login(self.login_id)
        if who is Who.NOBODY:
            return
        now = self.world.clock.now()
        login = Login(self.users[who].id, "localhost", now, address="127.0.0.1", user_agent=_FIREFOX)
        secret, session = await self.world.sessions.create(login)
        self.login_id = session.login_id
        await self.page.context.add_cookies([{"name": "gateway", "value": secret, "url": "http://localhost/"}])

    async def to(self, path: str) -> None:
        """Open a page of the portal."""
        await self.page.goto(path if path.startswith("http") else self.world.url("localhost", path))

    async def fill(self, **fields: str) -> None:
        """Fill in fields by their names."""
        for name, text in fields.items():
            await self.page.locator(f"main [name={name}]:not([type=hidden])").first.fill(text)

    async def press(self, button: str) -> None:
        """Press a button, and wait for the page that it leads to."""
        async with self.page.expect_navigation():
            await self.page.get_by_role("button", name=button, exact=True).first.click()

    async def prove_app(self) -> None:
        """Type the code that an app shows which has photographed the page."""
        key = await self.page.locator("code.key").text_content()
        await self.fill(code=pyotp.TOTP((key or "").replace(" ", "")).at(self.world.clock.now()))

    async def sign_in(self, path: str, name: str, password: str = PASSWORD) -> None:
        await self.to(path)
        await self.fill(username=name, password=password)
        await self.press("Sign in")


async def lived_in(portals: Portals, client: aiohttp.ClientSession, page: Page) -> Walker:
    """Open a portal where people are at home, and let a page walk through it."""
    world = await portals.open(**SETTINGS, **MAIL)
    silent = await portals.open(
        **SETTINGS, routes=[{"match": {"host": "app.localhost"}, "upstream": "http://127.0.0.1:9"}]
    )
    world.ann = await world.users.change(
        world.ann.id, Changes(roles=["admin", "staff"], name="Ann Okafor", is_verified=True)
    )
    bea = await world.users.create("bea", "bea@example.com", PASSWORD, is_verified=True)
    await world.users.create("carl", "carl@example.com", PASSWORD, roles=["finance"], is_verified=True)
    dora = await world.users.create("dora", "dora@example.com", PASSWORD, name="Dora Lindqvist")
    await world.users.change(dora.id, Changes(is_active=False))
    app = await _belongings(world, Browser(world, client))
    grafana = await register(world, "Grafana", owner_id=world.ann.id)
    return Walker(world, silent, page, {Who.ADMIN: world.ann, Who.NEWCOMER: bea}, grafana.client, app)


async def _belongings(world: World, browser: Browser) -> pyotp.TOTP:
    """Give Ann of everything something. Returns her authenticator app."""
    await browser.sign_in()
    app, _ = await set_up(world, browser)
    await add(browser, SoftPasskey(world.settings.server.public_url))
    await connect(world, browser, "Wiki")
    await world.database.execute(_LINKED, UUID(world.ann.id), world.clock.now())
    await world.accounts.api_tokens.create(world.ann.id, "Nightly backup", ["wiki:read"])
    for agent, address in ((_FIREFOX, "10.0.0.7"), (_SAFARI, "2001:db8::7")):
        now = world.clock.now()
        await world.sessions.create(Login(world.ann.id, "localhost", now, address=address, user_agent=agent))
        world.clock.advance(3 * 3600)
    return app
