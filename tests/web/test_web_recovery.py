"""The pages that links in letters lead to, as a browser without JavaScript opens them."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.web.portal import PASSWORD, Answer, Browser, Portals, World

NEW = "a new good password"
MAIL: dict[str, Any] = {"mail": {"url": "smtp://127.0.0.1:1?tls=none", "from": "wiki@example.com"}}
LINK = re.compile(r"http://localhost:\d+(/\S+\?token=[A-Za-z0-9_-]{43})")


@pytest.fixture
async def world(portals: Portals) -> World:
    return await portals.open(**MAIL)


async def letters(world: World) -> list[tuple[str, str]]:
    """Take every letter that waits: whom it goes to, and the path of its link."""
    found = []
    for waiting in await world.accounts.recovery.postbox.take(100):
        assert waiting.letter is not None
        link = LINK.search(waiting.letter.text)
        found.append((waiting.letter.to, link[1] if link else ""))
        await world.accounts.recovery.postbox.done(waiting)
    return found


async def send(browser: Browser, page: Answer, path: str, **fields: str) -> Answer:
    """Send the form of a page that a link led to, which posts to its address without the secret."""
    token = re.search(r'name="token" value="([^"]*)"', page.text)
    assert token, page.text
    data = {"csrf_token": page.token, "token": token[1], **fields}
    return await browser.send("POST", path.partition("?")[0], data=data)


async def forgot(world: World, browser: Browser, name: str = "ann") -> Answer:
    answer = await browser.submit("/forgot", {"username": name})
    await world.accounts.recovery.forgotten.settled()
    return answer


async def test_a_forgotten_password_is_set_anew(world: World, browser: Browser) -> None:
    assert 'href="/forgot"' in (await browser.get("/login")).text
    answer = await forgot(world, browser)
    assert "Look into your mail" in answer.text
    ((to, path),) = await letters(world)
    assert (to, path[:13]) == ("ann@example.com", "/reset?token=")
    page = await browser.get(path)
    assert page.headers["Referrer-Policy"] == "no-referrer"
    short = await send(browser, page, path, password="short")
    assert short.status == 400
    assert "The password must have at least 8 characters." in short.text
    assert "short" not in short.text.replace("shortcut", "")
    done = await send(browser, short, path, password=NEW)
    assert "Your password is set" in done.text
    assert browser.secret() is None
    assert (await browser.sign_in(password=NEW)).status == 303
    assert (await browser.get(path)).status == 410


async def test_opening_a_link_uses_nothing_up(world: World, browser: Browser) -> None:
    await forgot(world, browser)
    ((_, path),) = await letters(world)
    for _ in range(3):
        assert (await browser.get(path)).status == 200


async def test_everybody_is_answered_alike(world: World, browser: Browser) -> None:
    known, unknown = await forgot(world, browser), await forgot(world, browser, "nobody@example.com")
    assert (known.status, known.text.partition("<body")[2]) == (unknown.status, unknown.text.partition("<body")[2])
    assert len(await letters(world)) == 1


async def test_nothing_of_the_account_is_looked_up_before_the_answer(world: World, browser: Browser) -> None:
    """What takes time only for an account that exists happens when nobody waits for it."""
    page = await browser.get("/forgot")
    answer = await browser.send("POST", "/forgot", data={"csrf_token": page.token, "username": "ann"})
    assert answer.status == 200
    await world.accounts.recovery.forgotten.settled()
    assert len(await letters(world)) == 1


@pytest.mark.parametrize(
    ("fields", "status"),
    [({"username": ""}, 400), ({}, 400), ({"username": "\x00"}, 200), ({"username": "a" * 20_000}, 200)],
)
async def test_strange_names_are_answered(browser: Browser, fields: dict[str, str], status: int) -> None:
    assert (await browser.submit("/forgot", fields)).status == status


async def test_without_mail_the_page_says_whom_to_ask(portals: Portals, browser: Browser) -> None:
    plain = Browser(await portals.open(), browser._client)
    page = await plain.get("/forgot")
    assert "sends no mail" in page.text
    assert "<form" not in page.text


@pytest.mark.parametrize("path", ["/reset", "/verify", "/invite"])
@pytest.mark.parametrize("token", ["", "x", "x" * 43, "%00", "%ff" * 43])
async def test_links_that_are_none_say_so(browser: Browser, path: str, token: str) -> None:
    answer = await browser.get(f"{path}?token={token}")
    assert answer.status == 410
    assert "This link is over" in answer.text


@pytest.mark.parametrize("path", ["/reset", "/verify", "/invite"])
async def test_forms_of_other_sites_change_nothing(world: World, browser: Browser, path: str) -> None:
    recovery = world.accounts.recovery
    url = {
        "/reset": await recovery.forgotten.link(world.ann),
        "/verify": await recovery.verification.link(world.ann),
        "/invite": (await recovery.invitations.invite("bea@example.com")).url,
    }[path]
    token = url.partition("token=")[2]
    data: dict[str, Any] = {"token": token, "username": "bea", "password": NEW, "csrf_token": "x" * 64}
    assert (await browser.send("POST", path, data=data)).status == 403
    assert (await browser.get(f"{path}?token={token}")).status == 200


async def test_a_new_account_confirms_its_address(portals: Portals, browser: Browser) -> None:
    world = await portals.open(**MAIL, registration={"require_verified_email": True})
    visitor = Browser(world, browser._client)
    fields = {"username": "bea", "email": "bea@example.com", "password": PASSWORD}
    made = await visitor.submit("/register", fields)
    assert "We have written to <strong>bea@example.com</strong>" in made.text
    again = await visitor.submit("/register", {**fields, "username": "bea2"})
    assert made.text.partition("<body")[2] == again.text.partition("<body")[2]
    (to, path), (_, login) = await letters(world)
    assert (to, login) == ("bea@example.com", "")
    page = await visitor.get(path)
    assert "bea@example.com" in page.text
    assert "is confirmed" in (await send(visitor, page, path)).text
    signed = await visitor.submit("/login", {"username": "bea", "password": PASSWORD})
    assert signed.status == 303


async def test_a_new_address_is_confirmed_at_both(world: World, browser: Browser) -> None:
    await world.database.execute("update account set is_verified = true")
    ann = await world.users.get("ann")
    await world.accounts.recovery.email_changes.begin(ann, "new@example.com")
    answers = []
    for _, path in await letters(world):
        page = await browser.get(path)
        answers.append((await send(browser, page, path)).text)
    assert "One more answer is missing" in answers[0]
    assert "is confirmed" in answers[1]
    assert (await world.users.get("ann")).email == "new@example.com"


async def test_an_invitation_makes_an_account_and_signs_it_in(world: World, browser: Browser) -> None:
    await world.accounts.recovery.invitations.invite("bea@example.com", ["ops"])
    ((_, path),) = await letters(world)
    page = await browser.get(path)
    assert "bea@example.com" in page.text
    taken = await send(browser, page, path, username="ann", password=NEW)
    assert taken.status == 400
    assert "This username is taken." in taken.text
    done = await send(browser, taken, path, username="bea", password=NEW)
    assert done.status == 303
    owner = await world.sessions.find(browser.secret() or "", "localhost")
    assert owner is not None
    assert (owner.username, owner.email, owner.roles) == ("bea", "bea@example.com", ("ops",))
    assert (await browser.get(path)).status == 410
