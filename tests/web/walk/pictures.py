"""Pictures of pages: on a desk, on a phone, and in the dark. And the page of the documentation that shows them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from PIL import Image
from playwright.async_api import Page, ViewportSize

from tests.web.walk.stations import CHAPTERS, Station

ROOT: Final = Path(__file__).parents[3]
PICTURES: Final = ROOT / "docs/screenshots"
DOCUMENT: Final = ROOT / "docs/accounts/pages.md"
DESK: Final[ViewportSize] = {"width": 1280, "height": 720}
PHONE: Final[ViewportSize] = {"width": 390, "height": 780}
# What the pictures of a page are called, and how wide the documentation shows each.
LOOKS: Final = {"desktop": 480, "dark": 480, "phone": 146}
_COLOURS: Final = 96  # are enough for flat grounds and smooth letters
_INTRODUCTION: Final = """\
# Every page, shown

What people see, on a desk, in the dark and on a phone. A test holds this list complete, looks at every page of it with
[axe-core](https://github.com/dequelabs/axe-core), and takes these pictures: `make screenshots` takes them anew.
"""


async def take(page: Page, station: Station) -> None:
    """Take the pictures of the page that is open."""
    PICTURES.mkdir(exist_ok=True)
    for look in LOOKS:
        await page.emulate_media(color_scheme="dark" if look == "dark" else "light")
        await page.set_viewport_size(PHONE if look == "phone" else DESK)
        await page.evaluate("window.scrollTo(0, 0)")
        shot = await page.screenshot(full_page=True, animations="disabled")
        picture = (
            Image.open(io.BytesIO(shot))
            .convert("RGB")
            .quantize(_COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
        )
        picture.save(picture_of(station, look), optimize=True)


def picture_of(station: Station, look: str) -> Path:
    return PICTURES / f"{station.name}-{look}.png"


def document() -> str:
    """Return the page of the documentation that shows all pictures."""
    parts = [_INTRODUCTION]
    for chapter in CHAPTERS:
        parts.append(f"## {chapter.title}\n")
        parts += [f"### {station.says}\n\n{_row(station)}\n" for station in chapter.stations]
    return "\n".join(parts)


def _row(station: Station) -> str:
    return "\n".join(
        f'<img src="../screenshots/{picture_of(station, look).name}" width="{width}" alt="{station.says}, {look}">'
        for look, width in LOOKS.items()
    )


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
