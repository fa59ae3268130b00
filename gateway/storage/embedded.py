"""The supervisor of the embedded PostgreSQL: it makes it, runs it, revives it, and stops it.

One process at a time holds the lock and runs the server. Any other process with the same data directory (a
command beside a running ``serve``) joins its socket, and takes over should the first one end.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import asyncpg

from gateway.errors import StartupError
from gateway.storage.binaries import Binaries, find_binaries
from gateway.storage.cluster import Cluster, unusable
from gateway.storage.launcher import spawn
from gateway.storage.orphan import end_orphan

USER = "gateway"
DATABASE = "gateway"
MAX_SOCKET_PATH = 107  # sun_path of unix(7), without its NUL

_READY_SECONDS = 60.0
_EARLY_EXIT_SECONDS = 4.0
_STOP_SECONDS = 20.0
_QUIT_SECONDS = 5.0

_log = logging.getLogger(__name__)

_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "port": "5432",
    "max_connections": "60",
    "shared_buffers": "32MB",
    "max_wal_size": "256MB",
    "timezone": "UTC",
    "log_destination": "stderr",
    "logging_collector": "off",
    # Failed statements reach the gateway; here they would only quote values of rows.
    "log_min_messages": "fatal",
    "log_error_verbosity": "terse",
    "log_checkpoints": "off",
}
_FAST_AND_LOOSE = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


class EmbeddedPostgres:
    """A PostgreSQL server below ``data_dir``, run by this process or joined.

    ``durable=False`` is for tests: a crash of the machine may lose or break the data.
    """

    def __init__(self, data_dir: Path, *, durable: bool = True) -> None:
        self._cluster = Cluster(data_dir)
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._directory = -1

    @property
    def owned(self) -> bool:
        """Whether this process runs the server."""
        return self._process is not None

    @property
    def pid(self) -> int | None:
        """The postmaster's process id, when this process runs it."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Run the server, or join the one that another process runs; returns when it answers.

        Raises `StartupError` with one line that says what to do.
        """
        self._cluster.prepare()
        try:
            self._directory = self._cluster.open_root()
            await self._run_or_join()
        except OSError as error:
            await self.stop()
            raise unusable(error, self._cluster.root) from error
        except BaseException:
            await self.stop()
            raise
        self._keeper = asyncio.create_task(self._keep(), name="embedded-postgres")

    async def stop(self) -> None:
        """Stop the server if this process runs it; its data is safe whether or not this is reached."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper
            self._keeper = None
        try:
            await self._stop_process()
        finally:
            self._cluster.unlock()
            if self._directory >= 0:
                os.close(self._directory)
                self._directory = -1

    def connect_args(self, database: str = DATABASE) -> dict[str, Any]:
        """Return arguments for `asyncpg.connect`; good until `stop`."""
        sockets = str(self._cluster.sockets)
        if len(os.fsencode(f"{sockets}/.s.PGSQL.5432")) > MAX_SOCKET_PATH:
            sockets = f"/proc/self/fd/{self._directory}/run"
        return {
            "host": sockets,
            "port": 5432,
            "user": USER,
            "password": self._cluster.password(),
            "database": database,
            "ssl": False,
        }

    async def _run_or_join(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self._cluster.try_lock():
            if self._cluster.password() and await self._answers():
                return
            if time.monotonic() > deadline:
                raise StartupError(
                    f"another gateway holds {self._cluster.root / 'lock'}, and its PostgreSQL does not answer"
                )
            await asyncio.sleep(0.1)
        await self._run()

    async def _run(self) -> None:
        """Start the server; this process holds the lock."""
        self._cluster.remove_leftovers()
        major = self._cluster.major
        binaries = find_binaries(self._cluster.account, major, os.environ)
        if major is None:
            await self._initialise(binaries)
        await end_orphan(self._cluster.data, self._cluster.label)
        give_up = time.monotonic() + _EARLY_EXIT_SECONDS
        while not await self._spawn_and_wait(binaries):
            # The children of a killed server hold its shared memory for a moment yet.
            if time.monotonic() > give_up:
                raise StartupError(
                    f"the embedded PostgreSQL does not start: {self._last_words()} (see {self._cluster.log})"
                )
            await asyncio.sleep(0.2)

    async def _initialise(self, binaries: Binaries) -> None:
        cluster = self._cluster
        new = cluster.root / f"new-{secrets.token_hex(4)}"
        password_file = cluster.root / "password.initdb"
        new.mkdir(mode=0o700)
        cluster.give(new, 0o700)
        password_file.touch(mode=0o600)
        password_file.write_text(cluster.make_password(), encoding="ascii")
        cluster.give(password_file, 0o400)
        here = f"/proc/self/fd/{self._directory}"
        command: list[str | Path] = [
            binaries.directory / "initdb",
            f"--pgdata={here}/{new.name}",
            f"--username={USER}",
            f"--pwfile={here}/{password_file.name}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C.UTF-8",
            *([] if self._durable else ["--no-sync"]),
        ]
        try:
            await self._run_tool(command)
            new.rename(cluster.data)
        finally:
            cluster.remove_leftovers()

    async def _run_tool(self, command: list[str | Path]) -> None:
        account = self._cluster.account
        process = spawn(command, account, output=subprocess.PIPE, pass_fds=[self._directory])
        try:
            printed, _ = await asyncio.to_thread(process.communicate)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        if process.returncode:
            last = (printed.decode(errors="replace").strip().splitlines() or ["no output"])[-1]
            raise StartupError(f"{Path(command[0]).name} failed: {last}")

    async def _spawn_and_wait(self, binaries: Binaries) -> bool:
        """Start the server and wait until it answers; False when it exited first."""
        here = f"/proc/self/fd/{self._directory}"
        settings = {
            **_SETTINGS,
            "cluster_name": self._cluster.label,
            "unix_socket_directories": f"{here}/run",
            **({} if self._durable else _FAST_AND_LOOSE),
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        log = self._cluster.open_log()
        try:
            self._process = spawn(
                [binaries.directory / "postgres", "-D", f"{here}/data", *options],
                self._cluster.account,
                output=log,
                pass_fds=[self._directory],
                death_signal=signal.SIGINT,  # a fast and orderly shutdown
            )
        finally:
            os.close(log)
        deadline = time.monotonic() + _READY_SECONDS
        while time.monotonic() < deadline:
            if await self._answers():
                return True
            if self._process.poll() is not None:
                self._process = None
                return False
            await asyncio.sleep(0.02)
        raise StartupError(f"the embedded PostgreSQL does not answer: see {self._cluster.log}")

    async def _answers(self) -> bool:
        try:
            connection = await asyncpg.connect(**self.connect_args(), timeout=5)
        except asyncpg.InvalidCatalogNameError:
            await self._create_database()
            return True
        except asyncpg.InvalidPasswordError as error:
            raise StartupError(
                f"{self._cluster.root / 'password'} is not the embedded database's password: restore it"
            ) from error
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        await connection.close(timeout=5)
        return True

    async def _create_database(self) -> None:
        connection = await asyncpg.connect(**self.connect_args("postgres"), timeout=5)
        try:
            with suppress(asyncpg.DuplicateDatabaseError):
                await connection.execute(f"create database {DATABASE}")
        finally:
            await connection.close(timeout=5)

    async def _keep(self) -> None:
        """Revive the server when it dies; take over when the process that ran it has ended."""
        pause = 0.2
        while True:
            await asyncio.sleep(pause)
            if self._process is not None and self._process.poll() is None:
                pause = 0.2
                continue
            if self._process is None and not self._cluster.try_lock():
                continue
            _log.error("the embedded PostgreSQL has ended; starting it again")
            self._process = None
            try:
                await self._run()
            except StartupError:
                _log.exception("the embedded PostgreSQL cannot be started again yet")
                pause = min(pause * 2, 5.0)

    async def _stop_process(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        for number, seconds in ((signal.SIGINT, _STOP_SECONDS), (signal.SIGQUIT, _QUIT_SECONDS)):
            process.send_signal(number)
            if await _within(seconds, lambda: process.poll() is not None):
                return
            _log.warning("the embedded PostgreSQL did not stop on signal %s", number.name)
        process.kill()
        process.wait()

    def _last_words(self) -> str:
        lines = self._cluster.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        telling = [line for line in lines if "FATAL" in line or "PANIC" in line] or lines
        # Without the time and process number in front.
        return re.sub(r"^.*?(?=FATAL|PANIC)", "", telling[-1]) if telling else "it wrote nothing"


async def _within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait until the condition holds; False when it does not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.02)
    return True
