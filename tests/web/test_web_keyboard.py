"""From the login to a form of the console without a mouse, with a mistake at each step."""

from __future__ import annotations

from playwright.async_api import Page, expect

from tests.web.chromium import needs_chromium
from tests.web.portal import PASSWORD
from tests.web.walk.walker import Walker, Who

pytestmark = needs_chromium


async def type_into(page: Page, label: str, text: str) -> None:
    """Type into a field, which has to be the one that has focus."""
    await expect(page.get_by_label(label, exact=True)).to_be_focused()
    await page.keyboard.type(text)


async def tab_to(page: Page, name: str) -> None:
    """Go on by Tab until what is called so has focus."""
    for _ in range(40):
        await page.keyboard.press("Tab")
        here = page.locator(":focus")
        if name in {await here.inner_text(), await here.evaluate("here => here.labels?.[0]?.innerText")}:
            return
    raise AssertionError(f"Tab does not get to {name}")


async def refused(page: Page, said: str) -> None:
    """See that a form came back, with the focus on what is wrong."""
    await expect(page.get_by_role("alert")).to_contain_text(said)
    await expect(page.get_by_role("alert")).to_be_focused()


async def test_password_and_second_factor(walker: Walker) -> None:
    page = walker.page
    await walker.to("/login?rd=/account/tokens/new")
    await type_into(page, "Username or e-mail", "ann")
    await page.keyboard.press("Tab")
    await type_into(page, "Password", "wrong password")
    await page.keyboard.press("Enter")
    await refused(page, "do not belong together")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Username or e-mail")).to_have_value("ann")
    await page.keyboard.press("Tab")
    await type_into(page, "Password", PASSWORD)
    await page.keyboard.press("Enter")
    await type_into(page, "Code", "000000")
    await page.keyboard.press("Enter")
    await refused(page, "That code is not right")
    await page.keyboard.press("Tab")
    await type_into(page, "Code", walker.app.at(walker.world.clock.now()))
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Make a token")


async def test_a_form_of_the_console(walker: Walker) -> None:
    page = walker.page
    await walker.become(Who.ADMIN)
    await walker.to("/account/clients/new")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="To the content")).to_be_in_viewport()
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("main")).to_be_focused()
    await tab_to(page, "Name")
    await page.keyboard.type("Calendar")
    await tab_to(page, "Where people are sent back to")
    await page.keyboard.type("http://calendar.example.com/\nhttps://*.example.com/")
    await page.keyboard.press("Shift+Tab")
    await page.keyboard.press("Enter")
    await refused(page, "Please look at these again")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Where people are sent back to")).to_be_focused()
    await page.keyboard.press("ControlOrMeta+A")
    await page.keyboard.type("https://calendar.example.com/")
    await tab_to(page, "Register application")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", level=1)).to_have_text("Calendar is registered")
