"""The shell of one's own account: for people who are signed in, in one browser, with the sections that are theirs."""

from __future__ import annotations

import re

from gateway.web.console import NAVIGATION
from tests.web.portal import Browser, World


async def test_account_asks_to_sign_in_and_comes_back(world: World, browser: Browser) -> None:
    answer = await browser.get("/account?x=1")
    assert (answer.status, answer.location) == (
        303,
        f"/login?rd=http%3A%2F%2Flocalhost%3A{world.port}%2Faccount%3Fx%3D1",
    )
    done = await browser.sign_in(answer.location)
    shown, _ = await browser.follow(done)
    assert "<h1>Your account</h1>" in shown.text
    assert "<dd>ann</dd>" in shown.text


async def test_rail_marks_the_section_and_leads_to_all(browser: Browser) -> None:
    await browser.sign_in()
    answer = await browser.get("/account")
    assert re.findall(r'<a href="([^"]+)" aria-current="page">', answer.text) == ["/account"]
    # Nobody can be linked where no provider is configured.
    assert 'href="/account/logins"' not in answer.text
    for section in NAVIGATION:
        if not section.for_admins and section.page != "account/logins":
            linked = await browser.get(f"/{section.page}")
            assert (linked.status, f'href="/{section.page}"' in answer.text) == (200, True)


async def test_sections_of_administrators_are_shown_to_nobody_else(world: World, browser: Browser) -> None:
    await browser.sign_in()
    restricted = [section.label for section in NAVIGATION if section.for_admins]
    seen = (await browser.get("/account")).text
    assert [label for label in restricted if label in seen] == []
    await world.database.execute("update account set roles = array['admin'] where username = 'ann'")
    seen = (await browser.get("/account")).text
    assert [label for label in restricted if label not in seen] == []


async def test_name_of_a_person_is_text(world: World, browser: Browser) -> None:
    await world.database.execute("update account set name = '<b>Ann</b>' where username = 'ann'")
    await browser.sign_in()
    answer = await browser.get("/account")
    assert "&lt;b&gt;Ann&lt;/b&gt;" in answer.text
