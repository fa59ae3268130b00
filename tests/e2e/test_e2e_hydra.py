"""Debian's hydra at the JSON login: it gets no further than the limit, and others sign in meanwhile."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from tests.gateways import PASSWORD, GatewayFactory

HYDRA = shutil.which("hydra")


@pytest.mark.skipif(HYDRA is None, reason="hydra is not installed")
async def test_hydra_does_not_find_a_password_beyond_the_limit(gateway_factory: GatewayFactory, tmp_path: Path) -> None:
    running = await gateway_factory("login: {max_failures: 5, per_ip: 1000}\nserver: {trusted_proxies: [127.0.0.1]}")
    await running.user("ann")
    await running.user("bob")
    words = tmp_path / "words"
    words.write_text("\n".join([*(f"guess{number}" for number in range(40)), PASSWORD]) + "\n")
    form = (
        "/api/v1/users/login:"
        r'{"username"\:"^USER^","password"\:"^PASS^"}'
        r":H=Content-Type\: application/json:S=refresh_token"
    )
    found = tmp_path / "found"
    process = await asyncio.create_subprocess_exec(
        str(HYDRA),
        *("-l", "ann", "-P", str(words), "-s", str(running.port), "-t", "4", "-o", str(found), "-I", "localhost"),
        *("http-post-form", form),
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    reading = asyncio.create_task(process.communicate())
    elsewhere = {"X-Forwarded-For": "198.51.100.7"}
    statuses = []
    while not reading.done():
        login = {"username": "bob", "password": PASSWORD}
        statuses.append((await running.post("/api/v1/users/login", login, headers=elsewhere)).status)
        await asyncio.sleep(0.2)
    output = (await reading)[0].decode()
    assert "0 valid password" in output or "0 of 1 target" in output, output
    assert PASSWORD not in (found.read_text() if found.exists() else "")
    assert set(statuses) == {200}
    locked = await running.post("/api/v1/users/login", {"username": "ann", "password": PASSWORD}, headers=elsewhere)
    assert locked.status == 429
    assert int(locked.headers["Retry-After"]) > 0
