"""Signing in with a second factor, as a browser without JavaScript does it. No way leads around it."""

from __future__ import annotations

import re
from datetime import timedelta

import aiohttp
import pyotp
import pytest

from gateway.accounts.changes import Changes
from gateway.accounts.sessions import FRESH
from tests.web.portal import HIDDEN, PASSWORD, Answer, Browser, Portals, World

KEY = re.compile(r'<code class="key">([A-Z2-7 ]+)</code>')
APP = re.compile(r'name="app" value="([^"]+)"')
CODES = re.compile(r'<pre id="recovery-codes">([^<]+)</pre>')


def app_of(page: Answer) -> pyotp.TOTP:
    """Return the app that has photographed a page."""
    found = KEY.search(page.text)
    assert found, page.text
    return pyotp.TOTP(found[1].replace(" ", ""))


def form_of(page: Answer, **fields: str) -> dict[str, str]:
    app = APP.search(page.text)
    assert app, page.text
    return {"csrf_token": page.token, "app": app[1], **fields}


async def set_up(world: World, browser: Browser) -> tuple[pyotp.TOTP, list[str]]:
    """Set up an app for ann, who is signed in; the clock is at the next code afterwards."""
    page = await browser.get("/account/security/app")
    app = app_of(page)
    done = await browser.send(
        "POST", "/account/security/app", data=form_of(page, name="Phone", code=app.at(world.clock.now()))
    )
    codes = CODES.search(done.text)
    assert codes, done.text
    world.clock.advance(30)
    return app, codes[1].split()


@pytest.fixture
async def app(world: World, browser: Browser) -> pyotp.TOTP:
    """Ann's authenticator app; she is signed out again."""
    await browser.sign_in()
    found, _ = await set_up(world, browser)
    browser.jar.clear()
    return found


async def test_a_code_follows_the_password_and_leads_back(world: World, browser: Browser, app: pyotp.TOTP) -> None:
    stopped = await browser.get("/reports?year=2026")
    asked = await browser.sign_in(stopped.location)
    assert asked.status == 303
    assert asked.location.startswith("/login/second-factor?rd=")
    assert browser.secret() is None
    before = await world.count()
    page = await browser.get(asked.location)
    assert "One more step" in page.text
    done = await browser.send(
        "POST", asked.location, data={"csrf_token": page.token, "code": app.at(world.clock.now())}
    )
    assert (done.status, done.location) == (303, world.url("localhost", "/reports?year=2026"))
    assert "Hello ann" in (await browser.get("/reports?year=2026")).text
    assert await world.count() == before + 1
    owner = await world.sessions.find(browser.secret() or "", "localhost")
    assert owner is not None
    assert owner.session.methods == ("pwd", "otp", "mfa")
    assert "gateway-login" not in browser.jar["localhost"]


async def test_the_login_that_asks_is_handed_over_to_another_host(
    world: World, browser: Browser, app: pyotp.TOTP
) -> None:
    stopped = await browser.get(world.url("app.localhost", "/work"))
    start, _ = await browser.follow(stopped, "app.localhost")
    fields = {"csrf_token": start.token, "username": "ann", "password": PASSWORD}
    action = re.search(r'action="([^"]+)"', start.text)
    assert action
    asked = await browser.send("POST", action[1].replace("&amp;", "&"), data=fields)
    page = await browser.get(asked.location)
    done = await browser.send(
        "POST", asked.location, data={"csrf_token": page.token, "code": app.at(world.clock.now())}
    )
    end, _ = await browser.follow(done)
    assert "Hello ann on app.localhost" in end.text


async def test_no_way_leads_around_it(world: World, browser: Browser, stranger: Browser, app: pyotp.TOTP) -> None:
    sessions = await world.count()
    asked = await browser.sign_in()
    for path in ("/account", "/account/security", "/account/clients", "/reports"):
        assert (await browser.get(path)).status in {302, 303}, path
    # Another browser that learns the address has no login that waits, nor does the JSON API take its secret.
    assert (await stranger.get(asked.location)).location.startswith("/login")
    page = await browser.get(asked.location)
    stolen = {"csrf_token": page.token, "code": app.at(world.clock.now())}
    assert (await stranger.send("POST", asked.location, data=stolen)).location.startswith("/login")
    forged = await browser.send("POST", asked.location, data={**stolen, "csrf_token": "x" * 64})
    assert forged.status == 403
    assert await world.pending_by_api(browser) is None
    assert await world.count() == sessions


