"""Passkeys in Chromium, with authenticators that its developer tools make."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from playwright.async_api import Browser, CDPSession, Page, expect

from tests.web.chromium import needs_chromium, opened, sign_in
from tests.web.portal import Portals, World

pytestmark = needs_chromium

PLATFORM = {"transport": "internal", "hasResidentKey": True, "hasUserVerification": True, "isUserVerified": True}
SECURITY_KEY = {"transport": "usb", "hasResidentKey": False, "hasUserVerification": False}


@dataclass
class Device:
    """A page with an authenticator that its owner touches at once."""

    page: Page
    tools: CDPSession
    authenticator: str

    async def credentials(self) -> list[dict[str, Any]]:
        said = await self.tools.send("WebAuthn.getCredentials", {"authenticatorId": self.authenticator})
        return list(said["credentials"])

    async def set(self, command: str, **values: Any) -> None:
        await self.tools.send(f"WebAuthn.{command}", {"authenticatorId": self.authenticator, **values})


@asynccontextmanager
async def device(chromium: Browser, kind: dict[str, Any], *, offers: bool = False) -> AsyncIterator[Device]:
    """Open a browser with an authenticator. Where the name field ``offers`` passkeys, it takes the first."""
    async with opened(chromium) as page:
        if not offers:
            await page.add_init_script("PublicKeyCredential.isConditionalMediationAvailable = async () => false")
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
        await page.goto(world.url("localhost", "/reports?year=2026"))
        await page.get_by_label("Keep me signed in").check()
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page).to_have_url(world.url("localhost", "/reports?year=2026"))
        (session,) = await world.sessions.list_for(world.ann.id)
        assert (session.methods, session.remembered) == (("hwk", "mfa"), True)


async def test_the_name_field_offers_passkeys(world: World, chromium: Browser) -> None:
    async with device(chromium, PLATFORM, offers=True) as held:
        page = held.page
        await add_passkey(world, page)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Keep these codes")
        await sign_out(world, page)
        await page.goto(world.url("localhost", "/reports"))
        await expect(page.get_by_role("heading")).to_have_text("Hello ann on localhost")


async def test_a_security_key_follows_the_password(world: World, chromium: Browser) -> None:
    async with device(chromium, SECURITY_KEY) as held:
        page = held.page
        await add_passkey(world, page, "Key on my ring")
        await page.get_by_role("link", name="I have kept them").click()
        await expect(page.get_by_text("A security key: it comes after your password.")).to_be_visible()
        (credential,) = await held.credentials()
        assert credential["isResidentCredential"] is False
        await sign_out(world, page)
        await page.goto(world.url("localhost", "/reports"))
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page.get_by_role("alert")).to_contain_text("No passkey was used")
        await sign_in(page)
        await expect(page.get_by_role("heading")).to_have_text("One more step")
        await page.get_by_label("Do not ask on this device").check()
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page.get_by_role("heading")).to_have_text("Hello ann on localhost")
        (session,) = await world.sessions.list_for(world.ann.id)
        assert session.methods == ("pwd", "hwk", "mfa")
        await sign_out(world, page)
        await page.goto(world.url("localhost", "/reports"))
        await sign_in(page)
        await expect(page.get_by_role("heading")).to_have_text("Hello ann on localhost")


async def test_a_passkey_confirms_who_is_signed_in(world: World, chromium: Browser) -> None:
    async with device(chromium, PLATFORM) as held:
        page = held.page
        await add_passkey(world, page)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Keep these codes")
        world.clock.advance(timedelta(minutes=16))
        await page.goto(world.url("localhost", "/account/security/passkeys/new"))
        await expect(page.get_by_role("heading")).to_have_text("Sign in again")
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("Add a passkey")
        await page.get_by_role("button", name="Create passkey").click()
        await expect(page.get_by_role("alert")).to_have_text("This device holds a passkey for your account already.")
        (session,) = await world.sessions.list_for(world.ann.id)
        assert session.authenticated_at == world.clock.now()


async def test_a_passkey_is_renamed_and_removed(world: World, chromium: Browser) -> None:
    async with device(chromium, PLATFORM) as held:
        page = held.page
        await add_passkey(world, page, "Laptop")
        await page.get_by_role("link", name="I have kept them").click()
        await page.get_by_text("Rename", exact=True).click()
        await page.get_by_label("New name for Laptop").fill("<b>Old</b> laptop")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("status")).to_contain_text("new name")
        await page.get_by_role("button", name="Remove <b>Old</b> laptop").click()
        await expect(page.get_by_role("status")).to_contain_text("opens nothing here any more")
        await expect(page.get_by_text("No passkey yet")).to_be_visible()
        await sign_out(world, page)
        await page.goto(world.url("localhost", "/reports"))
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page.get_by_role("alert")).to_contain_text("does not open an account here")
        await sign_in(page)
        await expect(page.get_by_role("heading")).to_have_text("Hello ann on localhost")


async def test_a_device_that_does_not_know_its_user_signs_nobody_in(world: World, chromium: Browser) -> None:
    async with device(chromium, PLATFORM) as held:
        page = held.page
        await add_passkey(world, page)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Keep these codes")
        await sign_out(world, page)
        await held.set("setUserVerified", isUserVerified=False)
        await page.goto(world.url("localhost", "/reports"))
        await page.get_by_role("button", name="Use a passkey").click()
        await expect(page.get_by_role("alert")).to_contain_text("No passkey was used")
        assert await world.sessions.list_for(world.ann.id) == []


async def test_a_passkey_is_set_up_on_the_way_in(portals: Portals, chromium: Browser) -> None:
    world = await portals.open(second_factors={"required_roles": ["user"]})
    async with device(chromium, PLATFORM) as held:
        page = held.page
        await page.goto(world.url("localhost", "/reports"))
        await sign_in(page)
        await page.get_by_role("button", name="Set up a passkey instead").click()
        await expect(page.get_by_role("heading", level=1)).to_have_text("You are signed in. Keep these codes")
        await page.get_by_role("link", name="I have kept them").click()
        await expect(page.get_by_role("heading")).to_have_text("Hello ann on localhost")
        (session,) = await world.sessions.list_for(world.ann.id)
        assert session.methods == ("pwd", "hwk", "mfa")


async def test_without_javascript_nothing_is_offered_that_does_not_work(world: World, chromium: Browser) -> None:
    async with opened(chromium, java_script_enabled=False) as page:
        await page.goto(world.url("localhost", "/account/security/passkeys/new"))
        await expect(page.get_by_role("button", name="Use a passkey")).to_be_hidden()
        await sign_in(page)
        await expect(page.get_by_text("Passkeys need JavaScript")).to_be_visible()
        await expect(page.get_by_role("button", name="Create passkey")).to_be_hidden()
