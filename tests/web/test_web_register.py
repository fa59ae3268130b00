"""Making an account for oneself."""

from __future__ import annotations

import aiohttp
import pytest

from tests.web.portal import PASSWORD, Browser, Portals, World

BEA = {"username": "bea", "email": "bea@example.com", "password": PASSWORD}


async def test_new_account_is_signed_in_and_led_on(world: World, browser: Browser) -> None:
    answer = await browser.submit("/register?rd=/reports", BEA)
    assert (answer.status, answer.location) == (303, world.url("localhost", "/reports"))
    assert "Hello bea" in (await browser.get("/reports")).text
    bea = await world.users.get("bea")
    assert (bea.email, bea.roles, bea.last_login) == ("bea@example.com", ("user",), world.clock.now())


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"username": "ann"}, "This username is taken."),
        ({"email": "ANN@example.com"}, "This e-mail address is taken."),
        ({"username": "a b"}, "The username must be 1 to 64 letters"),
        ({"email": "nonsense"}, "This must be an e-mail address"),
        ({"password": "short"}, "The password must have at least 8 characters."),
        ({"username": "", "email": "", "password": ""}, "Please look at these again:"),
    ],
)
async def test_refused_fields_are_named_and_what_was_typed_stays(
    world: World, browser: Browser, changed: dict[str, str], words: str
) -> None:
    answer = await browser.submit("/register", {**BEA, **changed})
    assert answer.status == 400
    assert words in answer.text
    assert 'aria-invalid="true"' in answer.text
    for field in ("username", "email"):
        assert f'value="{ {**BEA, **changed}[field] }"' in answer.text
    assert f'value="{PASSWORD}"' not in answer.text
    assert await world.count("account") == 1


async def test_fields_that_a_form_does_not_have_give_nothing(world: World, browser: Browser) -> None:
    await browser.submit("/register", {**BEA, "roles": "admin", "is_admin": "true", "is_verified": "true"})
    bea = await world.users.get("bea")
    assert (bea.roles, bea.is_verified) == (("user",), False)


async def test_closed_registration_has_no_page_no_link_and_no_post(
    portals: Portals, client: aiohttp.ClientSession
) -> None:
    world = await portals.open(registration={"enabled": False})
    browser = Browser(world, client)
    login = await browser.get("/login")
    assert "/register" not in login.text
    for answer in (
        await browser.get("/register"),
        await browser.send("POST", "/register", data={"csrf_token": login.token, **BEA}),
    ):
        assert answer.status == 403
        assert "Accounts are by invitation" in answer.text
    assert await world.count("account") == 1


async def test_account_that_must_be_verified_first_is_not_signed_in(
    portals: Portals, client: aiohttp.ClientSession
) -> None:
    world = await portals.open(registration={"require_verified_email": True})
    browser = Browser(world, client)
    answer = await browser.submit("/register", BEA)
    assert "has to be confirmed" in answer.text
    assert browser.secret() is None
    assert await world.count() == 0


async def test_registration_without_its_token_makes_nothing(world: World, browser: Browser) -> None:
    login_token = (await browser.get("/login")).token
    for token in ("", login_token):
        answer = await browser.send("POST", "/register", data={"csrf_token": token, **BEA})
        assert answer.status == 403
    assert await world.count("account") == 1


async def test_one_address_does_not_register_without_end(portals: Portals, client: aiohttp.ClientSession) -> None:
    world = await portals.open(login={"per_ip": 3})
    answers = []
    for n in range(4):
        fields = {"username": f"n{n}", "email": f"n{n}@example.com", "password": PASSWORD}
        answers.append(await Browser(world, client).submit("/register", fields))
    assert [answer.status for answer in answers] == [303, 303, 303, 429]
    assert answers[-1].headers["Retry-After"] == "900"
    assert "Many accounts were made" in answers[-1].text
