"""Every page, as people meet it: no barrier that axe-core knows, in light and in dark, on a phone and on a desk.

By keyboard and without JavaScript, too.

With ``SCREENSHOTS`` set (``make screenshots``) the walk takes the pictures of docs/accounts/pages.md as well.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import pytest
from playwright.async_api import Browser as Chromium

import gateway.web
from gateway.web.pages import Pages
from tests.web.chromium import needs_chromium, opened
from tests.web.portal import Portals
from tests.web.walk.accessibility import COLOURS, barriers
from tests.web.walk.hand import clumsy
from tests.web.walk.keyboard import lost
from tests.web.walk.pictures import DESK, DOCUMENT, LOOKS, PHONE, PICTURES, document, picture_of, take
from tests.web.walk.stations import CHAPTERS, Chapter
from tests.web.walk.walker import Walker, lived_in

TEMPLATES = Path(gateway.web.__file__).parent / "templates"
SCHEMES: Final[tuple[tuple[Literal["light", "dark"], tuple[str, ...]], ...]] = (("light", ()), ("dark", COLOURS))


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the names of the templates that are drawn."""
    names: list[str] = []
    render = Pages.render

    def remembering(pages: Pages, name: str, **values: Any) -> Any:
        names.append(name)
        return render(pages, name, **values)

    monkeypatch.setattr(Pages, "render", remembering)
    return names


def test_every_template_is_a_station() -> None:
    whole = {path.stem for path in TEMPLATES.glob("*.html") if "{% block content %}" in path.read_text()} - {
        "base",
        "console",
    }
    assert whole == {station.template for chapter in CHAPTERS for station in chapter.stations}


def test_every_station_is_shown() -> None:
    pictures = {picture_of(station, look) for chapter in CHAPTERS for station in chapter.stations for look in LOOKS}
    assert pictures == set(PICTURES.iterdir())
    assert DOCUMENT.read_text(encoding="utf-8") == document()


def test_pictures_stay_small() -> None:
    assert {picture.name: size for picture in PICTURES.iterdir() if (size := picture.stat().st_size) > 60_000} == {}


@needs_chromium
@pytest.mark.timeout(180)
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.title)
async def test_no_page_has_a_barrier(walker: Walker, drawn: list[str], chapter: Chapter) -> None:
    page, found = walker.page, list[str]()
    for station in chapter.stations:
        await station.reach(walker)
        assert drawn[-1:] == [station.template], station.name
        if station.name.endswith("-refused") and await page.evaluate("document.activeElement.id") != "errors":
            found.append(f"{station.name}: what is wrong has no focus")
        if os.environ.get("SCREENSHOTS"):
            await take(page, station)
        await page.set_viewport_size(DESK)
        found += [f"{station.name}, by keyboard: {each}" for each in await lost(page)]
        for scheme, rules in SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            for size in (DESK, PHONE):
                await page.set_viewport_size(size)
                found += [f"{station.name}, {scheme}, {size['width']}: {each}" for each in await barriers(page, *rules)]
        found += [f"{station.name}: {each}" for each in await clumsy(page)]
        if isinstance(station.way, str):
            await page.set_extra_http_headers({"Accept-Language": "de"})
            await page.reload()
            found += [f"{station.name}, in German: {each}" for each in await clumsy(page)]
            await page.set_extra_http_headers({})
            await page.reload()
    assert not found, "\n".join(found)


@needs_chromium
@pytest.mark.timeout(180)
async def test_every_page_is_there_without_javascript(
    portals: Portals, client: aiohttp.ClientSession, chromium: Chromium, drawn: list[str]
) -> None:
    async with opened(chromium, viewport=PHONE, java_script_enabled=False) as page:
        walker = await lived_in(portals, client, page)
        for station in (station for chapter in CHAPTERS for station in chapter.stations):
            await station.reach(walker)
            assert drawn[-1:] == [station.template], station.name
            for control in await page.locator("[data-copy], #show, #passkey").all():
                assert not await control.is_visible(), station.name
