"""What every page carries: escaped, self-contained, never cached, never framed."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

import gateway.web
from gateway.problem import Problem
from gateway.web.error_words import words_for
from gateway.web.moments import ago, days, moment, wait
from tests.web.portal import REFERENCE, Browser, Portals, World

PAGES = ["/login", "/login?rd=/x", "/register", "/logout", "/error/404", "/.gateway/callback", "/.gateway/sign_out"]
WEB = Path(gateway.web.__file__).parent


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_has_the_headers(browser: Browser, path: str) -> None:
    headers = (await browser.get(path)).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    policy = headers["Content-Security-Policy"]
    for directive in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"):
        assert directive in policy
    assert "unsafe" not in policy
    assert "*" not in policy


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_is_self_contained(browser: Browser, path: str) -> None:
    answer = await browser.get(path)
    nonces = re.findall(r'nonce="([^"]+)"', answer.text)
    assert set(nonces) == set(re.findall(r"'nonce-([^']+)'", answer.headers["Content-Security-Policy"]))
    assert len(re.findall(r"<(?:style|script)", answer.text)) == len(nonces)
    assert not re.search(r"<[^>]+ (?:src|style|on\w+)=|@import|url\(", answer.text)
    assert re.findall(r'<link rel="(\w+)" href="(\w+):', answer.text) == [("icon", "data")]


async def test_nonce_is_new_for_each_response(browser: Browser) -> None:
    policies = {(await browser.get("/login")).headers["Content-Security-Policy"] for _ in range(3)}
    assert len(policies) == 3


@pytest.mark.parametrize(
    ("rd", "sources"),
    [
        ("http://app.localhost:{port}/x", "'self' http://app.localhost:{port}"),
        ("/x", "'self' http://localhost:{port}"),
        ("https://evil.example/", "'self'"),
        ("", "'self'"),
    ],
)
async def test_form_action_names_where_this_form_leads(world: World, browser: Browser, rd: str, sources: str) -> None:
    answer = await browser.get(f"/login?rd={rd.format(port=world.port)}")
    assert f"form-action {sources.format(port=world.port)};" in answer.headers["Content-Security-Policy"]


async def test_stylesheet_stays_small_and_readable() -> None:
    style = (WEB / "style.css").read_text()
    assert len(style) < 8 * 1024
    for query in ("prefers-color-scheme: dark", "forced-colors: active", "prefers-reduced-motion", "max-width"):
        assert query in style


def luminance(colour: str) -> float:
    digits = colour.removeprefix("#")
    digits = "".join(digit * 2 for digit in digits) if len(digits) == 3 else digits
    channels = [int(digits[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("scheme", [0, 1], ids=["light", "dark"])
@pytest.mark.parametrize(
    ("text", "ground", "least"),
    [
        ("ink", "ground", 7),
        ("ink", "card", 7),
        ("ink", "wrong-ground", 7),
        ("ink", "line", 4.5),
        ("soft", "card", 4.5),
        ("soft", "ground", 4.5),
        ("accent", "card", 4.5),
        ("accent", "ground", 4.5),
        ("on-accent", "accent", 4.5),
        ("on-accent", "accent-strong", 4.5),
        ("wrong", "card", 4.5),
        ("edge", "card", 3),  # what bounds an input (WCAG 2.2, 1.4.11)
    ],
)
def test_colours_can_be_told_apart(scheme: int, text: str, ground: str, least: float) -> None:
    palettes = re.findall(r":root \{(.*?)\}", (WEB / "style.css").read_text(), re.DOTALL)
    palette = dict(re.findall(r"--([\w-]+): (#\w+);", palettes[scheme]))
    assert contrast(palette[text], palette[ground]) >= least


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 429, 431, 500, 502, 503, 504, 418])
async def test_error_page_has_words_and_the_reference(browser: Browser, status: int) -> None:
    answer = await browser.get(f"/error/{status}")
    assert answer.status == status
    assert answer.headers["X-Request-Id"] == REFERENCE
    assert f"<code>{REFERENCE}</code>" in answer.text
    heading = re.search(r"<h1>(.+)</h1>", answer.text)
    assert heading
    assert str(status) not in heading[1]


async def test_error_page_offers_the_way_on(world: World, browser: Browser) -> None:
    here = f"http%3A%2F%2Fapp.localhost%3A{world.port}%2Ferror%2F"
    unauthenticated = await browser.get(world.url("app.localhost", "/error/401"))
    assert f'href="http://localhost:{world.port}/login?rd={here}401"' in unauthenticated.text
    forbidden = await browser.get(world.url("app.localhost", "/error/403"))
    assert f'href="http://localhost:{world.port}/logout?rd={here}403"' in forbidden.text
    down = await browser.get(world.url("app.localhost", "/error/502"))
    assert f'href="http://app.localhost:{world.port}/error/502"' in down.text
    posted = await browser.send("POST", world.url("app.localhost", "/error/502"))
    assert "Try again</a>" not in posted.text


async def test_error_page_survives_what_cannot_be_read(browser: Browser) -> None:
    answer = await browser.send("GET", "/error/400", {"Host": "bad host!"})
    assert "This address cannot be opened" in answer.text


def test_unknown_problem_says_its_own_detail() -> None:
    assert words_for(Problem(418, "teapot", "Short and stout.")).sentence == "Short and stout."


async def test_program_gets_problem_json(browser: Browser) -> None:
    answer = await browser.send("POST", "/login", {"Accept": "application/json", "Content-Type": "text/plain"}, b"x")
    assert answer.status == 400
    assert answer.headers["Content-Type"].startswith("application/problem+json")


async def test_brand_is_escaped_text(portals: Portals, client: aiohttp.ClientSession) -> None:
    world = await portals.open(branding={"name": "<b>Ann & Bob</b>"})
    answer = await Browser(world, client).get("/login")
    assert "&lt;b&gt;Ann &amp; Bob&lt;/b&gt;" in answer.text
    assert "<b>Ann" not in answer.text


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (1, "a few seconds"),
        (11, "a minute"),
        (60, "a minute"),
        (61, "2 minutes"),
        (900, "15 minutes"),
        (7200, "2 hours"),
    ],
)
def test_waits_are_said_in_words(seconds: int, words: str) -> None:
    assert wait(seconds) == words


@pytest.mark.parametrize(
    ("seconds", "words"), [(86400, "1 day"), (30 * 86400, "30 days"), (43200, "12 hours"), (60, "1 hour")]
)
def test_lifetimes_are_said_in_words(seconds: int, words: str) -> None:
    assert days(seconds) == words


NOW = datetime(2026, 5, 20, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "just now"),
        (59, "just now"),
        (60, "1 minute ago"),
        (3599, "59 minutes ago"),
        (7300, "2 hours ago"),
        (86400, "1 day ago"),
        (29 * 86400, "29 days ago"),
        (30 * 86400, "20 April 2026"),
    ],
)
def test_past_is_said_in_words(seconds: int, words: str) -> None:
    assert ago(NOW - timedelta(seconds=seconds), NOW) == words


def test_moment_tells_the_exact_time_to_who_asks() -> None:
    drawn = moment(NOW - timedelta(hours=1), NOW)
    assert 'datetime="2026-05-20T11:00:00+00:00" title="20 May 2026, 11:00 UTC">1 hour ago<' in drawn
