"""The consent page: people are told who asks for what, and nothing but their own click decides."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import unquote

import aiohttp
import pytest

from gateway.oauth.state.registry import Rights
from tests.web.asking import CALLBACK, Asking, consent_page, decide, register, told
from tests.web.portal import PASSWORD, Browser, Portals, World


def read(text: str) -> str:
    """Return a page's words."""
    body = text[text.index("<main") : text.index("</main>")]
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())


async def test_application_is_allowed_and_gets_its_answer(world: World, browser: Browser) -> None:
    wiki = await register(world)
    await browser.sign_in()
    allowed = await decide(browser, wiki.url(), "allow")
    assert allowed.status == 303
    done = await browser.get(allowed.location)
    assert done.location.startswith(f"{CALLBACK}?")
    answer = told(done.location)
    assert answer["code"]
    assert (answer["state"], answer["iss"]) == ("s t/a", world.settings.issuer)


async def test_what_was_agreed_to_is_not_asked_again_and_more_is(world: World, browser: Browser) -> None:
    wiki = await register(world)
    await browser.sign_in()
    allowed = await decide(browser, wiki.url("openid profile"), "allow")
    await browser.get(allowed.location)
    assert (await browser.get(wiki.url("openid"))).location.startswith(CALLBACK)
    await consent_page(browser, wiki.url("openid email"))
    await consent_page(browser, wiki.url("openid", claims='{"userinfo": {"roles": null}}'))
    await consent_page(browser, wiki.url("openid", prompt="consent"))


async def test_application_is_told_that_it_was_denied(world: World, browser: Browser) -> None:
    wiki = await register(world)
    await browser.sign_in()
    denied = await decide(browser, wiki.url(), "deny")
    answer = told(denied.location)
    assert denied.location.startswith(f"{CALLBACK}?")
    assert (answer["error"], answer["state"], answer["iss"]) == ("access_denied", "s t/a", world.settings.issuer)
    assert await world.count("oauth_consent") == 0
    assert await world.count("refresh_family") == 0


async def test_page_asks_to_sign_in_first(world: World, browser: Browser) -> None:
    wiki = await register(world)
    await browser.sign_in()
    path, _ = await consent_page(browser, wiki.url())
    browser.jar.clear()
    answer = await browser.get(path)
    assert answer.location.startswith("/login?rd=")
    done, way = await browser.follow(await browser.sign_in(answer.location))
    assert unquote(way[-1]) == unquote(world.url("localhost", path))
    assert "Allow Wiki to use your account?" in read(done.text)


async def test_decision_is_taken_once(world: World, browser: Browser) -> None:
    wiki = await register(world)
    await browser.sign_in()
    path, page = await consent_page(browser, wiki.url())
    form = {"csrf_token": page.token, "decision": "deny"}
    assert (await browser.send("POST", path, {}, form)).status == 303
    again = await browser.send("POST", path, {}, {**form, "decision": "allow"})
    assert (again.status, "answered already" in again.text) == (400, True)
    assert await world.count("oauth_consent") == 0


@pytest.mark.parametrize("decision", ["", "Allow", "yes"])
async def test_anything_but_a_decision_asks_again(world: World, browser: Browser, decision: str) -> None:
    wiki = await register(world)
    await browser.sign_in()
    answer = await decide(browser, wiki.url(), decision)
    assert "Allow Wiki to use your account?" in read(answer.text)
    assert await world.count("oauth_consent") == 0


async def other_request(world: World, browser: Browser, path: str, page: str) -> dict[str, Any]:
    blog = await register(world, "Blog")
    _, other = await consent_page(browser, blog.url())
    return {"data": {"csrf_token": other.token}}


async def other_session(world: World, browser: Browser, path: str, page: str) -> dict[str, Any]:
    await browser.sign_in("/login?prompt=login")
    return {}


async def other_form(world: World, browser: Browser, path: str, page: str) -> dict[str, Any]:
    return {"data": {"csrf_token": (await browser.get("/logout")).token}}


async def other_site(world: World, browser: Browser, path: str, page: str) -> dict[str, Any]:
    return {"headers": {"Sec-Fetch-Site": "cross-site"}}


async def other_origin(world: World, browser: Browser, path: str, page: str) -> dict[str, Any]:
    return {"headers": {"Origin": "https://evil.example"}}