async def test_wrong_codes_end_the_login(world: World, browser: Browser, app: pyotp.TOTP) -> None:
    asked = await browser.sign_in()
    for _ in range(4):
        answer = await browser.submit(asked.location, {"code": "not-a-code"})
        assert answer.status == 401
        assert "not right" in answer.text
    answer = await browser.submit(asked.location, {"code": "not-a-code"})
    assert answer.status == 401
    assert "Too many wrong codes" in answer.text
    assert (await browser.get(asked.location)).location == "/login"


@pytest.mark.parametrize(("code", "status"), [("", 400), (" ", 400), ("\x00", 401), ("1" * 5000, 401), ("🔑", 401)])
async def test_strange_codes_are_answered(
    world: World, browser: Browser, app: pyotp.TOTP, code: str, status: int
) -> None:
    asked = await browser.sign_in()
    assert (await browser.submit(asked.location, {"code": code})).status == status


async def test_a_changed_password_ends_a_login_that_waits(world: World, browser: Browser, app: pyotp.TOTP) -> None:
    asked = await browser.sign_in()
    page = await browser.get(asked.location)
    await world.users.change(world.ann.id, Changes(password="a new good password"))
    done = await browser.send(
        "POST", asked.location, data={"csrf_token": page.token, "code": app.at(world.clock.now())}
    )
    assert done.location == "/login"
    assert browser.secret() is None


async def test_a_device_may_be_trusted(world: World, browser: Browser, app: pyotp.TOTP) -> None:
    asked = await browser.sign_in()
    await browser.submit(asked.location, {"code": app.at(world.clock.now()), "trust": "yes"})
    browser.jar["localhost"].pop("gateway")
    assert (await browser.sign_in()).location == "/"
    device = browser.jar["localhost"].pop("gateway-device")
    browser.jar["localhost"].pop("gateway")
    assert (await browser.sign_in()).location.startswith("/login/second-factor")
    browser.jar["localhost"]["gateway-device"] = device
    world.clock.advance(timedelta(days=31))
    assert (await browser.sign_in()).location.startswith("/login/second-factor")


async def test_a_recovery_code_lets_in_once(world: World, browser: Browser) -> None:
    await browser.sign_in()
    _, codes = await set_up(world, browser)
    browser.jar.clear()
    asked = await browser.sign_in()
    assert (await browser.submit(asked.location, {"code": codes[0]})).status == 303
    browser.jar.clear()
    asked = await browser.sign_in()
    assert (await browser.submit(asked.location, {"code": codes[0]})).status == 401


@pytest.fixture
async def strict(portals: Portals) -> World:
    return await portals.open(second_factors={"required_roles": ["user"]})


async def test_whose_role_demands_it_sets_one_up_before_they_are_let_in(strict: World, stranger: Browser) -> None:
    browser = Browser(strict, stranger._client)
    asked = await browser.sign_in("/login?rd=/reports")
    assert asked.location.startswith("/login/enrol?rd=")
    assert await strict.count() == 0
    # The page for codes is not for them.
    assert (await browser.get("/login/second-factor")).location == "/login"
    page = await browser.get(asked.location)
    app = app_of(page)
    wrong = await browser.send("POST", asked.location, data=form_of(page, code="000000x"))
    assert wrong.status == 400
    assert app_of(wrong).secret == app.secret
    assert await strict.count() == 0
    done = await browser.send("POST", asked.location, data=form_of(wrong, code=app.at(strict.clock.now())))
    assert done.status == 200
    assert len((CODES.search(done.text) or [""])[1].split()) == 10
    assert "/reports" in done.text
    owner = await strict.sessions.find(browser.secret() or "", "localhost")
    assert owner is not None
    assert "mfa" in owner.session.methods
    # Nobody sets up a second one that way.
    assert (await browser.get(asked.location)).location.startswith("/login")


async def test_a_new_account_sets_it_up_as_well(strict: World, stranger: Browser) -> None:
    browser = Browser(strict, stranger._client)
    fields = {"username": "bea", "email": "bea@example.com", "password": "a good long password"}
    answer = await browser.submit("/register", fields)
    assert answer.location.startswith("/login/enrol")
    assert browser.secret() is None


