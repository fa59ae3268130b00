"""One login on several hosts: the ticket fits one browser, one host, one time."""

from __future__ import annotations

from urllib.parse import parse_qs, quote, urlsplit

import aiohttp
import pytest

from gateway.accounts.changes import Changes
from gateway.web.handover import challenge_of, read_challenge
from tests.web.portal import Answer, Browser, Portals, World

APP = "app.localhost"


async def to_callback(browser: Browser, host: str = APP, path: str = "/docs?page=2") -> str:
    """Let the portal's signed-in browser walk as far as the callback's address on ``host``."""
    started = await browser.get(browser.world.url(host, f"/.gateway/start?rd={quote(path, safe='')}"))
    issued = await browser.get(started.location)
    assert issued.status == 302
    return issued.location


async def test_login_started_on_another_host_ends_there(world: World, browser: Browser) -> None:
    stopped = await browser.get(world.url(APP, "/docs?page=2"))
    answer = await browser.sign_in(stopped.location.removeprefix(world.url("localhost", "")))
    page, way = await browser.follow(answer)
    assert page.text.count(f"Hello ann on {APP}") == 1
    assert [urlsplit(url).path for url in way] == ["/.gateway/start", "/login", "/.gateway/callback", "/docs"]
    assert way[-1] == world.url(APP, "/docs?page=2")


async def test_second_host_needs_no_password_and_has_a_secret_of_its_own(world: World, browser: Browser) -> None:
    await browser.sign_in()
    page, _ = await browser.follow(await browser.get(world.url(APP, "/")), at=APP)
    assert f"Hello ann on {APP}" in page.text
    here, there = browser.secret("localhost"), browser.secret(APP)
    assert here
    assert there
    assert here != there
    assert await world.sessions.find(here, APP) is None
    assert await world.sessions.find(there, "localhost") is None


async def test_handed_over_session_shares_login_times_and_lifetime(world: World, browser: Browser) -> None:
    await browser.sign_in(remember="yes")
    world.clock.advance(600)
    answer = await browser.get(await to_callback(browser))
    assert int(answer.cookies["gateway"]["max-age"]) == 30 * 86400 - 600
    here = await world.sessions.find(browser.secret("localhost") or "", "localhost")
    there = await world.sessions.find(browser.secret(APP) or "", APP)
    assert here is not None
    assert there is not None
    assert there.session.login_id == here.session.login_id
    assert there.session.expires_at == here.session.expires_at
    assert there.session.authenticated_at == here.session.authenticated_at


async def refused(answer: Answer, words: str = "did not finish") -> bool:
    return answer.status == 403 and words in answer.text and "gateway" not in answer.cookies


async def test_ticket_is_refused_a_second_time(world: World, browser: Browser) -> None:
    await browser.sign_in()
    callback = await to_callback(browser)
    assert (await browser.get(callback)).status == 303
    answer = await browser.get(callback)
    assert await refused(answer)
    assert 'href="/.gateway/start?rd=%2Fdocs%3Fpage%3D2"' in answer.text


async def test_ticket_is_refused_in_another_browser_and_spent_by_the_attempt(
    world: World, browser: Browser, stranger: Browser
) -> None:
    await browser.sign_in()
    callback = await to_callback(browser)
    assert await refused(await stranger.get(callback), "kept no cookie")
    await stranger.get(world.url(APP, "/.gateway/start?rd=/"))
    assert await refused(await stranger.get(callback))
    assert await refused(await browser.get(callback))
    assert await world.count() == 1


async def test_ticket_that_a_stranger_asked_for_opens_nothing(
    world: World, browser: Browser, stranger: Browser
) -> None:
    await browser.sign_in()
    started = await stranger.get(world.url(APP, "/.gateway/start?rd=/"))
    lured = await browser.get(started.location)  # the stranger sends ann to the portal with a challenge of theirs
    assert await refused(await browser.get(lured.location), "kept no cookie")
    await browser.get(world.url(APP, "/.gateway/start?rd=/"))
    lured = await browser.get(started.location)
    assert await refused(await browser.get(lured.location))
    assert await refused(await stranger.get(lured.location))  # spent in ann's browser


async def test_ticket_is_refused_on_another_host(world: World, browser: Browser) -> None:
    await browser.sign_in()
    nonce_here = (await browser.get(world.url("127.0.0.1", "/.gateway/start"))).cookies["gateway-nonce"].value
    browser.jar[APP] = {"gateway-nonce": nonce_here}
    callback = await to_callback(browser)
    moved = callback.replace(f"//{APP}:", "//127.0.0.1:")
    assert moved != callback
    assert await refused(await browser.get(moved))


async def test_ticket_is_refused_after_a_minute(world: World, browser: Browser) -> None:
    await browser.sign_in()
    callback = await to_callback(browser)
    world.clock.advance(61)
    assert await refused(await browser.get(callback))


@pytest.mark.parametrize("ending", ["logout", "disabled"])
async def test_ticket_is_refused_when_the_login_has_ended(world: World, browser: Browser, ending: str) -> None:
    await browser.sign_in()
    callback = await to_callback(browser)
    if ending == "logout":
        await browser.submit("/logout", {})
    else:
        await world.users.change(world.ann.id, Changes(is_active=False))
    assert await refused(await browser.get(callback))


@pytest.mark.parametrize("ticket", ["", "short", "A" * 43, "A" * 44, "%00" * 43, "%ED%A0%80" * 43, "ä" * 43])
async def test_made_up_ticket_is_refused(world: World, browser: Browser, ticket: str) -> None:
    await browser.get(world.url(APP, "/.gateway/start"))
    assert await refused(await browser.get(world.url(APP, f"/.gateway/callback?ticket={ticket}&rd=/")))


