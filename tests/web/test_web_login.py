"""Signing in by the login page, as a browser without JavaScript does it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import aiohttp
import pytest

from gateway.accounts.changes import Changes
from gateway.storage.database import Database
from tests.web.portal import PASSWORD, Browser, Portals, World


async def test_right_password_signs_in_and_leads_back(world: World, browser: Browser) -> None:
    stopped = await browser.get("/reports?year=2026")
    page, _ = await browser.follow(stopped)
    assert "Sign in" in page.text
    answer = await browser.send(
        "POST",
        stopped.location,
        data={"csrf_token": page.token, "username": "ann", "password": PASSWORD},
    )
    assert answer.status == 303
    assert answer.location == world.url("localhost", "/reports?year=2026")
    back = await browser.get("/reports?year=2026")
    assert "Hello ann" in back.text


@pytest.mark.parametrize("name", ["ann", "ANN", "ann@example.com", "Ann@Example.com"])
async def test_name_and_address_in_any_spelling_sign_in(browser: Browser, name: str) -> None:
    answer = await browser.submit("/login", {"username": name, "password": PASSWORD})
    assert (answer.status, answer.location) == (303, "/")


@pytest.mark.parametrize(
    ("fields", "status", "words"),
    [
        pytest.param({"username": "ann", "password": "wrong"}, 401, "do not belong together", id="wrong-password"),
        pytest.param({"username": "nobody", "password": "wrong"}, 401, "do not belong together", id="unknown-name"),
        pytest.param({"username": "ann", "password": ""}, 400, "Enter your password", id="no-password"),
        pytest.param({"username": " ", "password": "x"}, 400, "Enter your username", id="blank-name"),
        pytest.param({}, 400, "Please look at these again", id="nothing"),
        pytest.param({"username": "ann\x00", "password": "x\x00"}, 401, "do not belong", id="nul"),
        pytest.param({"username": "a" * 20_000, "password": "x"}, 401, "do not belong", id="long-name"),
    ],
)
async def test_refused_login_shows_the_form_again(
    world: World, browser: Browser, fields: dict[str, str], status: int, words: str
) -> None:
    answer = await browser.submit("/login?rd=/reports", fields)
    assert answer.status == status
    assert words in answer.text
    assert 'action="/login?rd=http%3A%2F%2Flocalhost' in answer.text
    assert browser.secret() is None
    assert await world.count() == 0


async def test_what_was_typed_stays_but_never_the_password(browser: Browser) -> None:
    answer = await browser.sign_in(password="my-wrong-secret", remember="yes")
    assert 'value="ann"' in answer.text
    assert " checked" in answer.text
    assert "my-wrong-secret" not in answer.text


async def test_typed_markup_is_text(browser: Browser) -> None:
    answer = await browser.submit("/login", {"username": '"><script>alert(1)</script>', "password": "x"})
    assert "<script>alert" not in answer.text
    assert "&#34;&gt;&lt;script&gt;" in answer.text


@pytest.mark.parametrize(
    ("changes", "settings", "words"),
    [
        pytest.param(Changes(is_active=False), {}, "has been disabled", id="inactive"),
        pytest.param(Changes(), {"registration": {"require_verified_email": True}}, "confirmed", id="unverified"),
    ],
)
async def test_account_that_may_not_sign_in_is_told_why_after_the_right_password(
    portals: Portals, client: aiohttp.ClientSession, changes: Changes, settings: dict[str, Any], words: str
) -> None:
    world = await portals.open(**settings)
    browser = Browser(world, client)
    await world.users.change(world.ann.id, changes)
    answer = await browser.sign_in()
    assert answer.status == 403
    assert words in answer.text
    assert words not in (await browser.sign_in(password="wrong")).text
    assert await world.count() == 0


async def test_too_many_failures_say_when_to_come_back(portals: Portals, client: aiohttp.ClientSession) -> None:
    world = await portals.open(login={"max_failures": 2})
    browser = Browser(world, client)
    for _ in range(2):
        assert (await browser.sign_in(password="wrong")).status == 401
    answer = await browser.sign_in()
    assert answer.status == 429
    assert answer.headers["Retry-After"] == "900"
    assert "Please wait 15 minutes, then try again." in answer.text
    world.clock.advance(timedelta(minutes=15, seconds=1))
    assert (await browser.sign_in()).status == 303


async def test_login_makes_a_new_secret_and_ends_the_old_session(world: World, browser: Browser) -> None:
    await browser.sign_in()
    first = browser.secret()
    form = browser.jar["localhost"]["gateway-form"]
    page = await browser.send("POST", "/login", data={})  # a form that was open in another tab
    await browser.send("POST", "/login", data={"csrf_token": page.token, "username": "ann", "password": PASSWORD})
    second = browser.secret()
    assert first is not None
    assert second not in {None, first}
    assert await world.sessions.find(first, "localhost") is None
    assert browser.jar["localhost"]["gateway-form"] == form


async def test_planted_secret_is_never_adopted(world: World, browser: Browser) -> None:
    planted = "A" * 43
    browser.jar["localhost"] = {"gateway": planted}
    await browser.sign_in()
    assert browser.secret() not in {None, planted}
    assert await world.sessions.find(planted, "localhost") is None


async def test_session_cookie_lasts_as_long_as_the_browser(world: World, browser: Browser) -> None:
    cookie = (await browser.sign_in()).cookies["gateway"]
    assert cookie["max-age"] == ""
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Lax", "/", "")
    world.clock.advance(timedelta(hours=12, seconds=1))
    assert (await browser.get("/")).status == 302


async def test_remembered_cookie_outlives_the_browser_and_the_idle_limit(world: World, browser: Browser) -> None:
    cookie = (await browser.sign_in(remember="yes")).cookies["gateway"]
    assert int(cookie["max-age"]) == timedelta(days=30).total_seconds()
    world.clock.advance(timedelta(days=29))
    assert (await browser.get("/")).status == 200
    world.clock.advance(timedelta(days=1, seconds=1))
    assert (await browser.get("/")).status == 302


async def test_cookies_over_tls_are_host_cookies(portals: Portals, client: aiohttp.ClientSession) -> None:
    world = await portals.open(scheme="https")
    browser = Browser(world, client)
    page = await browser.get("/login")
    answer = await browser.send(
        "POST", "/login", data={"csrf_token": page.token, "username": "ann", "password": PASSWORD}
    )
    for cookie in (page.cookies["__Host-gateway-form"], answer.cookies["__Host-gateway"]):
        assert (cookie["secure"], cookie["domain"], cookie["path"]) == (True, "", "/")


async def test_signed_in_browser_goes_on_without_the_form(browser: Browser) -> None:
    await browser.sign_in()
    answer = await browser.get("/login?rd=/reports")
    assert (answer.status, answer.location.rpartition("/")[2]) == (302, "reports")
    assert (await browser.get("/login")).location == "/"


async def test_login_without_a_front_page_says_who_is_signed_in(
    portals: Portals, client: aiohttp.ClientSession
) -> None:
    world = await portals.open(routes=[{"match": {"host": "app.localhost"}, "upstream": "http://127.0.0.1:9"}])
    browser = Browser(world, client)
    page, way = await browser.follow(await browser.sign_in())
    assert way == [world.url("localhost", "/login")]
    assert "You are signed in" in page.text
    assert "ann" in page.text


@pytest.mark.parametrize(
    "rd",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/.gateway/sign_out", "%00"],
)
async def test_login_never_leads_away(browser: Browser, rd: str) -> None:
    answer = await browser.sign_in(f"/login?rd={rd}")
    assert (answer.status, answer.location) == (303, "/")


async def test_database_that_is_down_is_a_page_and_no_login(world: World, browser: Browser, database: Database) -> None:
    page = await browser.get("/login")
    fields = {"csrf_token": page.token, "username": "ann", "password": PASSWORD}
    await database.close()
    answer = await browser.send("POST", "/login", data=fields)
    assert answer.status == 503
    assert "Not available right now" in answer.text
    assert "gateway" not in answer.cookies


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        pytest.param(b"{}", "application/json", 400, id="json"),
        pytest.param(b"username=a&username=b", "application/x-www-form-urlencoded", 400, id="twice"),
        pytest.param(b"&".join(b"%d=1" % n for n in range(50)), "application/x-www-form-urlencoded", 400, id="many"),
        pytest.param(b"a=" + b"b" * 50_000, "application/x-www-form-urlencoded", 413, id="large"),
        pytest.param(b"\xff\xfe=%ff&%zz", "application/x-www-form-urlencoded", 403, id="garbage"),
    ],
)
async def test_what_is_no_form_is_refused(browser: Browser, body: bytes, content_type: str, status: int) -> None:
    answer = await browser.send("POST", "/login", {"Content-Type": content_type}, body)
    assert answer.status == status
    assert "Traceback" not in answer.text


async def test_prefix_moves_the_pages(portals: Portals, client: aiohttp.ClientSession) -> None:
    world = await portals.open(server={"prefix": "/auth"})
    browser = Browser(world, client)
    page = await browser.get("/auth/login?rd=/reports")
    assert 'action="/auth/login?rd=' in page.text
    assert 'href="/auth/register?rd=' in page.text
    assert (await browser.sign_in("/auth/login")).status == 303


@pytest.mark.parametrize("prompt", ["login", "select_account"])
async def test_prompt_asks_again_though_somebody_is_signed_in(world: World, browser: Browser, prompt: str) -> None:
    await browser.sign_in()
    before = browser.secret()
    page = await browser.get(f"/login?rd=/reports&prompt={prompt}")
    assert "You are signed in as <strong>ann</strong>" in page.text
    assert ('name="username" type="text" value="ann"' in page.text) is (prompt == "login")
    wrong = await browser.sign_in(f"/login?rd=/reports&prompt={prompt}", "wrong")
    assert (wrong.status, f"prompt={prompt}" in wrong.text) == (401, True)
    assert browser.secret() == before
    done = await browser.sign_in(f"/login?rd=/reports&prompt={prompt}")
    assert done.location == world.url("localhost", "/reports")
    assert browser.secret() not in {None, before}


async def test_prompt_that_is_not_known_asks_nothing(browser: Browser) -> None:
    await browser.sign_in()
    assert (await browser.get("/login?rd=/reports&prompt=none")).status == 302


async def test_confirming_who_one_is_goes_on_with_the_login(world: World, browser: Browser) -> None:
    await browser.sign_in()
    await browser.follow(await browser.get(world.url("app.localhost", "/docs")), "app.localhost")
    [login_id] = {each.login_id for each in await world.sessions.list_for(world.ann.id)}
    first, app = browser.secret(), browser.secret("app.localhost")
    assert first
    assert app
    world.clock.advance(60)
    await browser.sign_in("/login?prompt=login")
    sessions = await world.sessions.list_for(world.ann.id)
    assert {each.login_id for each in sessions} == {login_id}
    assert max(each.authenticated_at for each in sessions) == world.clock.now()
    assert await world.sessions.find(first, "localhost") is None
    assert await world.sessions.find(app, "app.localhost") is not None


async def test_another_account_ends_the_login_before(world: World, browser: Browser) -> None:
    await browser.sign_in()
    await browser.follow(await browser.get(world.url("app.localhost", "/docs")), "app.localhost")
    await world.users.create("bea", "bea@example.com", PASSWORD)
    await browser.submit("/login?prompt=select_account", {"username": "bea", "password": PASSWORD})
    assert await world.sessions.list_for(world.ann.id) == []


@pytest.mark.parametrize("signed_in", [False, True], ids=["signed-out", "signed-in"])
async def test_login_hint_fills_in_the_name(browser: Browser, signed_in: bool) -> None:
    if signed_in:
        await browser.sign_in()
    page = await browser.get("/login?prompt=login&login_hint=%22%3Ebea")
    assert 'name="username" type="text" value="&#34;&gt;bea"' in page.text


@pytest.mark.parametrize("remembered", [False, True])
async def test_confirming_keeps_being_remembered(browser: Browser, remembered: bool) -> None:
    await browser.sign_in(**({"remember": "yes"} if remembered else {}))
    page = await browser.get("/login?prompt=login")
    assert ('value="yes" checked' in page.text) is remembered
    assert 'value="yes" checked' not in (await browser.get("/login?prompt=select_account")).text
