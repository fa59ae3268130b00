"""As root, PostgreSQL runs as somebody else, wherever the data and the programs are."""

from __future__ import annotations

import os
import pwd
import shutil
from pathlib import Path

import asyncpg
import pytest

from gateway.errors import StartupError
from gateway.storage import binaries as binaries_module
from gateway.storage import launcher as launcher_module
from gateway.storage.binaries import OVERRIDE, find_binaries
from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.launcher import run, unprivileged_account


def uid_of(pid: int | None) -> int:
    return Path(f"/proc/{pid}").stat().st_uid


async def test_the_server_runs_unprivileged_below_a_closed_directory(data_dir: Path) -> None:
    data_dir.chmod(0o700)
    embedded = EmbeddedPostgres(data_dir, durable=False)
    groups = os.getgroups()
    os.setgroups([0, 12345])
    try:
        await embedded.start()
    finally:
        os.setgroups(groups)
    assert uid_of(embedded.pid) == (data_dir / "postgres/data").stat().st_uid != 0
    status = Path(f"/proc/{embedded.pid}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    assert "Groups:\t \n" in status
    assert data_dir.stat().st_mode & 0o777 == 0o700
    await embedded.stop()


async def test_the_owner_of_existing_data_is_who_runs_it(data_dir: Path) -> None:
    for path in [data_dir / "postgres/data", *(data_dir / "postgres/data").rglob("*")]:
        os.lchown(path, 12345, 12345)
    embedded = EmbeddedPostgres(data_dir, durable=False)
    await embedded.start()
    assert uid_of(embedded.pid) == 12345
    await embedded.stop()


async def test_files_in_an_ordinary_users_directory_stay_theirs(data_dir: Path) -> None:
    for path in [data_dir / "postgres", *(data_dir / "postgres").rglob("*")]:
        os.lchown(path, 12345, 12345)
    (data_dir / "postgres/log").unlink()
    embedded = EmbeddedPostgres(data_dir, durable=False)
    await embedded.start()
    await embedded.stop()
    assert (data_dir / "postgres/log").stat().st_uid == 12345


async def test_programs_in_a_private_home_are_copied_once(
    open_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = unprivileged_account(None)
    readable = find_binaries(account, None, {}).directory.parent
    site = tmp_path / "site-packages"
    private = site / readable.parent.name / "pginstall"
    shutil.copytree(readable, private, symlinks=True)
    # Wheels keep libraries of others beside the package.
    bundled = readable.parent.with_name(f"{readable.parent.name}.libs")
    shutil.copytree(bundled, site / bundled.name, symlinks=True)
    tmp_path.chmod(0o700)
    monkeypatch.setattr(binaries_module, "_CACHES", (Path("/nonexistent"), open_path))
    monkeypatch.setenv(OVERRIDE, str(private / "bin"))
    old_umask = os.umask(0o077)
    try:
        # An empty directory: initdb is needed, too.
        embedded = EmbeddedPostgres(tmp_path / "data", durable=False)
        await embedded.start()
    finally:
        os.umask(old_umask)
    connection = await asyncpg.connect(**embedded.connect_args())
    assert await connection.fetchval("select 1") == 1
    await connection.close()
    await embedded.stop()
    (copy,) = (open_path / "auth-gateway").iterdir()
    made = copy.stat().st_mtime_ns
    assert find_binaries(account, None, os.environ).directory == copy / readable.parent.name / "pginstall" / "bin"
    assert copy.stat().st_mtime_ns == made


async def test_a_cache_that_others_can_write_is_not_used(
    open_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = open_path / "auth-gateway"
    planted.mkdir()
    os.chown(planted, 12345, 12345)
    private = tmp_path / "bin"
    private.mkdir()
    (tmp_path / "share").mkdir()
    tmp_path.chmod(0o700)
    for name in ("postgres", "initdb"):
        (private / name).write_text("#!/bin/sh\n")
        (private / name).chmod(0o755)
    monkeypatch.setattr(binaries_module, "_CACHES", (open_path,))
    with pytest.raises(StartupError, match="no copy can be made"):
        find_binaries(unprivileged_account(None), None, {OVERRIDE: str(private)})
    assert list(planted.iterdir()) == []


def test_without_an_account_to_drop_to_the_advice_is_clear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launcher_module, "_PREFERRED_ACCOUNTS", ("surely-no-such-account", "root"))
    with pytest.raises(StartupError, match="does not run as root"):
        unprivileged_account(None)


def test_a_program_started_as_an_account_has_its_rights_alone() -> None:
    account = unprivileged_account(None)
    assert account is not None
    works, printed = run(["/usr/bin/id", "-u"], account)
    assert (works, printed.strip()) == (True, str(pwd.getpwnam(account.name).pw_uid))
