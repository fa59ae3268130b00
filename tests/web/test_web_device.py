"""The device pages: a code that somebody sent is not enough, guesses are counted, the decision is the person's own."""

from __future__ import annotations

import asyncio
import re
from html import unescape
from typing import Any

import aiohttp
import pytest

from gateway.oauth.state.device_codes import IssuedDeviceCode, NotYet
from gateway.oauth.state.families import Family
from tests.web.asking import Asking, register
from tests.web.portal import Answer, Browser, Portals, World

PATH = "/oauth/device"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


def read(text: str) -> str:
    body = text[text.index("<main") : text.index("</main>")]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def television(world: World, **options: Any) -> Asking:
    return await register(world, "Television", grant_types=[DEVICE, "refresh_token"], redirect_uris=[], **options)


async def waiting(world: World, **options: Any) -> IssuedDeviceCode:
    """Let a television ask, as its endpoint does."""
    asking = await television(world, **options)
    return await world.provider.devices.issue(asking.client.id, ["openid", "email"], [])


async def client_of(world: World, issued: IssuedDeviceCode) -> str:
    code = issued.user_code.replace("-", "")
    return str(await world.database.fetchval("select client_id from device_code where user_code = $1", code))


async def poll(world: World, issued: IssuedDeviceCode) -> Family | NotYet:
    world.clock.advance(10)
    return await world.provider.devices.poll(issued.device_code, await client_of(world, issued))


async def type_code(browser: Browser, code: str, **headers: str) -> Answer:
    return await browser.submit(PATH, {"user_code": code}, **headers)


async def press(browser: Browser, page: Answer, decision: str, **changes: str) -> Answer:
    action = re.search(r'action="([^"]+)"', page.text)
    assert action
    form = {"csrf_token": page.token, "decision": decision, **changes}
    return await browser.send("POST", unescape(action[1]), {}, form)


async def test_device_is_connected(world: World, browser: Browser) -> None:
    issued = await waiting(world)
    await browser.sign_in()
    page = await type_code(browser, issued.user_code)
    words = read(page.text)
    for each in (
        "Connect Television on your device?",
        "You are signed in as ann",
        issued.user_code,
        "Only continue if you started this on a device of yours",
        "See your e-mail address ann@example.com",
        "Also while you are away: until you take it back",
    ):
        assert each in words
    assert await poll(world, issued) is NotYet.PENDING
    assert "Your device is connected" in read((await press(browser, page, "allow")).text)
    family = await poll(world, issued)
    assert isinstance(family, Family)
    assert (family.user.username, family.granted.offline) == ("ann", True)


async def test_device_outlives_the_browser_that_allowed_it(world: World, browser: Browser) -> None:
    issued = await waiting(world)
    await browser.sign_in()
    await press(browser, await type_code(browser, issued.user_code), "allow")
    await browser.submit("/logout", {})
    assert isinstance(await poll(world, issued), Family)


@pytest.mark.parametrize("decision", ["deny", "", "Allow"])
async def test_device_is_denied(world: World, browser: Browser, decision: str) -> None:
    issued = await waiting(world)
    await browser.sign_in()
    done = await press(browser, await type_code(browser, issued.user_code), decision)
    assert "Nothing was allowed" in read(done.text)
    assert await poll(world, issued) is NotYet.DENIED


async def test_link_with_the_code_signs_in_first_and_decides_nothing(world: World, browser: Browser) -> None:
    issued = await waiting(world)
    login = await browser.get(f"{PATH}?user_code={issued.user_code}")
    assert login.location.startswith("/login?rd=")
    page, _ = await browser.follow(await browser.sign_in(login.location))
    assert f'value="{issued.user_code}"' in page.text
    assert "Television" not in page.text
    assert "Whoever sends you one gets into your account" in page.text
    assert await poll(world, issued) is NotYet.PENDING


@pytest.mark.parametrize("typed", [str.lower, lambda code: code.replace("-", ""), lambda code: f" {code.lower()} "])
async def test_code_is_taken_as_people_type_it(world: World, browser: Browser, typed: Any) -> None:
    issued = await waiting(world)
    await browser.sign_in()
    assert "Connect Television" in read((await type_code(browser, typed(issued.user_code))).text)


@pytest.mark.parametrize("code", ["", "BCDF-GHJK", "BCDF", "<b>", "x" * 9000])
async def test_code_that_nobody_waits_with_is_said_to_be_wrong(browser: Browser, code: str) -> None:
    await browser.sign_in()
    answer = await type_code(browser, code)
    assert (answer.status, "No device waits with this code" in answer.text) == (400, True)
    kept = re.search(r'value="([^"]*)" placeholder', answer.text)
    assert kept
    assert unescape(kept[1]) == code[:40]


