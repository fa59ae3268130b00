"""Passkeys in Chromium, with authenticators that its developer tools make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, CDPSession, Page, expect

from tests.web.chromium import needs_chromium, opened, sign_in
from tests.web.portal import World

pytestmark = needs_chromium

PLATFORM = {"transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}


@dataclass
class Device:
    """A page with an authenticator that its owner touches at once, or only when told."""

    page: Page
    tools: CDPSession
    authenticator: str

    async def credentials(self) -> list[dict[str, Any]]:
        said = await self.tools.send("WebAuthn.getCredentials", {"authenticatorId": self.authenticator})
        return list(said["credentials"])

    async def set(self, command: str, **values: Any) -> None:
        await self.tools.send(f"WebAuthn.{command}", {"authenticatorId": self.authenticator, **values})


@asynccontextmanager
async def device(chromium: Browser, kind: dict[str, Any], **options: Any) -> AsyncIterator[Device]:
    async with opened(chromium, **options) as page:
        tools = await page.context.new_cdp_session(page)
        await tools.send("WebAuthn.enable", {"enableUI": False})
        settings = {"protocol": "ctap2", "automaticPresenceSimulation": True, **kind}
        made = await tools.send("WebAuthn.addVirtualAuthenticator", {"options": settings})
        yield Device(page, tools, made["authenticatorId"])


async def add_passkey(world: World, page: Page, name: str = "This device") -> None:
    """Sign in with the password and add a passkey."""
    await page.goto(world.url("localhost", "/account/security"))
    await sign_in(page)
    await page.get_by_role("link", name="Add a passkey").click()
    await page.get_by_label("What you call it").fill(name)
    await page.get_by_role("button", name="Create passkey").click()


async def sign_out(world: World, page: Page) -> None:
    await page.goto(world.url("localhost", "/logout"))
    await page.get_by_role("button", name="Sign out").click()
    await expect(page.get_by_role("heading")).to_have_text("You are signed out")


async def test_a_passkey_is_added_and_signs_in_without_a_name(world: World, chromium: Browser) -> None:
    async with device(chromium, PLATFORM) as held:
        page = held.page
        await add_passkey(world, page, "Laptop")
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Keep these codes")
        await page.get_by_role("link", name="I have kept them").click()
        await expect(page.get_by_role("heading", name="Laptop")).to_be_visible()
        (credential,) = await held.credentials()
        assert (credential["rpId"], credential["isResidentCredential"]) == ("localhost", True)
        await sign_out(world, page)
        await held.set("setAutomaticPresenceSimulation", enabled=False)
        await page.goto(world.url("localhost", "/reports?year=2026"))
        await page.get_by_label("Keep me signed in").check()
        await held.set("setAutomaticPresenceSimulation", enabled=True)
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page).to_have_url(world.url("localhost", "/reports?year=2026"))
        (session,) = await world.sessions.list_for(world.ann.id)
        assert (session.methods, session.remembered) == (("hwk", "mfa"), True)
