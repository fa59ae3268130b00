"""Other people's clients, and the persons who use them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.oauth.npm import missing_program, prepare


@pytest.fixture(scope="session")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give the directory in which the scripts of ``clients_js`` find their packages."""
    if missing := missing_program():
        pytest.skip(f"{missing} is not installed")
    return prepare(tmp_path_factory.mktemp("npm") / "clients_js")
