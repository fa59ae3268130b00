"""Whole gateways for tests: served in this process on free ports, over a database of the test's own."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import web
from multidict import CIMultiDictProxy
from yarl import URL

from gateway.accounts.sessions import Login
from gateway.accounts.user import User
from gateway.app import Gateway
from gateway.clock import Clock
from gateway.config.load import load_settings
from gateway.serving import serving

PASSWORD = "correct horse battery"
BROWSER = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "User-Agent": "Firefox on Linux"}
_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def free_port() -> int:
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port


def database_url(args: dict[str, Any], at: str = "") -> str:
    """Write connect arguments as a ``database.url``; ``at`` is a host and port to go through instead."""
    user, password, name = (quote(str(args[key]), safe="") for key in ("user", "password", "database"))
    query = "" if at else f"?host={quote(str(args['host']), safe='')}"
    return f"postgresql://{user}:{password}@{at}/{name}{query}"


@dataclass
class Answer:
    """One response, read."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def location(self) -> str:
        return self.headers["Location"]

    def cookie(self, name: str = "gateway") -> str:
        """Return the value of a cookie that this answer sets; empty when it sets none."""
        for header in self.headers.getall("Set-Cookie", []):
            key, _, value = header.partition(";")[0].partition("=")
            if key == name:
                return value
        return ""


@dataclass
class Running:
    """A gateway that answers, with what a test does to one."""

    gateway: Gateway
    port: int
    client: aiohttp.ClientSession
    config: Path

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    async def send(
        self,
        method: str,
        path: str,
        *,
        host: str = "localhost",
        token: str = "",
        cookie: str = "",
        headers: dict[str, str] | Sequence[tuple[str, str]] = (),
        **more: Any,
    ) -> Answer:
        """Send one request to a host of this gateway; nothing is followed, no cookie kept."""
        sent = [("Host", f"{host}:{self.port}")]
        sent += [("Authorization", f"Bearer {token}")] if token else []
        sent += [("Cookie", f"gateway={cookie}")] if cookie else []
        sent += list(headers.items() if isinstance(headers, dict) else headers)
        url = URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)
        async with self.client.request(method, url, headers=sent, allow_redirects=False, **more) as reply:
            return Answer(reply.status, reply.headers, await reply.read())

    async def get(self, path: str, **more: Any) -> Answer:
        return await self.send("GET", path, **more)

    async def post(self, path: str, document: Any = None, **more: Any) -> Answer:
        return await self.send("POST", path, **({} if document is None else {"json": document}), **more)

    async def user(self, name: str = "ann", *roles: str, password: str | None = PASSWORD) -> User:
        address = f"{name}@example.com"
        return await self.gateway.accounts.users.create(name, address, password, roles=roles or ("user",))

    async def token(self, user: User) -> str:
        """Return a fresh access token."""
        return (await self.gateway.accounts.refresh_tokens.start_family(user.id)).access_token

    async def api_token(self, user: User, *scopes: str) -> tuple[str, str]:
        """Return the id and the text of a new API token."""
        token, text = await self.gateway.accounts.api_tokens.create(user.id, "test", scopes)
        return token.id, text

    async def session(self, user: User, host: str = "localhost") -> str:
        """Return the cookie of a new session on a host."""
        now = self.gateway.clock.now()
        secret, _ = await self.gateway.accounts.sessions.create(Login(user.id, host, now))
        return secret


