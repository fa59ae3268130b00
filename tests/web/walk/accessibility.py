"""What axe-core finds wrong with a page."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

import pytest
from playwright.async_api import Page

from tests.oauth.npm import installed, missing_program

_SOURCES: Final = Path(__file__).parents[1] / "axe"
# All rules about colours that are on by themselves; the others find the same in another colour scheme.
COLOURS: Final = ("color-contrast", "link-in-text-block")
_RUN: Final = """
async (rules) => {
  const only = rules.length ? { runOnly: { type: 'rule', values: rules } } : {}
  const { violations } = await axe.run(document, { resultTypes: ['violations'], ...only })
  const said = (rule, node) => `${rule.id}: ${node.html} ${node.failureSummary.split('\\n')[1]}`
  return violations.flatMap((rule) => rule.nodes.map((node) => said(rule, node)))
}
"""


@cache
def axe() -> str:
    """Return axe-core's source; skips where npm is missing."""
    if missing := missing_program():
        pytest.skip(f"{missing} is not installed")
    return (installed(_SOURCES) / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


async def barriers(page: Page, *rules: str) -> list[str]:
    """Return every violation of a rule of axe-core, or of these ``rules``, with the element it is about."""
    if not await page.evaluate("'axe' in window"):
        await page.evaluate(axe())
    found: list[Any] = await page.evaluate(_RUN, list(rules))
    return [str(each) for each in found]
