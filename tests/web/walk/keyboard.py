"""Whether a keyboard gets to everything on a page, in the order in which it stands there, and sees where it is."""

from __future__ import annotations

from typing import Any, Final

from playwright.async_api import Page

# What can be reached, as it stands on the page; then the keyboard goes to the top, and what has focus is written down.
_BEGIN: Final = """
() => {
  const reachable = 'a[href], button, input, select, textarea, summary, [tabindex="0"]'
  const all = [...document.querySelectorAll(reachable)].filter((each) => !each.disabled && each.checkVisibility())
  const name = (each) => `${each.tagName.toLowerCase()} ${each.name || each.innerText || each.id}`.slice(0, 60)
  window.walk = { expected: all.map(name), met: [], unseen: [] }
  document.addEventListener('focusin', ({ target }) => {
    window.walk.met.push(name(target))
    const { outlineStyle, outlineWidth } = getComputedStyle(target)
    if (outlineStyle === 'none' || parseFloat(outlineWidth) < 2) window.walk.unseen.push(name(target))
  })
  document.body.tabIndex = -1
  document.body.focus()
  document.body.removeAttribute('tabindex')
  window.walk.met.length = window.walk.unseen.length = 0
  return all.length
}
"""


async def lost(page: Page) -> list[str]:
    """Go through a page by Tab. Returns what is not met in its place, and what does not show that it has focus."""
    for _ in range(await page.evaluate(_BEGIN)):
        await page.keyboard.press("Tab")
    walk: dict[str, Any] = await page.evaluate("window.walk")
    wrong = [f"no focus seen on {name}" for name in walk["unseen"]]
    if walk["met"] != walk["expected"]:
        wrong.append(f"Tab goes over {walk['met']} instead of {walk['expected']}")
    return wrong
