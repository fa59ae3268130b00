"""git through the gateway: clone, push and fetch over smart HTTP, with git's own http-backend behind it."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from tests.gateways import GatewayFactory, Running

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
HOST = "git.localhost"
ROUTES = """
upstreams:
  git: {{servers: ["{url}"]}}
routes:
  - name: push
    match: {{host: git.localhost, path: "/*/git-receive-pack"}}
    require: {{roles: [writer]}}
    upstream: git
  - {{name: read, match: {{host: git.localhost}}, require: {{roles: [user, writer]}}, upstream: git}}
"""
LARGE = 3_000_000
OWN = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": os.devnull}
COMMITTER = [f"{name}={value}" for name, value in (("user.name", "Ann"), ("user.email", "ann@example.com"))]


async def git(*words: str, cwd: Path, **environ: str) -> tuple[int, str]:
    """Run git without anybody's configuration; return its code and all that it says."""
    process = await asyncio.create_subprocess_exec(
        "git",
        *(word for setting in COMMITTER for word in ("-c", setting)),
        *words,
        cwd=cwd,
        env={**os.environ, **OWN, **environ},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(60):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode(errors="replace")


def cgi_environment(request: web.Request, root: Path) -> dict[str, str]:
    """Return what RFC 3875 section 4.1 wants, and whom the gateway named."""
    given = {
        "GIT_PROJECT_ROOT": str(root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
        "HTTP_GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "REMOTE_USER": request.headers.get("X-Forwarded-Preferred-Username", ""),
        "PATH": os.environ["PATH"],
        **OWN,
    }
    if request.content_length is not None:
        given["CONTENT_LENGTH"] = str(request.content_length)
    return given


@dataclass
class Backend:
    """Runs ``git http-backend`` for each request."""

    root: Path

    async def answer(self, request: web.Request) -> web.StreamResponse:
        process = await asyncio.create_subprocess_exec(
            *("git", "http-backend"),
            env=cgi_environment(request, self.root),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            limit=1 << 20,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        feeding = asyncio.create_task(self._feed(request, process.stdin))
        try:
            head = (await process.stdout.readuntil(b"\r\n\r\n")).decode().splitlines()
            fields = dict(line.split(": ", 1) for line in head if line)
            response = web.StreamResponse(status=int(fields.pop("Status", "200").split()[0]), headers=fields)
            await response.prepare(request)
            while data := await process.stdout.read(65536):
                await response.write(data)
            await response.write_eof()
            return response
        finally:
            await feeding
            await process.wait()

    @staticmethod
    async def _feed(request: web.Request, stdin: asyncio.StreamWriter) -> None:
        try:
            async for data in request.content.iter_any():
                stdin.write(data)
                await stdin.drain()
        except ConnectionError:
            return  # it has read what it wanted
        finally:
            stdin.close()


@dataclass
class Forge:
    """A gateway before a repository with one commit."""

    gateway: Running
    repository: Path
    work: Path

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.gateway.port}/project.git"

    def environ(self, token: str) -> Mapping[str, str]:
        """Return the settings of somebody with a token; in the environment, so that no list of processes shows it."""
        settings = {
            "http.extraHeader": f"Authorization: Bearer {token}",
            "http.curloptResolve": f"{HOST}:{self.gateway.port}:127.0.0.1",
        }
        named = {f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(settings)}
        values = {f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(settings.values())}
        return {"GIT_CONFIG_COUNT": str(len(settings)), **named, **values}


@pytest.fixture
async def forge(gateway_factory: GatewayFactory, tmp_path: Path) -> AsyncIterator[Forge]:
    repository, work = tmp_path / "served" / "project.git", tmp_path / "work"
    work.mkdir()
    assert (await git("init", "--quiet", "--bare", "-b", "main", str(repository), cwd=tmp_path))[0] == 0
    assert (await git("config", "http.receivepack", "true", cwd=repository))[0] == 0
    first = tmp_path / "first"
    assert (await git("clone", "--quiet", str(repository), str(first), cwd=tmp_path))[0] == 0
    (first / "README").write_text("hello\n")
    for words in (
        ["checkout", "-q", "-B", "main"],
        ["add", "."],
        ["commit", "-qm", "First"],
        ["push", "-q", "origin", "main"],
    ):
        code, said = await git(*words, cwd=first)
        assert code == 0, said
    application = web.Application(client_max_size=1 << 30)
    application.router.add_route("*", "/{path:.*}", Backend(repository.parent).answer)
    runner = web.AppRunner(application, access_log=None, auto_decompress=False, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield Forge(await gateway_factory(ROUTES.format(url=url)), repository, work)
    await runner.cleanup()


@pytest.mark.parametrize("post_buffer", ["1m", "1g"], ids=["chunked", "at-once"])
async def test_clone_push_and_fetch(forge: Forge, post_buffer: str) -> None:
    _, token = await forge.gateway.api_token(await forge.gateway.user("ann", "writer"))
    environ = forge.environ(token)
    code, said = await git("clone", "--quiet", forge.url, "one", cwd=forge.work, **environ)
    assert (code, said) == (0, "")
    one = forge.work / "one"
    assert (one / "README").read_text() == "hello\n"

    large = random.Random(1).randbytes(LARGE)
    (one / "large").write_bytes(large)
    for words in (["add", "."], ["commit", "-qm", "Second"]):
        assert (await git(*words, cwd=one))[0] == 0
    code, said = await git(
        "-c", f"http.postBuffer={post_buffer}", "push", "--quiet", "origin", "main", cwd=one, **environ
    )
    assert code == 0, said

    code, said = await git("clone", "--quiet", forge.url, "two", cwd=forge.work, **environ)
    assert code == 0, said
    assert (forge.work / "two" / "large").read_bytes() == large
    code, said = await git("fetch", "--quiet", "origin", cwd=forge.work / "two", **environ)
    assert (code, said) == (0, "")
    assert (await git("fsck", "--strict", cwd=forge.repository))[0] == 0


async def test_who_may_read_cannot_push_and_nobody_gets_in(forge: Forge) -> None:
    _, token = await forge.gateway.api_token(await forge.gateway.user("bob"))
    environ = forge.environ(token)
    assert (await git("clone", "--quiet", forge.url, "one", cwd=forge.work, **environ))[0] == 0
    one = forge.work / "one"
    assert (await git("commit", "--allow-empty", "-qm", "Mine", cwd=one))[0] == 0
    code, said = await git("push", "--quiet", "origin", "main", cwd=one, **environ)
    assert code != 0
    assert "403" in said
    code, said = await git("clone", "--quiet", forge.url, "other", cwd=forge.work, **forge.environ(f"{token}x"))
    assert code != 0
    assert "hello" not in said
    assert not (forge.work / "other").exists()