async def test_the_security_page_adds_and_removes(world: World, browser: Browser) -> None:
    await browser.sign_in()
    assert "No app yet" in (await browser.get("/account/security")).text
    await set_up(world, browser)
    page = await browser.get("/account/security")
    assert "Phone" in page.text
    assert "10 are left" in page.text
    token = HIDDEN.search(page.text)
    remove = re.search(r'action="(/account/security/app/[^"]+/remove)"', page.text)
    assert token
    assert remove
    fresh = await browser.send("POST", "/account/security/recovery-codes", data={"csrf_token": token[1]})
    assert len((CODES.search(fresh.text) or [""])[1].split()) == 10
    assert (await browser.send("POST", remove[1], data={"csrf_token": "x" * 64})).status == 403
    assert (await browser.send("POST", remove[1], data={"csrf_token": token[1]})).status == 303
    assert "No app yet" in (await browser.get("/account/security")).text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/account/security/app"),
        ("POST", "/account/security/app"),
        ("POST", "/account/security/recovery-codes"),
        ("POST", "/account/security/app/x/remove"),
    ],
)
async def test_changes_take_somebody_who_signed_in_a_short_while_ago(
    world: World, browser: Browser, method: str, path: str
) -> None:
    await browser.sign_in()
    world.clock.advance(timedelta(minutes=16))
    answer = await browser.send(method, path)
    assert answer.status == 303
    assert "prompt=login" in answer.location
    back = "/account/security/app" if method == "GET" else "/account/security"
    assert answer.location.startswith(f"/login?rd=http%3A%2F%2Flocalhost%3A{world.port}{back.replace('/', '%2F')}&")


async def test_the_picture_is_drawn_into_the_page(world: World, browser: Browser) -> None:
    await browser.sign_in()
    page = await browser.get("/account/security/app")
    assert "<svg" in page.text
    assert "style=" not in page.text.partition("<body")[2]


async def test_an_old_session_sets_up_no_second_factor(world: World, browser: Browser) -> None:
    await browser.sign_in()
    world.clock.advance(FRESH)
    young = await browser.get("/login?prompt=mfa&rd=%2Freports")
    assert young.location.startswith("/login/enrol")
    world.clock.advance(1)
    old = await browser.get("/login?prompt=mfa&rd=%2Freports")
    assert old.location.startswith("/login?rd=")
    assert old.location.endswith("prompt=login")
    confirmed = await browser.sign_in(old.location)
    assert confirmed.location.endswith("/reports")
    again = await browser.get("/login?prompt=mfa&rd=%2Freports")
    assert again.location.startswith("/login/enrol")


async def test_a_session_that_is_over_sets_up_no_second_factor(world: World, browser: Browser) -> None:
    await browser.sign_in()
    asked = await browser.get("/login?prompt=mfa")
    page = await browser.get(asked.location)
    (session,) = await world.sessions.list_for(world.ann.id)
    await world.sessions.revoke(session.id)
    assert (await browser.get(asked.location)).location == "/login"
    code = app_of(page).at(world.clock.now())
    done = await browser.send("POST", asked.location, data=form_of(page, code=code))
    assert (done.status, done.location) == (303, "/login")
    assert not await world.accounts.second_factors.of(world.ann.id)


async def test_the_owner_hears_of_apps_that_come_and_go(portals: Portals, client: aiohttp.ClientSession) -> None:
    world = await portals.open(mail={"url": "smtp://127.0.0.1:9", "from": "Acme <acme@example.com>"})
    browser = Browser(world, client)
    await browser.sign_in()
    before = await world.count("outgoing_mail")
    await set_up(world, browser)
    assert await world.count("outgoing_mail") == before + 1
    (app,) = await world.accounts.second_factors.totps.list_for(world.ann.id)
    page = await browser.get("/account/security")
    await browser.send("POST", f"/account/security/app/{app.id}/remove", data={"csrf_token": page.token})
    assert await world.count("outgoing_mail") == before + 2


async def test_the_security_page_leads_to_other_sessions(browser: Browser) -> None:
    await browser.sign_in()
    assert 'href="/account/sessions"' in (await browser.get("/account/security")).text.partition("<main")[2]