async def no_token(world: World, browser: Browser, path: str, page: str) -> dict[str, Any]:
    return {"data": {"csrf_token": ""}}


@pytest.mark.parametrize(
    "change",
    [other_request, other_session, other_form, other_site, other_origin, no_token],
    ids=lambda each: each.__name__,
)
async def test_form_of_anything_else_decides_nothing(world: World, browser: Browser, change: Any) -> None:
    wiki = await register(world)
    await browser.sign_in()
    path, page = await consent_page(browser, wiki.url())
    changed = await change(world, browser, path, page.text)
    data = {"csrf_token": page.token, "decision": "allow", **changed.get("data", {})}
    answer = await browser.send("POST", path, changed.get("headers"), data)
    assert (answer.status, "This page has expired" in answer.text) == (403, True)
    assert await world.count("oauth_consent") == 0


async def test_what_grew_meanwhile_has_not_been_agreed_to(world: World, browser: Browser) -> None:
    """A request without a scope means what its client is registered for, and clients may register themselves anew."""
    wiki = await register(world, scope="openid", by_itself=True)
    await browser.sign_in()
    path, page = await consent_page(browser, wiki.url(scope=""))
    await grow(world, wiki, scope="openid email roles offline_access")
    answer = await browser.send("POST", path, {}, {"csrf_token": page.token, "decision": "allow"})
    assert (answer.status, "This page has expired" in answer.text) == (403, True)
    assert await world.count("oauth_consent") == 0


async def test_what_grows_before_the_answer_is_asked_for_anew(world: World, browser: Browser) -> None:
    wiki = await register(world, scope="openid", by_itself=True)
    await browser.sign_in()
    allowed = await decide(browser, wiki.url(scope=""), "allow")
    await grow(world, wiki, scope="openid email roles offline_access")
    path, page = await consent_page(browser, allowed.location)
    assert "ann@example.com" in read(page.text)
    assert await world.count("refresh_family") == 0
    allowed = await browser.send("POST", path, {}, {"csrf_token": page.token, "decision": "allow"})
    assert (await browser.get(allowed.location)).location.startswith(CALLBACK)


async def grow(world: World, asking: Asking, **metadata: Any) -> None:
    """Do what a client may do by itself (RFC 7592 section 2.2)."""
    await world.registry.change(asking.client.id, metadata={**asking.client.metadata, **metadata})


@pytest.mark.parametrize("request_uri", ["", "urn:ietf:params:oauth:request_uri:" + "x" * 43, "\0", "x" * 5000])
async def test_unknown_request_is_a_page(browser: Browser, request_uri: str) -> None:
    await browser.sign_in()
    answer = await browser.get(f"/oauth/consent?request_uri={request_uri.replace(chr(0), '%00')}")
    assert answer.status == 400
    assert "This cannot go on" in answer.text
    assert "Go back to the application and try again." in answer.text


async def test_page_cannot_be_framed_or_kept(world: World, browser: Browser) -> None:
    wiki = await register(world)
    await browser.sign_in()
    _, page = await consent_page(browser, wiki.url())
    assert page.headers["X-Frame-Options"] == "DENY"
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert page.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("redirect_uri", "metadata", "sources"),
    [
        ("https://app.example.com:8443/cb", {}, "'self' https://app.example.com:8443"),
        ("http://127.0.0.1:53411/cb", {}, "'self' http://127.0.0.1:53411"),
        ("http://[::1]:53411/cb", {}, "'self' http:"),
        ("com.example.app:/cb", {}, "'self' com.example.app:"),
        (
            "https://app.example.com/cb",
            {"client_uri": "https://www.example.com/"},
            "'self' https://app.example.com https://www.example.com",
        ),
    ],
    ids=["https", "loopback", "ipv6", "own scheme", "homepage elsewhere"],
)
async def test_policy_lets_the_answer_through(
    world: World, browser: Browser, redirect_uri: str, metadata: dict[str, Any], sources: str
) -> None:
    asking = await register(world, redirect_uris=[redirect_uri], **metadata)
    login = await browser.get((await browser.get(asking.url())).location)
    policy = login.headers["Content-Security-Policy"]
    assert (
        f"form-action 'self' http://localhost:{world.port} {sources.removeprefix(chr(39) + 'self' + chr(39) + ' ')};"
        in policy
    )
    await browser.sign_in()
    _, page = await consent_page(browser, asking.url())
    assert f"form-action {sources};" in page.headers["Content-Security-Policy"]


