"""The README as a reader takes it: its configuration, its commands in their order, and what it says comes of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.gateways import PASSWORD, echo_served, free_port

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
SECTION = README.partition("## Protect your own application")[2].partition("\n## ")[0]


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
    return str(found)


class Reader:
    """Somebody who types what the README says, in a directory of their own."""

    def __init__(self, directory: Path, replaced: dict[str, str]) -> None:
        self.directory = directory
        self._replaced = replaced

    def adapted(self, text: str) -> str:
        for old, new in self._replaced.items():
            text = text.replace(old, new)
        return text

    def words(self, command: str) -> list[str]:
        program, *rest = shlex.split(self.adapted(command))
        assert program == "gateway"
        return [sys.executable, "-c", "from gateway.cli import main; main()", *rest]

    @property
    def environ(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
        # The port for probes and metrics is this machine's only once.
        return {**plain, "GATEWAY_SERVER__INTERNAL_LISTEN": f"127.0.0.1:{free_port()}"}

    def types(self, command: str, said: str = "", code: int = 0) -> str:
        run = subprocess.run(
            self.words(command),
            check=False,
            cwd=self.directory,
            env=self.environ,
            input=said,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert run.returncode == code, (command, run.stderr)
        return run.stdout

    @contextmanager
    def serving(self, command: str, port: int) -> Iterator[None]:
        with (self.directory / "log").open("w") as log:
            started = subprocess.Popen(
                self.words(command), cwd=self.directory, env=self.environ, stdout=log, stderr=log
            )
        try:
            for _ in range(600):
                if started.poll() is None and answers(port):
                    break
                time.sleep(0.05)
            yield
        finally:
            started.terminate()
            assert started.wait(30) == 0, (self.directory / "log").read_text()


def answers(port: int) -> bool:
    try:
        return ask(port, "/.gateway/readyz")[0] == 200
    except OSError:
        return False


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: object) -> None:
        return None


def ask(port: int, path: str, **headers: str) -> tuple[int, str, str]:
    """Return status, Location and body."""
    fields = {name.replace("__", "-"): value for name, value in headers.items()}
    asked = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Host": f"localhost:{port}", **fields})
    try:
        with urllib.request.build_opener(_Stay).open(asked, timeout=10) as answer:
            return answer.status, "", answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Location", ""), error.read().decode()


async def test_the_readme_protects_an_application(tmp_path: Path) -> None:
    port = free_port()
    async with echo_served() as application:
        replaced = {"8080": str(port), "http://127.0.0.1:8000": application}
        reader = Reader(tmp_path, replaced)
        (tmp_path / "gateway.yaml").write_text(reader.adapted(block("yaml")))
        await asyncio.to_thread(_follow, reader, port)


def _follow(reader: Reader, port: int) -> None:
    check, add, serve = block("console").splitlines()
    reader.types(check)
    reader.types(add, f"{PASSWORD}\n")
    with reader.serving(serve, port):
        status, location, _ = ask(port, "/", Accept="text/html")
        assert (status, location.partition("?")[0]) == (302, f"http://localhost:{port}/login")
        create = re.search(r"`(gateway token create [^`]*)`", SECTION)
        explain = re.search(r"`(gateway route explain [^`]*)`", SECTION)
        assert create is not None
        assert explain is not None
        (token,) = re.findall(r"gwt_\w+", reader.types(create[1]))
        credential = {"Authorization": f"Bearer {token}", "X_Forwarded_User": "root"}
        status, _, body = ask(port, "/admin/", **credential)
        received = {name.lower().replace("_", "-"): value for name, value in json.loads(body)["headers"]}
        assert (status, received["x-forwarded-user"]) == (200, "ann")
        assert sorted(received["x-forwarded-groups"].split(",")) == ["admin", "user"]
        assert ask(port, "/admin/")[0] == 401
        assert "someone signed in" in reader.types(explain[1], code=1)


@pytest.mark.parametrize("name", re.findall(r"make (\w+)", README))
def test_what_the_readme_has_made_is_in_the_makefile(name: str) -> None:
    assert re.search(rf"^{name}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("name", re.findall(r"^\| (`gateway/.*?) \|", README, re.MULTILINE))
def test_every_module_that_the_readme_names_is_there(name: str) -> None:
    for path in re.findall(r"`(gateway/[^`]*)`", name):
        assert (ROOT / path).exists(), path


def test_the_readme_names_every_package() -> None:
    named = set(re.findall(r"`gateway/(\w+)`", README))
    packages = {path.parent.name for path in (ROOT / "gateway").glob("*/__init__.py")}
    assert packages - named <= {"demo", "listening"}, packages - named
