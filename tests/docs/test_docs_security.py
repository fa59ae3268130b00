"""Lists of requirements name the tests that show them: each of those exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CELL = re.compile(r"`((?:\w+/)*test_\w+\.py)?(?:::(test_\w+))?`")


def named(page: Path) -> list[tuple[str, str]]:
    """Return (file, test) of each reference; a name without a file belongs to the file before it."""
    found: list[tuple[str, str]] = []
    for line in page.read_text(encoding="utf-8").splitlines():
        file = ""
        for match in CELL.finditer(line):
            if match[1] or match[2]:
                file = match[1] or file
                found.append((file, match[2] or ""))
    return found


PAGES = sorted((ROOT / "docs" / "security").glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_named_test_exists(page: Path) -> None:
    references = named(page)
    assert len(references) > 20
    for file, name in references:
        path = ROOT / "tests" / file
        assert path.is_file(), (file, name)
        assert not name or re.search(rf"^(?:async )?def {name}\(", path.read_text(encoding="utf-8"), re.MULTILINE), name
