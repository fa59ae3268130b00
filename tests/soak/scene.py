"""Where an act takes place: a gateway's port, a person, and ways to ask."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.soak.ledger import Unavailable, WrongAnswer
from tests.soak.people import Person

_DOWN = frozenset({502, 503, 504})


@dataclass
class Scene:
    """One actor's: nothing in it is shared with another."""

    port: int
    person: Person
    http: aiohttp.ClientSession
    chance: random.Random

    @property
    def origin(self) -> str:
        return f"http://localhost:{self.port}"

    def credential(self) -> dict[str, str]:
        """Return the person's session or API token, by chance."""
        if self.chance.random() < 0.5:
            return {"Cookie": f"gateway={self.person.session}"}
        return {"Authorization": f"Bearer {self.person.api_token}"}

    def head(self, line: str, *fields: str) -> bytes:
        """Return a request's head with a credential, for a connection of the act's own."""
        pairs = [f"{name}: {value}" for name, value in self.credential().items()]
        return "\r\n".join([f"{line} HTTP/1.1", f"Host: localhost:{self.port}", *pairs, *fields, "", ""]).encode()

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
        """Open a connection that is cut at the end."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()

    def path(self) -> str:
        """Return a path; a few are asked for again and again."""
        number = self.chance.randrange(10) if self.chance.random() < 0.7 else self.chance.randrange(10**9)
        query = f"?q={self.chance.randrange(10**6)}" if self.chance.random() < 0.3 else ""
        return f"/echo/{number}{query}"


def hold(status: int, said: Mapping[str, Any], **expected: Any) -> None:
    """Raise WrongAnswer unless a 200 says what is expected, and Unavailable for an upstream that is down."""
    if status in _DOWN:
        raise Unavailable(f"{status} {said.get('code', '')}")
    if status != 200:
        raise WrongAnswer(f"{status} {said} where {expected} was right")
    found = {name: said.get(name) for name in expected}
    if found != expected:
        raise WrongAnswer(f"{found} where {expected} was right")


async def response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Read one response that has a Content-Length."""
    head = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.partition(b":")[2] for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
    if len(lengths) != 1:
        raise WrongAnswer(f"no single length in {head!r}")
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(lengths[0]))


def said(body: bytes) -> Mapping[str, Any]:
    """Return what an answer says, empty where that is not an object."""
    try:
        value = json.loads(body)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
