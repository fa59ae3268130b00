"""Only our own pages can send our forms."""

from __future__ import annotations

import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given
from hypothesis import strategies as st

from gateway.web.cookies import Cookies
from gateway.web.csrf import Csrf, sent_by
from tests.web.portal import PASSWORD, Browser, World

GOOD = {"username": "ann", "password": PASSWORD}
COOKIE = Cookies.named(secure=False).form
CSRF = Csrf(b"k" * 32, COOKIE)


async def test_login_needs_the_token_of_the_same_browser(world: World, browser: Browser, stranger: Browser) -> None:
    token = (await stranger.get("/login")).token
    assert (await browser.send("POST", "/login", data={"csrf_token": token, **GOOD})).status == 403
    own = await browser.get("/login")
    assert (await browser.send("POST", "/login", data={"csrf_token": token, **GOOD})).status == 403
    assert await world.count() == 0
    assert (await browser.send("POST", "/login", data={"csrf_token": own.token, **GOOD})).status == 303


async def test_expired_form_keeps_the_name_and_works_the_next_time(browser: Browser) -> None:
    answer = await browser.send("POST", "/login?rd=/reports", data=GOOD)
    assert answer.status == 403
    assert "open for too long" in answer.text
    assert 'value="ann"' in answer.text
    assert PASSWORD not in answer.text
    again = await browser.send("POST", "/login?rd=/reports", data={"csrf_token": answer.token, **GOOD})
    assert again.status == 303


async def test_forms_in_several_tabs_all_work(browser: Browser) -> None:
    first, second = await browser.get("/login"), await browser.get("/login")
    assert first.token != second.token
    for page in (second, first):
        assert (await browser.send("POST", "/login", data={"csrf_token": page.token, **GOOD})).status == 303


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Sec-Fetch-Site": "same-origin"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://localhost"}, 303),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "http://localhost.evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://[broken"}, 403),
    ],
)
async def test_login_sent_by_another_site_is_refused(browser: Browser, headers: dict[str, str], status: int) -> None:
    page = await browser.get("/login")
    answer = await browser.send("POST", "/login", headers, {"csrf_token": page.token, **GOOD})
    assert answer.status == status


def test_port_of_the_origin_is_not_compared() -> None:
    assert sent_by(make_mocked_request("POST", "/login", {"Origin": "http://localhost:8443"}), "localhost")


@given(form=st.text(max_size=20), token=st.text(max_size=80) | st.text("A-Za-z0-9_-=", min_size=64, max_size=64))
def test_made_up_token_never_holds(form: str, token: str) -> None:
    request = make_mocked_request("POST", "/login")
    assert not CSRF.holds(request, "localhost", form, "secret", token)


def test_token_holds_for_its_form_and_secret_alone() -> None:
    request = make_mocked_request("POST", "/login")
    token = CSRF.token("login", "secret")
    assert CSRF.holds(request, "localhost", "login", "secret", token)
    assert not CSRF.holds(request, "localhost", "logout", "secret", token)
    assert not CSRF.holds(request, "localhost", "login", "other", token)
    assert not Csrf(b"j" * 32, COOKIE).holds(request, "localhost", "login", "secret", token)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("gateway-form=" + "A" * 43, "A" * 43),
        ("a=b; gateway-form=" + "A" * 43 + "; c=d", "A" * 43),
        ("gateway-form=" + "A" * 43 + "; gateway-form=" + "B" * 43, None),
        ("xgateway-form=" + "A" * 43, None),
        ("gateway-form=" + "A" * 42, None),
        ("gateway-form=" + "A" * 42 + "ä", None),
        ("gateway-form=", None),
        ("", None),
    ],
)
def test_cookie_is_read_when_there_is_exactly_one_of_our_form(header: str, value: str | None) -> None:
    assert COOKIE.read(make_mocked_request("GET", "/", {"Cookie": header})) == value