async def test_two_tabs_share_nonce_and_session(world: World, browser: Browser) -> None:
    await browser.sign_in()
    first = await to_callback(browser, path="/one")
    nonce = browser.jar[APP]["gateway-nonce"]
    second = await to_callback(browser, path="/two")
    assert browser.jar[APP]["gateway-nonce"] == nonce
    assert (await browser.get(first)).location == "/one"
    kept = browser.secret(APP)
    answer = await browser.get(second)
    assert answer.location == "/two"
    assert browser.secret(APP) == kept
    assert await world.count() == 2  # the portal's and this host's


async def test_hand_over_of_another_login_replaces_the_host_s_session(world: World, browser: Browser) -> None:
    await browser.sign_in()
    await browser.get(await to_callback(browser))
    before = browser.secret(APP)
    del browser.jar["localhost"]
    await browser.sign_in()
    await browser.get(await to_callback(browser))
    after = browser.secret(APP)
    assert after not in {None, before}
    assert await world.sessions.find(before or "", APP) is None


async def test_start_keeps_the_nonce_on_its_host(world: World, browser: Browser) -> None:
    answer = await browser.get(world.url(APP, "/.gateway/start?rd=/docs"))
    cookie = answer.cookies["gateway-nonce"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"], cookie["domain"]) == (True, "Lax", "/", "")
    query = parse_qs(urlsplit(answer.location).query)
    assert query == {"rd": [world.url(APP, "/docs")], "handover": [challenge_of(cookie.value)]}
    assert cookie.value not in answer.location


@pytest.mark.parametrize(
    ("rd", "path"),
    [
        ("/docs?a=b&c=%26", "/docs?a=b&c=%26"),
        ("http://app.localhost:{port}/docs", "/docs"),
        ("http://localhost:{port}/docs", "/"),
        ("https://app.localhost:{port}/docs", "/"),
        ("https://evil.example/", "/"),
        ("//evil.example/", "/"),
        ("/.gateway/sign_out", "/"),
        ("/\\evil.example", "/"),
        ("", "/"),
    ],
)
async def test_hand_over_leads_to_its_own_host_only(world: World, browser: Browser, rd: str, path: str) -> None:
    await browser.sign_in()
    rd = quote(rd.format(port=world.port), safe="")
    started = await browser.get(world.url(APP, f"/.gateway/start?rd={rd}"))
    callback = (await browser.get(started.location)).location
    assert (await browser.get(callback)).location == path
    ticket = parse_qs(urlsplit(await to_callback(browser)).query)["ticket"][0]
    assert (await browser.get(world.url(APP, f"/.gateway/callback?ticket={ticket}&rd={rd}"))).location == path


async def test_start_on_the_portal_s_host_is_the_login_page(world: World, browser: Browser) -> None:
    answer = await browser.get("/.gateway/start?rd=/reports")
    assert answer.location == world.url("localhost", "/login?rd=") + quote(world.url("localhost", "/reports"), safe="")


async def test_host_that_no_route_names_has_no_hand_over(world: World, browser: Browser) -> None:
    answer = await browser.get(world.url("other.localhost", "/.gateway/start"))
    assert answer.status == 404
    assert not answer.cookies


@pytest.mark.parametrize("challenge", ["", "A" * 42, "A" * 44, "=" * 43, "!" * 43, "ä" * 43, None])
def test_malformed_challenge_is_none(challenge: str | None) -> None:
    assert read_challenge(challenge) is None


async def test_malformed_challenge_gets_no_ticket(world: World, browser: Browser) -> None:
    await browser.sign_in()
    rd = quote(world.url(APP, "/docs"), safe="")
    answer = await browser.get(f"/login?rd={rd}&handover=nonsense")
    assert urlsplit(answer.location).path == "/.gateway/start"
    assert await world.count("login_ticket") == 0


async def test_foreign_origin_is_reached_without_a_ticket(portals: Portals, client: aiohttp.ClientSession) -> None:
    world = await portals.open(login={"return_origins": ["https://spa.example"]})
    browser = Browser(world, client)
    answer = await browser.sign_in("/login?rd=https%3A%2F%2Fspa.example%2Fdone&handover=" + "A" * 43)
    assert answer.location == "https://spa.example/done"
    assert await world.count("login_ticket") == 0


async def test_activity_on_one_host_keeps_the_portal_s_session(world: World, browser: Browser) -> None:
    await browser.sign_in()
    await browser.get(await to_callback(browser))
    there = await world.sessions.find(browser.secret(APP) or "", APP)
    assert there is not None
    for _ in range(3):
        world.clock.advance(6 * 3600)
        await world.sessions.touch([there.session.id])
    here = await world.sessions.find(browser.secret("localhost") or "", "localhost")
    assert here is not None
    assert here.session.seen_at == here.session.created_at
    assert (await browser.get(world.url("127.0.0.1", "/.gateway/start"))).status == 302


async def test_ticket_of_another_form_costs_no_query(world: World, browser: Browser) -> None:
    await browser.get(world.url(APP, "/.gateway/start"))
    await world.database.close()
    assert await refused(await browser.get(world.url(APP, "/.gateway/callback?ticket=" + "%F0" * 43)))
    answer = await browser.get(world.url(APP, "/.gateway/callback?ticket=" + "A" * 43))
    assert answer.status == 503
