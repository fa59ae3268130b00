"""Every page, as people meet it: no barrier that axe-core knows, in light and in dark, on a phone and on a desk."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Final, Literal

import aiohttp
import pytest
from playwright.async_api import Browser as Chromium
from playwright.async_api import ViewportSize

import gateway.web
from gateway.web.pages import Pages
from tests.web.chromium import needs_chromium, opened
from tests.web.portal import Portals
from tests.web.walk.accessibility import COLOURS, barriers
from tests.web.walk.stations import CHAPTERS, Chapter
from tests.web.walk.walker import Walker, lived_in

TEMPLATES = Path(gateway.web.__file__).parent / "templates"
DESK: Final[ViewportSize] = {"width": 1280, "height": 800}
PHONE: Final[ViewportSize] = {"width": 390, "height": 844}
LOOKS: Final[tuple[tuple[Literal["light", "dark"], tuple[str, ...]], ...]] = (("light", ()), ("dark", (COLOURS,)))


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


@pytest.fixture
async def walker(portals: Portals, client: aiohttp.ClientSession, chromium: Chromium) -> AsyncIterator[Walker]:
    async with opened(chromium, viewport=DESK, reduced_motion="reduce") as page:
        yield await lived_in(portals, client, page)


def test_every_template_is_a_station() -> None:
    whole = {path.stem for path in TEMPLATES.glob("*.html") if "{% block content %}" in path.read_text()} - {
        "base",
        "console",
    }
    assert whole == {station.template for chapter in CHAPTERS for station in chapter.stations}


@needs_chromium
@pytest.mark.timeout(180)
@pytest.mark.parametrize("chapter", CHAPTERS, ids=lambda chapter: chapter.title)
async def test_no_page_has_a_barrier(walker: Walker, drawn: list[str], chapter: Chapter) -> None:
    page, found = walker.page, []
    for station in chapter.stations:
        await station.reach(walker)
        assert drawn[-1:] == [station.template], station.name
        for scheme, rules in LOOKS:
            await page.emulate_media(color_scheme=scheme)
            for size in (DESK, PHONE):
                await page.set_viewport_size(size)
                found += [f"{station.name}, {scheme}, {size['width']}: {each}" for each in await barriers(page, *rules)]
    assert not found, "\n".join(found)
