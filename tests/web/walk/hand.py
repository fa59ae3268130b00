"""Whether a page fits a small phone, and a finger."""

from __future__ import annotations

from typing import Any, Final

from playwright.async_api import Page, ViewportSize

# The narrowest window that WCAG 2.2 section 1.4.10 asks for.
_SMALL: Final[ViewportSize] = {"width": 320, "height": 640}
_FINGER: Final = 44
# A box to tick is as large as its label.
_CONTROLS: Final = "a, button, summary, select, textarea, label.check, input:not([type=checkbox], [type=radio])"
_MEASURE: Final = f"""
(least) => {{
  const seen = [...document.querySelectorAll({_CONTROLS!r})].filter((each) => each.checkVisibility())
  const small = seen.filter((each) => each.getBoundingClientRect().height < least && !each.matches('.skip'))
  return [document.documentElement.scrollWidth, ...small.map((each) => each.outerHTML.slice(0, 120))]
}}
"""


async def clumsy(page: Page) -> list[str]:
    """Look at a page on a small phone. Returns what is too wide for it, and what is too small for a finger."""
    await page.set_viewport_size(_SMALL)
    measured: list[Any] = await page.evaluate(_MEASURE, _FINGER)
    width, small = measured[0], measured[1:]
    wrong = [f"no finger hits {html}" for html in small]
    return wrong if width <= _SMALL["width"] else [*wrong, f"{width} wide in a window of {_SMALL['width']}"]
