"""Sends requests into applications as servers do, without one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from wsgiref.util import setup_testing_defaults

import aiohttp
from aiohttp import web
from aiohttp.test_utils import TestServer

Fields = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def code(self) -> str:
        """Return the problem's code; empty where the answer is none."""
        is_problem = self.headers.get("content-type") == "application/problem+json"
        return json.loads(self.body)["code"] if is_problem else ""


Ask = Callable[[str, Fields], Awaitable[Reply]]


def over_wsgi(app: Any) -> Ask:
    def ask(path: str, fields: Fields) -> Reply:
        environ: dict[str, Any] = {"PATH_INFO": path}
        setup_testing_defaults(environ)
        for name, value in fields:
            key = f"HTTP_{name.upper().replace('-', '_')}"
            environ[key] = f"{environ[key]},{value}" if key in environ else value
        started: list[Any] = []
        parts = app(environ, lambda status, headers, exc_info=None: started.append((status, headers)))
        body = b"".join(parts)
        if hasattr(parts, "close"):
            parts.close()
        status, headers = started[0]
        return Reply(int(status.split()[0]), {name.lower(): value for name, value in headers}, body)

    return lambda path, fields: asyncio.to_thread(ask, path, fields)


async def sent_by_asgi(app: Any, scope: dict[str, Any], received: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what the application sends; after ``received`` it waits, as for a client that says no more."""
    waiting = list(received)
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await asyncio.wait_for(app(scope, receive, send), 10)
    return sent


def scope_of(kind: str, path: str, fields: Fields) -> dict[str, Any]:
    headers = [(name.lower().encode(), value.encode()) for name, value in [("host", "localhost"), *fields]]
    return {
        "type": kind,
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": headers,
        "client": ("127.0.0.1", 1),
        "server": ("localhost", 80),
        **({"method": "GET"} if kind == "http" else {"subprotocols": []}),
    }


def over_asgi(app: Any) -> Ask:
    async def ask(path: str, fields: Fields) -> Reply:
        sent = await sent_by_asgi(app, scope_of("http", path, fields), [{"type": "http.request", "body": b""}])
        headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], headers, b"".join(each.get("body", b"") for each in sent[1:]))

    return ask


def over_aiohttp(app: web.Application) -> Ask:
    async def ask(path: str, fields: Fields) -> Reply:
        async with (
            TestServer(app) as server,
            aiohttp.ClientSession() as client,
            client.get(server.make_url(path), headers=list(fields)) as answer,
        ):
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Reply(answer.status, headers, await answer.read())

    return ask
