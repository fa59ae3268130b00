"""``gateway serve`` as a process: killed and started again, and refusing to start in one clear line."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import pytest

from tests.gateways import PASSWORD, database_url, free_port

COMMAND = (sys.executable, "-c", "from gateway.cli import main; main()")
CONFIG = """version: 1
server: {{listen: "127.0.0.1:{port}", internal_listen: null, public_url: "http://localhost:{port}", drain_timeout: 1s}}
passwords: {{bcrypt_cost: 4}}
data_dir: {data_dir}
logging: {{level: warning}}
"""
ENVIRON = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}


def configured(directory: Path, port: int = 0, more: str = "") -> Path:
    path = directory / "gateway.yaml"
    path.write_text(CONFIG.format(port=port or free_port(), data_dir=directory / "var") + more)
    return path


async def run(*arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Run a command to its end; give its exit code, output and errors."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, env=ENVIRON, stdin=pipe, stdout=pipe, stderr=pipe
    )
    async with asyncio.timeout(60):
        output, errors = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


@asynccontextmanager
async def served(config: Path, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run ``gateway serve`` until it answers; it ends with the block unless that has ended it."""
    process = await asyncio.create_subprocess_exec(*COMMAND, "-c", str(config), "serve", env=ENVIRON)
    try:
        async with asyncio.timeout(60):
            while not await answers(f"{url}/.gateway/readyz"):
                assert process.returncode is None
                await asyncio.sleep(0.05)
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
            async with asyncio.timeout(30):
                await process.wait()


async def answers(url: str) -> bool:
    try:
        async with aiohttp.ClientSession() as client, client.get(url) as reply:
            return reply.status == 200
    except aiohttp.ClientError:
        return False


async def call(method: str, url: str, token: str = "", **more: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with aiohttp.ClientSession() as client, client.request(method, url, headers=headers, **more) as reply:
        return reply.status, await reply.json()


def processes_of(directory: Path) -> set[int]:
    """Return the processes of a PostgreSQL below a directory."""
    found = set()
    for process in psutil.process_iter():
        try:
            command, working = process.cmdline(), process.cwd()
        except psutil.Error:
            continue
        if "postgres" in " ".join(command) and (working.startswith(str(directory)) or str(directory) in str(command)):
            found.add(process.pid)
    return found


async def test_nothing_is_lost_when_it_is_killed(tmp_path: Path) -> None:
    port = free_port()
    config, url = configured(tmp_path, port), f"http://localhost:{port}"
    async with served(config, url) as process:
        arguments = ("-c", str(config), "user", "add", "ann", "--email", "ann@example.com", "--password-stdin")
        assert (await run(*arguments, stdin=f"{PASSWORD}\n"))[0] == 0  # beside the running server
        signing_in = {"username": "ann", "password": PASSWORD}
        status, pair = await call("POST", f"{url}/api/v1/users/login", json=signing_in)
        assert status == 200
        status, made = await call(
            "POST", f"{url}/api/v1/users/register", json={**signing_in, "username": "bob", "email": "bob@example.com"}
        )
        assert status == 201
        before = processes_of(tmp_path)
        assert before
        process.send_signal(signal.SIGKILL)
        await process.wait()
    async with served(config, url) as process:
        postmasters = {
            pid for pid in processes_of(tmp_path) if psutil.Process(pid).ppid() not in processes_of(tmp_path)
        }
        assert len(postmasters) == 1
        for token in (pair["token"], made["token"]):
            assert (await call("GET", f"{url}/api/me", token))[0] == 200
        status, _ = await call("POST", f"{url}/api/v1/auth/refresh", json={"refresh_token": pair["refresh_token"]})
        assert status == 200
        process.terminate()
        assert await process.wait() == 0
    assert processes_of(tmp_path) == set()


async def refused(config: Path, code: int, *words: str) -> str:
    """Start a gateway that cannot; give the one line that says why."""
    found, output, errors = await run("-c", str(config), "serve")
    assert (found, output) == (code, ""), errors
    lines = errors.strip().splitlines()
    assert len(lines) == 1, errors
    assert all(word in lines[0] for word in words), lines[0]
    assert "Traceback" not in errors
    return lines[0]


@pytest.mark.parametrize("embedded", [True, False])
async def test_a_port_in_use_leaves_nothing_running(tmp_path: Path, embedded: bool, dsn_args: dict[str, Any]) -> None:
    taken = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
    try:
        port = taken.sockets[0].getsockname()[1]
        url = "" if embedded else f'database: {{url: "{database_url(dsn_args)}"}}\n'
        await refused(configured(tmp_path, port, url), 1, f"127.0.0.1:{port}", "in use", "server.listen")
    finally:
        taken.close()
    assert processes_of(tmp_path) == set()


async def test_a_wrong_database_password_is_named_and_not_shown(tmp_path: Path, dsn_args: dict[str, Any]) -> None:
    url = database_url({**dsn_args, "password": "s3cret-and-wrong"})
    line = await refused(configured(tmp_path, more=f'database: {{url: "{url}"}}\n'), 1, "password", "database.url")
    assert "s3cret-and-wrong" not in line


def a_file(path: Path) -> None:
    path.write_text("a file")


def closed(path: Path) -> None:
    path.mkdir(mode=0o000)


# Root reads every directory.
@pytest.mark.parametrize("make", [a_file, closed] if os.geteuid() else [a_file])
async def test_a_data_directory_that_cannot_be_used_is_named(tmp_path: Path, make: Callable[[Path], None]) -> None:
    config = configured(tmp_path)
    make(tmp_path / "var")
    found, _, errors = await run("-c", str(config), "serve")
    assert found in {1, 2}
    assert str(tmp_path / "var") in errors
    assert len(errors.strip().splitlines()) == 1, errors


async def test_malformed_yaml_is_named_by_its_place(tmp_path: Path) -> None:
    config = configured(tmp_path, more="routes: [}\n")
    await refused(config, 2, f"{config}:6:")


async def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    config = configured(tmp_path, more="sesions: {}\nlogin: {window: soon}\nlogin: {}\n")
    found, _, errors = await run("-c", str(config), "serve")
    assert found == 2
    assert "sessions" in errors  # what was meant
    assert len(errors.strip().splitlines()) >= 2


async def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    config = configured(tmp_path, more=f"secret_key_file: {tmp_path}/nowhere\n")
    await refused(config, 2, f"{tmp_path}/nowhere", "secret_key_file")
    assert not (tmp_path / "var").exists()