@dataclass
class GatewayFactory:
    """Starts gateways on one database; all of them end with the test."""

    dsn_args: dict[str, Any]
    directory: Path
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _started: int = 0

    async def __call__(
        self, yaml: str = "", *, port: int = 0, database: str = "", clock: Clock | None = None, **environ: str
    ) -> Running:
        """Serve with ``yaml`` added to a configuration for this test; ``{port}`` in it is the gateway's.

        ``environ`` overrides scalars as the environment does: ``SERVER__PREFIX="/auth"``.
        """
        port = port or free_port()
        config = self.write(yaml.replace("{port}", str(port)))
        values = {
            "SERVER__LISTEN": f"127.0.0.1:{port}",
            "SERVER__PUBLIC_URL": f"http://localhost:{port}",
            "DATABASE__URL": database or database_url(self.dsn_args),
            **environ,
        }
        settings = load_settings(config, {f"GATEWAY_{name}": value for name, value in values.items()}).settings
        running = await self._stack.enter_async_context(serving(settings, clock))
        client = await self._stack.enter_async_context(aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()))
        return Running(running, port, client, config)

    def write(self, yaml: str) -> Path:
        """Write a configuration; what the test does not say is quick and off."""
        self._started += 1
        path = self.directory / f"gateway-{self._started}.yaml"
        sections = {
            "server": "server: {internal_listen: null, drain_timeout: 1s}",
            "passwords": "passwords: {bcrypt_cost: 4}",
            "logging": "logging: {level: warning}",
            "data_dir": f"data_dir: {self.directory / 'var'}",
        }
        given = [text for key, text in sections.items() if not any(line.startswith(key) for line in yaml.splitlines())]
        path.write_text("\n".join(["version: 1", *given, yaml]), encoding="utf-8")
        return path

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture
async def gateway_factory(dsn_args: dict[str, Any], tmp_path: Path) -> AsyncIterator[GatewayFactory]:
    factory = GatewayFactory(dsn_args, tmp_path)
    yield factory
    await factory.close()


class Recorder:
    """An upstream that keeps the bytes of each request as they came, and answers 200."""

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.url = ""
        self._open: dict[asyncio.Task[None], asyncio.StreamWriter] = {}
        self._server: asyncio.Server | None = None

    @property
    def last(self) -> str:
        return self.requests[-1].decode("latin-1")

    def field(self, name: str) -> list[str]:
        """Return the values of a field in the last request."""
        lines = self.last.partition("\r\n\r\n")[0].split("\r\n")[1:]
        pairs = [line.partition(":") for line in lines]
        return [value.strip() for key, _, value in pairs if key.lower() == name.lower()]

    async def start(self) -> Recorder:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        for writer in self._open.values():
            writer.close()
        await asyncio.gather(*self._open)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open[task] = writer
        try:
            while True:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
                writer.write(_OK)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            del self._open[task]
            writer.close()


@pytest.fixture
async def recorder() -> AsyncIterator[Recorder]:
    upstream = await Recorder().start()
    yield upstream
    await upstream.stop()


async def _echo(request: web.Request) -> web.StreamResponse:
    """Tell what was received; ``/events`` streams, ``/socket`` is a WebSocket that echoes."""
    if request.path.endswith("/socket"):
        opened = web.WebSocketResponse()
        await opened.prepare(request)
        async for message in opened:
            await opened.send_str(str(message.data))
        return opened
    headers = [[name, value] for name, value in request.headers.items()]
    body = (await request.read()).decode("latin-1")
    return web.json_response({"method": request.method, "path": request.raw_path, "headers": headers, "body": body})


@asynccontextmanager
async def echo_served() -> AsyncIterator[str]:
    """Run an application that answers with what it received; give its URL."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", _echo)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
async def echo() -> AsyncIterator[str]:
    async with echo_served() as url:
        yield url


def field_of(answer: Answer, name: str) -> list[str]:
    """Return the values of a request field as the echo upstream saw them."""
    return [value for key, value in answer.json["headers"] if key.lower() == name.lower()]


class Cable:
    """A TCP way to the test's PostgreSQL that can be cut and mended."""

    def __init__(self, dsn_args: dict[str, Any]) -> None:
        self.port = free_port()
        self._socket = f"{dsn_args['host']}/.s.PGSQL.5432"
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def mend(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        for writer in [*self._writers]:
            writer.transport.abort()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        onward, back = await asyncio.open_unix_connection(self._socket)
        self._writers |= {writer, back}
        try:
            await asyncio.gather(_pump(reader, back), _pump(onward, writer))
        finally:
            self._tasks.discard(task)
            self._writers -= {writer, back}


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    try:
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        return
    finally:
        sink.close()


@pytest.fixture
async def cable(dsn_args: dict[str, Any]) -> AsyncIterator[Cable]:
    """Lay a cable to the test's database; ``database_url(dsn_args, at=...)`` goes through it."""
    laid = Cable(dsn_args)
    await laid.mend()
    yield laid
    await laid.cut()
