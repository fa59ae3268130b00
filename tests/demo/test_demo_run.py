"""`gateway demo` as a person runs it: a process, its output, and what answers."""

from __future__ import annotations

import json
import shlex
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.demo.running import Demo, command, demo
from tests.gateways import BROWSER, free_port


async def ask(first: Demo, path: str, host: str = "localhost", **headers: str) -> tuple[int, Any, str]:
    sent = {"Host": f"{host}:{first.port}", **headers}
    async with (
        aiohttp.ClientSession() as client,
        client.get(first.url + path, headers=sent, allow_redirects=False) as answer,
    ):
        return answer.status, answer.headers, await answer.text()


async def test_the_printed_token_reaches_the_application_as_ann(first: Demo) -> None:
    status, _, text = await ask(first, "/api/whoami", Authorization=f"Bearer {first.token}")
    document = json.loads(text)
    assert status == 200
    assert (document["user"], document["roles"]) == ("ann", ["admin", "user"])
    assert document["assertion"]["aud"] == "sample"


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_the_printed_curl_lines_do_what_they_say(first: Demo) -> None:
    def run(line: str) -> str:
        return subprocess.run(shlex.split(line), capture_output=True, text=True, check=True, timeout=20).stdout

    nobody, ann, bob = (run(line) for line in first.curl_lines)
    assert nobody.startswith("HTTP/1.1 401")
    assert json.loads(ann)["user"] == "ann"
    assert bob.startswith("HTTP/1.1 403")
    assert json.loads(bob.partition("\n\n")[2])["code"] == "forbidden"


async def test_a_program_without_credentials_gets_a_problem(first: Demo) -> None:
    status, headers, text = await ask(first, "/api/whoami")
    assert (status, headers["Content-Type"]) == (401, "application/problem+json")
    assert headers["WWW-Authenticate"].startswith("Bearer")
    assert json.loads(text)["status"] == 401


@pytest.mark.parametrize("host", ["localhost", "app.localhost"])
async def test_a_browser_without_credentials_is_sent_to_the_login_page(first: Demo, host: str) -> None:
    status, headers, _ = await ask(first, "/", host, **BROWSER)
    assert status == 302
    assert headers["Location"].startswith(f"http://localhost:{first.port}/login?rd=")


async def test_anybody_reads_the_public_page(first: Demo) -> None:
    status, _, text = await ask(first, "/public", **{"X-Forwarded-User": "root"})
    assert status == 200
    assert "Hello, stranger" in text


@pytest.mark.parametrize(
    ("name", "home", "admin"), [("ann", 200, 200), ("bob", 200, 403), ("cleo", 403, 403)], ids=["ann", "bob", "cleo"]
)
async def test_each_account_reaches_what_was_said(first: Demo, name: str, home: int, admin: int) -> None:
    credentials = {"username": name, "password": first.password(name)}
    async with aiohttp.ClientSession(headers={"Host": f"localhost:{first.port}"}) as client:
        async with client.post(f"{first.url}/api/v1/users/login", json=credentials) as answer:
            assert answer.status == 200
            bearer = {"Authorization": f"Bearer {(await answer.json())['token']}"}
        for path, expected in (("/", home), ("/admin", admin), ("/admin/", admin if admin != 200 else 404)):
            async with client.get(first.url + path, headers=bearer) as answer:
                assert answer.status == expected, path


async def test_events_and_messages_pass(first: Demo) -> None:
    bearer = {"Authorization": f"Bearer {first.token}", "Host": f"localhost:{first.port}"}
    async with aiohttp.ClientSession(headers=bearer) as client:
        async with client.get(f"{first.url}/events") as stream:
            assert json.loads((await stream.content.readline()).removeprefix(b"data: "))["user"] == "ann"
        async with client.ws_connect(f"{first.url}/ws") as messages:
            await messages.send_str("hello")
            assert await messages.receive_str(timeout=5) == "ann: hello"


def test_passwords_are_kept_where_only_the_owner_reads(first: Demo, data_dir: Path) -> None:
    file = data_dir / "demo.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text())["bob"] == first.password("bob")


async def test_the_next_run_keeps_tokens_and_passwords_but_not_one_that_was_changed(tmp_path: Path) -> None:
    with demo(tmp_path) as before:
        credentials = {"username": "cleo", "password": before.password("cleo")}
        url = f"{before.url}/api/v1/users/"
        async with aiohttp.ClientSession(headers={"Host": f"localhost:{before.port}"}) as client:
            async with client.post(f"{url}login", json=credentials) as answer:
                cleo = await answer.json()
            bearer = {"Authorization": f"Bearer {cleo['token']}"}
            change = {"password": "my own choice"}
            async with client.put(url + cleo["user"]["id"], json=change, headers=bearer) as answer:
                assert answer.status == 200
    with demo(tmp_path) as after:
        assert [after.password(name) for name in ("ann", "bob")] == [before.password(name) for name in ("ann", "bob")]
        assert "(you changed it)" in after.printed
        assert after.password("cleo") == "(you"
        assert after.token == before.token


def test_a_port_in_use_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        run = subprocess.run(command(port, tmp_path / "data"), capture_output=True, text=True, check=False, timeout=30)
    assert run.returncode == 1
    assert run.stderr == f"error: port {port} is in use by another program; choose another: --port {port + 1}\n"
    assert not (tmp_path / "data").exists()


def test_a_damaged_password_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("[1")
    run = subprocess.run(command(free_port(), tmp_path), capture_output=True, text=True, check=False, timeout=60)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(f"error: {tmp_path}/demo.json is damaged; delete it")
