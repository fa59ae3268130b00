"""Acts that send: bodies that arrive whole, bodies that do not, and bodies that are refused half-way."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator

from tests.soak.ledger import WrongAnswer
from tests.soak.scene import Scene, hold, response, said

_MOST = 1 << 20


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 10_000):
        yield body[start : start + 10_000]
        await asyncio.sleep(0)


async def upload(scene: Scene) -> None:
    """Send a body of some length, which the client may know."""
    body = scene.chance.randbytes(scene.chance.randrange(_MOST))
    expected = {"user": scene.person.name, "length": len(body), "sha256": hashlib.sha256(body).hexdigest()}
    data = body if scene.chance.random() < 0.5 else _pieces(body)
    async with scene.http.post(scene.origin + "/echo/up", headers=scene.credential(), data=data) as answer:
        hold(answer.status, said(await answer.read()), method="POST", **expected)


async def upload_when_told_to(scene: Scene) -> None:
    """Wait for a 100 before the body (RFC 9110 section 10.1.1)."""
    body = scene.chance.randbytes(10_000)
    async with scene.http.put(
        scene.origin + "/echo/expected", headers=scene.credential(), data=body, expect100=True
    ) as answer:
        hold(answer.status, said(await answer.read()), user=scene.person.name, length=len(body))


async def upload_slowly(scene: Scene) -> None:
    body = scene.chance.randbytes(3_000)
    async with scene.connected() as (reader, writer):
        writer.write(scene.head("POST /echo/slow", f"Content-Length: {len(body)}"))
        for start in range(0, len(body), 100):
            writer.write(body[start : start + 100])
            await asyncio.sleep(0.02)
        status, answer = await response(reader)
        hold(status, said(answer), user=scene.person.name, sha256=hashlib.sha256(body).hexdigest())


async def abort_an_upload(scene: Scene) -> None:
    """Announce more than is sent, and cut the connection."""
    framing = scene.chance.choice(("Content-Length: 1000000", "Transfer-Encoding: chunked"))
    async with scene.connected() as (_, writer):
        writer.write(scene.head("POST /echo/aborted", framing))
        writer.write(b"8000\r\n" + bytes(scene.chance.randrange(30_000)))
        await writer.drain()
        await asyncio.sleep(scene.chance.random() * 0.1)


async def be_refused_early(scene: Scene) -> None:
    """Send a body to somebody who answers without reading it."""
    async with scene.connected() as (reader, writer):
        writer.write(scene.head("POST /refuse", "Content-Length: 1000000") + bytes(20_000))
        status, answer = await response(reader)
        if status != 409:
            hold(status, said(answer))
            raise WrongAnswer(f"{status} where 409 was right")
        if answer.decode() != scene.person.name:
            raise WrongAnswer(f"the refusal is for {answer!r}, not for {scene.person.name}")
