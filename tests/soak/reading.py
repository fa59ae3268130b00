"""Acts that read: one request after another, many at once in order, slowly, or only half."""

from __future__ import annotations

import asyncio

from tests.soak.ledger import Unavailable, WrongAnswer
from tests.soak.scene import Scene, hold, response, said
from tests.soak.upstream import pattern

_PIPELINED = 5
_SLOW_BYTES = 1 << 20


async def read(scene: Scene) -> None:
    """Ask for something on a kept connection."""
    path = scene.path()
    async with scene.http.get(scene.origin + path, headers=scene.credential()) as answer:
        hold(answer.status, said(await answer.read()), user=scene.person.name, method="GET", path=path)


async def read_in_a_row(scene: Scene) -> None:
    """Send several requests without waiting: the answers come in their order."""
    paths = [scene.path() for _ in range(_PIPELINED)]
    async with scene.connected() as (reader, writer):
        writer.write(b"".join(scene.head(f"GET {path}") for path in paths))
        for path in paths:
            status, body = await response(reader)
            hold(status, said(body), user=scene.person.name, path=path)


async def read_slowly(scene: Scene) -> None:
    """Take a large body in small sips."""
    path = f"/bytes/{_SLOW_BYTES}?sip={scene.chance.randrange(10**6)}"
    async with scene.http.get(scene.origin + path, headers=scene.credential()) as answer:
        if answer.status != 200:
            hold(answer.status, {})
        found = bytearray()
        while data := await answer.content.read(32 * 1024):
            found += data
            await asyncio.sleep(0.02)
    if found != pattern(scene.person.name, path, _SLOW_BYTES):
        raise WrongAnswer(f"{len(found)} bytes of another body at {path}")


async def read_chunked(scene: Scene) -> None:
    """Take a body of which nobody knew the length."""
    length = scene.chance.randrange(1, 200_000)
    path = f"/bytes/{length}?chunked"
    async with scene.http.get(scene.origin + path, headers=scene.credential()) as answer:
        if answer.status != 200:
            hold(answer.status, {})
        if await answer.read() != pattern(scene.person.name, path, length):
            raise WrongAnswer(f"another body at {path}")


async def leave_while_reading(scene: Scene) -> None:
    """Ask for much, take a little, and be gone."""
    async with scene.connected() as (reader, writer):
        writer.write(scene.head("GET /bytes/5000000"))
        first = await reader.readuntil(b"\r\n")
        if b" 200 " not in first:
            hold(int(first.split()[1]), {})
        await reader.readexactly(scene.chance.randrange(100_000))


async def leave_before_the_answer(scene: Scene) -> None:
    async with scene.connected() as (_, writer):
        writer.write(scene.head("GET /poll"))
        await writer.drain()
        await asyncio.sleep(scene.chance.random() * 0.1)


async def stop_in_the_head(scene: Scene) -> None:
    """Send half a head, wait, and be gone."""
    async with scene.connected() as (_, writer):
        head = scene.head("GET /echo/half")
        writer.write(head[: scene.chance.randrange(1, len(head) - 3)])
        await asyncio.sleep(0.3)


async def wait_for_news(scene: Scene) -> None:
    """A long poll."""
    async with scene.http.get(scene.origin + "/poll", headers=scene.credential()) as answer:
        text = await answer.text()
        hold(answer.status, {"user": text}, user=scene.person.name)


async def come_as_nobody(scene: Scene) -> None:
    """Present what is no credential: it opens nothing, and nobody else's name helps."""
    forged = {"Authorization": "Bearer gwt_nonsense", "X-Soak-User": "person0", "X_Soak_User": "person0"}
    async with scene.http.get(scene.origin + "/echo/secret", headers=forged) as answer:
        await answer.read()
        if answer.status != 401:
            raise WrongAnswer(f"{answer.status} for a forged credential")


async def send_nonsense(scene: Scene) -> None:
    """Send what has two readings, with a request behind it."""
    async with scene.connected() as (reader, writer):
        first = scene.head("POST /echo/two", "Content-Length: 5", "Transfer-Encoding: chunked")
        writer.write(first + b"0\r\n\r\n" + scene.head("GET /echo/smuggled"))
        status, _ = await response(reader)
        if status in (502, 503, 504):
            raise Unavailable(str(status))
        if status != 400 or await reader.read():
            raise WrongAnswer(f"{status} for two framings, or an answer behind it")