async def test_code_is_over_when_decided_expired_or_its_client_disabled(world: World, browser: Browser) -> None:
    await browser.sign_in()
    decided, expired, disabled = [await waiting(world) for _ in range(3)]
    page = await type_code(browser, decided.user_code)
    await press(browser, page, "deny")
    assert (await press(browser, page, "allow")).status == 410
    assert await poll(world, decided) is NotYet.DENIED
    await world.database.execute(
        "update oauth_client set is_active = false where id = $1", await client_of(world, disabled)
    )
    page = await type_code(browser, expired.user_code)
    world.clock.advance(601)
    assert (await press(browser, page, "allow")).status == 410
    for issued in (decided, expired, disabled):
        assert (await type_code(browser, issued.user_code)).status == 400


async def test_form_of_another_code_or_session_decides_nothing(
    world: World, browser: Browser, stranger: Browser
) -> None:
    issued, other = await waiting(world), await waiting(world)
    await browser.sign_in()
    page = await type_code(browser, issued.user_code)
    elsewhere = await type_code(browser, other.user_code)
    assert (await press(browser, page, "allow", csrf_token=elsewhere.token)).status == 403
    assert (await press(browser, page, "allow", csrf_token=(await browser.get(PATH)).token)).status == 403
    await stranger.sign_in()
    assert (await press(stranger, page, "allow")).status == 403
    assert await poll(world, issued) is NotYet.PENDING


async def test_guesses_are_counted_for_an_account_over_all_its_browsers(
    portals: Portals, client: aiohttp.ClientSession
) -> None:
    world = await portals.open(login={"max_failures": 3, "window": "15m", "per_ip": 100})
    issued = await waiting(world)
    one, other = Browser(world, client), Browser(world, client)
    await one.sign_in()
    await other.sign_in()
    for browser in (one, other, one):
        assert (await type_code(browser, "BCDF-GHJK")).status == 400
    for browser in (one, other):
        refused = await type_code(browser, issued.user_code)
        assert (refused.status, refused.headers["Retry-After"]) == (429, "900")
        assert "Too many codes were wrong. Please wait 15 minutes" in refused.text
    world.clock.advance(901)
    await world.database.execute("update device_code set expires_at = $1", world.clock.now().replace(year=2099))
    assert (await type_code(one, issued.user_code)).status == 200
    assert (await one.sign_in("/login?prompt=login")).status == 303, "logins are counted apart"


async def test_guesses_at_once_are_no_more_than_one_after_another(
    portals: Portals, client: aiohttp.ClientSession
) -> None:
    world = await portals.open(login={"max_failures": 3})
    browser = Browser(world, client)
    await browser.sign_in()
    form = {"csrf_token": (await browser.get(PATH)).token, "user_code": "BCDF-GHJK"}
    answers = await asyncio.gather(*(browser.send("POST", PATH, {}, form) for _ in range(12)))
    assert sorted(each.status for each in answers) == [400] * 3 + [429] * 9


async def test_guesses_are_counted_for_an_address_over_all_accounts(
    portals: Portals, client: aiohttp.ClientSession
) -> None:
    world = await portals.open(login={"max_failures": 50, "window": "15m", "per_ip": 4})
    await world.users.create("bea", "bea@example.com", "correct horse battery")
    ann, bea = Browser(world, client), Browser(world, client)
    await ann.sign_in()
    await bea.submit("/login", {"username": "bea", "password": "correct horse battery"})
    statuses = [(await type_code(browser, "BCDF-GHJK")).status for browser in (ann, bea, ann, bea, ann)]
    assert statuses == [400, 400, 400, 400, 429]


async def test_right_codes_are_not_counted(portals: Portals, client: aiohttp.ClientSession) -> None:
    world = await portals.open(login={"max_failures": 2})
    browser = Browser(world, client)
    await browser.sign_in()
    for _ in range(4):
        issued = await waiting(world)
        assert (await type_code(browser, issued.user_code)).status == 200


async def test_decision_without_its_page_leads_to_the_code(browser: Browser) -> None:
    assert (await browser.get(f"{PATH}/decision?user_code=BCDFGHJK")).location == PATH


async def test_device_that_nobody_checked_is_marked(world: World, browser: Browser) -> None:
    issued = await waiting(world, by_itself=True)
    await browser.sign_in()
    page = await type_code(browser, issued.user_code)
    assert "It registered itself. Acme has not checked it." in read(page.text)
