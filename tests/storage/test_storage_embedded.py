"""The embedded server survives what happens to it and to us, and never outlives us."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import asyncpg
import pytest

from gateway.clock import SystemClock
from gateway.errors import StartupError
from gateway.storage import embedded as embedded_module
from gateway.storage import orphan as orphan_module
from gateway.storage.cluster import Cluster
from gateway.storage.embedded import EmbeddedPostgres
from gateway.storage.events import EventFeed

FindProcesses = Callable[[Path], list[int]]
StartSupervisor = Callable[[Path], subprocess.Popen[str]]

SUPERVISOR = """
import asyncio, sys
from pathlib import Path
from gateway.storage.embedded import EmbeddedPostgres

async def main():
    embedded = EmbeddedPostgres(Path(sys.argv[1]), durable=False)
    await embedded.start()
    print(embedded.pid, flush=True)
    await asyncio.sleep(600)

asyncio.run(main())
"""


async def query(embedded: EmbeddedPostgres, sql: str) -> object:
    connection = await asyncpg.connect(**embedded.connect_args())
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def until_answering(embedded: EmbeddedPostgres, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while True:
            try:
                await query(embedded, "select 1")
            except (OSError, asyncpg.PostgresError):
                await asyncio.sleep(0.02)
            else:
                return


async def until_gone(data_dir: Path, find: FindProcesses, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while find(data_dir):
            await asyncio.sleep(0.02)


@pytest.fixture
def start_supervisor() -> Iterator[StartSupervisor]:
    """Run supervisors in processes of their own, each until its server answers."""
    started: list[subprocess.Popen[str]] = []

    def start(data_dir: Path) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(data_dir)], stdout=subprocess.PIPE, text=True)
        started.append(process)
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
        return process

    yield start
    for process in started:
        kill(process)


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


async def test_a_first_start_makes_a_private_database_and_keeps_it(
    tmp_path: Path, server_processes: FindProcesses
) -> None:
    data_dir = tmp_path / "made" / "on the way, with a comma"
    embedded = EmbeddedPostgres(data_dir, durable=False)
    await embedded.start()
    await query(embedded, "create table kept ()")
    assert len(server_processes(data_dir)) == 1
    await embedded.stop()
    assert server_processes(data_dir) == []
    await embedded.start()
    assert await query(embedded, "select count(*) from kept") == 0
    assert await query(embedded, "show listen_addresses") == ""
    await embedded.stop()
    root = data_dir / "postgres"
    modes = {path.name: path.stat().st_mode & 0o777 for path in root.iterdir()}
    assert modes == {"data": 0o700, "run": 0o700, "password": 0o600, "lock": 0o600, "log": 0o600}
    assert data_dir.stat().st_mode & 0o777 == 0o700


async def test_the_password_is_needed(data_dir: Path) -> None:
    embedded = EmbeddedPostgres(data_dir, durable=False)
    await embedded.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(**{**embedded.connect_args(), "password": "guessed"})
    await embedded.stop()


async def test_a_production_server_is_durable(data_dir: Path) -> None:
    embedded = EmbeddedPostgres(data_dir)
    await embedded.start()
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):
        assert await query(embedded, f"show {setting}") == "on"
    await embedded.stop()


async def test_a_command_joins_the_running_server(data_dir: Path, server_processes: FindProcesses) -> None:
    serve, command = EmbeddedPostgres(data_dir, durable=False), EmbeddedPostgres(data_dir, durable=False)
    await serve.start()
    await command.start()
    assert (serve.owned, command.owned) == (True, False)
    assert await query(command, "select 1") == 1
    await command.stop()
    assert await query(serve, "select 1") == 1
    assert server_processes(data_dir) == [serve.pid]
    await serve.stop()


async def test_two_that_start_together_share_one_server(data_dir: Path) -> None:
    both = [EmbeddedPostgres(data_dir, durable=False) for _ in range(2)]
    await asyncio.gather(*(one.start() for one in both))
    assert sorted(one.owned for one in both) == [False, True]
    assert [await query(one, "select 1") for one in both] == [1, 1]
    for one in both:
        await one.stop()


async def test_who_joined_takes_over_when_the_first_one_ends(data_dir: Path) -> None:
    first, second = EmbeddedPostgres(data_dir, durable=False), EmbeddedPostgres(data_dir, durable=False)
    await first.start()
    await second.start()
    await first.stop()
    await until_answering(second)
    assert second.owned
    await second.stop()


async def test_a_killed_server_is_revived(data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    embedded = EmbeddedPostgres(data_dir)
    await embedded.start()
    await query(embedded, "create table kept ()")
    killed = embedded.pid
    assert killed is not None
    os.kill(killed, signal.SIGKILL)
    async with asyncio.timeout(10):
        while embedded.pid in {killed, None}:
            await asyncio.sleep(0.02)
    await until_answering(embedded)
    assert await query(embedded, "select count(*) from kept") == 0
    assert "starting it again" in caplog.text
    await embedded.stop()


async def test_a_killed_supervisor_takes_its_server_along(
    data_dir: Path, server_processes: FindProcesses, start_supervisor: StartSupervisor
) -> None:
    supervisor = start_supervisor(data_dir)
    assert server_processes(data_dir)
    kill(supervisor)
    await until_gone(data_dir, server_processes)


async def test_a_start_right_after_the_kill_finds_everything(
    data_dir: Path, server_processes: FindProcesses, start_supervisor: StartSupervisor
) -> None:
    supervisor = start_supervisor(data_dir)
    embedded = EmbeddedPostgres(data_dir, durable=False)
    await embedded.start()
    joined = await asyncpg.connect(**embedded.connect_args())
    await joined.execute("create table kept ()")
    await embedded.stop()
    kill(supervisor)
    await embedded.start()
    assert embedded.owned
    assert await query(embedded, "select count(*) from kept") == 0
    assert server_processes(data_dir) == [embedded.pid]
    joined.terminate()
    await embedded.stop()


async def test_a_server_that_missed_the_death_of_its_supervisor_is_ended(
    data_dir: Path,
    server_processes: FindProcesses,
    start_supervisor: StartSupervisor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    steps = ((None, 0.1), (signal.SIGINT, 0.1), (signal.SIGQUIT, 0.1), (signal.SIGKILL, 5.0))
    monkeypatch.setattr(orphan_module, "_STEPS", steps)
    supervisor = start_supervisor(data_dir)
    (orphan,) = server_processes(data_dir)
    os.kill(orphan, signal.SIGSTOP)
    kill(supervisor)
    embedded = EmbeddedPostgres(data_dir, durable=False)
    await embedded.start()
    assert server_processes(data_dir) == [embedded.pid]
    assert embedded.pid != orphan
    await embedded.stop()


async def test_a_process_number_used_by_another_program_is_no_server(data_dir: Path) -> None:
    (data_dir / "postgres/data/postmaster.pid").write_text(f"{os.getpid()}\n{data_dir}\n")
    embedded = EmbeddedPostgres(data_dir, durable=False)
    await embedded.start()
    assert await query(embedded, "select 1") == 1
    await embedded.stop()


async def test_an_interrupted_initdb_is_cleaned_up(tmp_path: Path) -> None:
    half = tmp_path / "postgres" / "new-0123abcd"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("15")
    (tmp_path / "postgres" / "password.initdb").write_text("half")
    embedded = EmbeddedPostgres(tmp_path, durable=False)
    await embedded.start()
    assert await query(embedded, "select 1") == 1
    await embedded.stop()
    assert {path.name for path in (tmp_path / "postgres").iterdir()} == {
        "data",
        "run",
        "password",
        "lock",
        "log",
    }


async def test_a_supervisor_killed_during_initdb_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", SUPERVISOR, str(tmp_path)])
    deadline = time.monotonic() + 10
    while not list(tmp_path.glob("postgres/new-*/base")) and time.monotonic() < deadline:
        time.sleep(0.005)
    process.kill()
    process.wait()
    assert not (tmp_path / "postgres" / "data").exists()
    embedded = EmbeddedPostgres(tmp_path, durable=False)
    await embedded.start()
    assert await query(embedded, "select 1") == 1
    await embedded.stop()


async def test_a_start_that_is_cancelled_leaves_nothing_running(
    tmp_path: Path, server_processes: FindProcesses
) -> None:
    embedded = EmbeddedPostgres(tmp_path, durable=False)
    task = asyncio.create_task(embedded.start())
    while not list(tmp_path.glob("postgres/new-*/base")):
        await asyncio.sleep(0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert server_processes(tmp_path) == []
    assert list(tmp_path.glob("postgres/new-*")) == []
    other = EmbeddedPostgres(tmp_path, durable=False)
    await other.start()
    await other.stop()


async def test_a_path_too_long_for_a_socket_works(data_dir: Path) -> None:
    long = data_dir / ("x" * 120)
    long.mkdir()
    (data_dir / "postgres").rename(long / "postgres")
    serve, command = EmbeddedPostgres(long, durable=False), EmbeddedPostgres(long, durable=False)
    await serve.start()
    await command.start()
    assert await query(serve, "select 1") == 1
    assert await query(command, "select 1") == 1
    await command.stop()
    await serve.stop()


async def test_a_server_that_does_not_stop_is_killed(
    data_dir: Path, server_processes: FindProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded_module, "_STOP_SECONDS", 0.1)
    monkeypatch.setattr(embedded_module, "_QUIT_SECONDS", 0.1)
    embedded = EmbeddedPostgres(data_dir, durable=False)
    await embedded.start()
    assert embedded.pid is not None
    os.kill(embedded.pid, signal.SIGSTOP)
    await embedded.stop()
    await until_gone(data_dir, server_processes)


async def test_a_stopped_server_ends_freshness_until_it_is_back(data_dir: Path) -> None:
    embedded = EmbeddedPostgres(data_dir, durable=False)
    await embedded.start()
    connection = await asyncpg.connect(**embedded.connect_args())
    await connection.execute("create table event (seq bigint, xid xid8, at timestamptz, topic text, key text)")
    await connection.close()
    feed = EventFeed(embedded.connect_args(), timedelta(seconds=0.3), SystemClock())
    await feed.start()
    assert feed.fresh()
    await embedded.stop()
    await asyncio.sleep(0.35)
    assert not feed.fresh()
    await embedded.start()
    async with asyncio.timeout(5):
        while not feed.fresh():
            await asyncio.sleep(0.02)
    await feed.stop()
    await embedded.stop()


# What cannot be used is told in one line.


async def refusal(data_dir: Path) -> str:
    embedded = EmbeddedPostgres(data_dir, durable=False)
    with pytest.raises(StartupError) as caught:
        await embedded.start()
    message = str(caught.value)
    assert "\n" not in message
    return message


async def test_data_of_another_version_is_refused(data_dir: Path) -> None:
    (data_dir / "postgres/data/PG_VERSION").write_text("9\n")
    assert "made by PostgreSQL 9, and only" in await refusal(data_dir)


async def test_a_directory_of_other_things_is_not_touched(tmp_path: Path) -> None:
    photos = tmp_path / "postgres/data/photos"
    photos.mkdir(parents=True)
    assert "is not a PostgreSQL data directory" in await refusal(tmp_path)
    assert photos.exists()


async def test_a_lost_password_is_told(data_dir: Path) -> None:
    (data_dir / "postgres/password").write_text("another")
    assert "is not the embedded database's password" in await refusal(data_dir)


async def test_a_broken_server_says_why(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_module, "_EARLY_EXIT_SECONDS", 0.2)
    with (data_dir / "postgres/data/postgresql.auto.conf").open("a") as file:
        file.write("nonsense = on\n")
    message = await refusal(data_dir)
    assert "does not start: FATAL:" in message
    assert str(data_dir / "postgres/log") in message


async def test_a_data_dir_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert "data_dir cannot be used" in await refusal(tmp_path / "file" / "var")


async def test_a_link_in_the_place_of_the_log_is_not_followed(data_dir: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("untouched")
    (data_dir / "postgres/log").unlink()
    (data_dir / "postgres/log").symlink_to(victim)
    assert "log" in await refusal(data_dir)
    assert victim.read_text() == "untouched"


async def test_a_server_that_somebody_else_started_is_left_alone(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    embedded = EmbeddedPostgres(data_dir, durable=False)
    monkeypatch.setattr(Cluster, "label", "started-by-hand")
    await embedded.start()
    pid = embedded.pid
    monkeypatch.undo()
    embedded._cluster.unlock()
    assert f"another PostgreSQL (process {pid}) runs on" in await refusal(data_dir)
    assert await query(embedded, "select 1") == 1
    await embedded.stop()