@pytest.mark.parametrize(
    ("redirect_uri", "words"),
    [
        ("https://app.example.com/cb", "return to app.example.com"),
        ("http://localhost:8000/cb", "return to a program on this computer"),
        ("com.example.app:/cb", "return to an application on this device"),
    ],
)
async def test_page_says_where_the_answer_goes(world: World, browser: Browser, redirect_uri: str, words: str) -> None:
    asking = await register(world, redirect_uris=[redirect_uri])
    await browser.sign_in()
    _, page = await consent_page(browser, asking.url())
    assert words in read(page.text)


@pytest.mark.parametrize(
    ("scope", "more", "rights", "words"),
    [
        ("openid", {}, Rights(), ["Recognise you when you come back"]),
        ("profile email", {}, Rights(), ["See your name and username ann", "See your e-mail address ann@example.com"]),
        ("roles", {}, Rights(), ["See your roles user"]),
        ("openid docs:read", {}, Rights(), ["Read your documents"]),
        ("openid", {"claims": '{"id_token": {"email_verified": null}}'}, Rights(), ["See whether your e-mail address"]),
        ("openid", {}, Rights(opens_routes=True), ["Open the applications behind Acme as you, with your roles"]),
        (
            "openid offline_access",
            {},
            Rights(),
            ["Also while you are away: until you take it back, for 30 days at most"],
        ),
        ("openid", {}, Rights(), ["Until you sign out, for 30 days at most"]),
    ],
)
async def test_page_says_what_the_application_gets(
    portals: Portals, client: aiohttp.ClientSession, scope: str, more: dict[str, str], rights: Rights, words: list[str]
) -> None:
    world = await portals.open(oauth={"scopes": {"docs:read": "Read your documents"}})
    browser = Browser(world, client)
    asking = await register(world, rights=rights)
    await browser.sign_in()
    _, page = await consent_page(browser, asking.url(scope, **more))
    for each in words:
        assert each in read(page.text)
    if not rights.opens_routes:
        assert "Open the applications" not in page.text


async def test_registered_by_an_administrator_needs_no_caution(world: World, browser: Browser) -> None:
    asking = await register(world)
    await browser.sign_in()
    _, page = await consent_page(browser, asking.url())
    assert "has not checked it" not in page.text


@pytest.mark.parametrize(
    ("by_itself", "words"),
    [(True, "It registered itself. Acme has not checked it."), (False, "Registered by ann. Acme has not checked it.")],
)
async def test_application_that_nobody_checked_is_marked(
    world: World, browser: Browser, by_itself: bool, words: str
) -> None:
    asking = await register(world, by_itself=by_itself, owner_id=None if by_itself else world.ann.id)
    login = await browser.get((await browser.get(asking.url())).location)
    assert "to continue to Wiki (app.example.com)" in read(login.text)
    await browser.sign_in()
    _, page = await consent_page(browser, asking.url())
    assert words in read(page.text)


async def test_words_of_an_application_are_text_and_its_logo_is_not_loaded(world: World, browser: Browser) -> None:
    metadata: dict[str, Any] = {
        "client_uri": "https://www.example.com/?a=1&b=%22",
        "logo_uri": "https://www.example.com/logo.png",
        "policy_uri": "https://www.example.com/privacy",
        "tos_uri": "https://www.example.com/terms",
    }
    asking = await register(world, "<b>Acme</b>", by_itself=True, **metadata)
    await browser.sign_in()
    _, page = await consent_page(browser, asking.url())
    assert "<b>Acme" not in page.text
    assert "logo.png" not in page.text
    links = re.findall(r'<a href="(https[^"]+)" rel="([^"]+)"', page.text)
    assert {unescape(url) for url, _ in links} == {metadata[each] for each in ("client_uri", "policy_uri", "tos_uri")}
    assert {rel for _, rel in links} == {"noopener noreferrer"}


