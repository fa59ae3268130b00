"""Embedded servers of their own for the tests that kill, stop or break one."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway.storage.cluster import Cluster
from gateway.storage.embedded import EmbeddedPostgres

# What only root can do is no test that an ordinary user skips.
collect_ignore = [] if os.geteuid() == 0 else ["test_storage_as_root.py"]


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory that a server has run in once."""
    directory = tmp_path_factory.mktemp("initialised")

    async def once() -> None:
        embedded = EmbeddedPostgres(directory, durable=False)
        await embedded.start()
        await embedded.stop()

    asyncio.run(once())
    return directory


@pytest.fixture
def data_dir(initialised: Path, tmp_path: Path) -> Path:
    """A copy of an initialised data directory, owners kept."""
    subprocess.run(["cp", "-a", initialised / "postgres", tmp_path], check=True)
    return tmp_path


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that every account can enter, unlike pytest's own."""
    with tempfile.TemporaryDirectory(prefix="gateway-test-") as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


@pytest.fixture
def server_processes() -> Callable[[Path], list[int]]:
    """Give the postmasters of ours on a data directory, or else the children that outlived theirs."""

    def find(directory: Path) -> list[int]:
        label = Cluster(directory).label.encode()
        commands = {int(path.parent.name): _read(path) for path in Path("/proc").glob("[0-9]*/cmdline")}
        postmasters = [pid for pid, command in commands.items() if b"cluster_name=" + label in command]
        return postmasters or [pid for pid, command in commands.items() if label in command]

    return find


@pytest.fixture(autouse=True)
def no_server_stays_behind(
    tmp_path_factory: pytest.TempPathFactory, server_processes: Callable[[Path], list[int]]
) -> Iterator[None]:
    yield
    for directory in tmp_path_factory.getbasetemp().glob("*/postgres"):
        if directory.parent.name.startswith("test_"):
            assert server_processes(directory.parent) == []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