async def test_login_page_names_the_application(world: World, browser: Browser) -> None:
    wiki = await register(world)
    waiting = (await browser.get(wiki.url())).location
    for path in (waiting, waiting.replace("/login", "/register")):
        page = await browser.get(path)
        assert "to continue to Wiki" in read(page.text)
        assert CALLBACK.removesuffix("/callback") in page.headers["Content-Security-Policy"]


async def test_another_account_can_be_used(world: World, browser: Browser) -> None:
    await world.users.create("bea", "bea@example.com", "correct horse battery")
    wiki = await register(world)
    await browser.sign_in()
    path, page = await consent_page(browser, wiki.url())
    switch = re.search(r'<a class="tall" href="([^"]+)">Use another account', page.text)
    assert switch
    login = await browser.get(unescape(switch[1]))
    assert "You are signed in as ann" in read(login.text)
    assert 'name="username" type="text" value=""' in login.text
    done = await browser.submit(unescape(switch[1]), {"username": "bea", "password": "correct horse battery"})
    shown, way = await browser.follow(done)
    assert unquote(way[-1]) == unquote(world.url("localhost", path))
    assert "You are signed in as bea" in read(shown.text)


@pytest.mark.parametrize(
    ("asked", "heading"),
    [
        ({"prompt": "login"}, "Sign in again"),
        ({"prompt": "select_account"}, "Use another account"),
        ({"max_age": "0"}, "Sign in again"),
    ],
)
async def test_application_asks_to_sign_in_again(
    world: World, browser: Browser, asked: dict[str, str], heading: str
) -> None:
    wiki = await register(world)
    await browser.sign_in()
    world.clock.advance(60)
    answer = await browser.get(wiki.url(login_hint="bea", **asked))
    page = await browser.get(answer.location)
    assert f"<h1>{heading}</h1>" in page.text
    assert 'value="bea"' in page.text
    done = await browser.sign_in(answer.location)
    assert "Allow Wiki to use your account?" in read((await browser.follow(done))[0].text)


@pytest.mark.parametrize(
    ("redirect_uri", "headers", "status"),
    [
        (CALLBACK, {"Sec-Fetch-Dest": "document"}, 200),
        (CALLBACK, {}, 303),
        ("com.example.app:/cb", {"Sec-Fetch-Dest": "document"}, 303),
    ],
    ids=["browser", "program", "own scheme"],
)
async def test_form_ends_before_browsers_go_on(
    world: World, browser: Browser, redirect_uri: str, headers: dict[str, str], status: int
) -> None:
    wiki = await register(world, redirect_uris=[redirect_uri])
    login = (await browser.get(wiki.url())).location
    signed_in = await browser.submit(login, {"username": "ann", "password": PASSWORD}, **headers)
    assert signed_in.status == status
    path, page = await consent_page(browser, wiki.url())
    form = {"csrf_token": page.token, "decision": "deny"}
    denied = await browser.send("POST", path, headers, form)
    assert denied.status == status
    if status == 200:
        assert f'content="0;url=http://localhost:{world.port}/oauth/authorize?' in signed_in.text
        found = re.search(r'content="0;url=(https://[^"]+)"', denied.text)
        assert found
        assert told(unescape(found[1]))["error"] == "access_denied"


async def test_pages_work_below_a_prefix(portals: Portals, client: aiohttp.ClientSession) -> None:
    world = await portals.open(server={"prefix": "/auth"})
    browser = Browser(world, client)
    wiki = await register(world)
    login = (await browser.get(f"/auth{wiki.url()}")).location
    assert "to continue to Wiki" in read((await browser.get(login)).text)
    page, way = await browser.follow(await browser.sign_in(login))
    action = re.search(r'action="([^"]+)"', page.text)
    assert action
    assert way[-1].startswith(world.url("localhost", "/auth/oauth/consent?"))
    form = {"csrf_token": page.token, "decision": "allow"}
    allowed = await browser.send("POST", unescape(action[1]), {}, form)
    assert "code" in told((await browser.get(allowed.location)).location)
    for path in ("/auth/account", "/auth/account/applications", "/auth/oauth/device"):
        shown = await browser.get(path)
        assert shown.status == 200
        links = re.findall(r'(?:href|action)="(/[^"]*)"', shown.text)
        assert links
        assert [link for link in links if not link.startswith("/auth/")] == []
