"""Acts that stay: WebSockets and server-sent events."""

from __future__ import annotations

import asyncio

import aiohttp

from tests.soak.ledger import Unavailable, WrongAnswer
from tests.soak.scene import Scene, hold


async def talk(scene: Scene) -> None:
    """Exchange messages on a WebSocket, and end it in one of three ways."""
    try:
        headers = scene.credential() | {"Origin": scene.origin}
        opened = await scene.http.ws_connect(scene.origin + "/socket", headers=headers)
    except aiohttp.WSServerHandshakeError as error:
        hold(error.status, {})
        raise
    async with opened:
        for number in range(scene.chance.randrange(1, 30)):
            text = f"{number} " + "x" * scene.chance.randrange(5_000)
            await opened.send_str(text)
            message = await opened.receive(timeout=10)
            if message.type is not aiohttp.WSMsgType.TEXT:
                raise Unavailable(f"{message.type} in place of a message")
            if message.data != f"{scene.person.name} {text}":
                raise WrongAnswer(f"{message.data[:60]!r} where message {number} of {scene.person.name} was right")
            await asyncio.sleep(0.01)
        if scene.chance.random() < 0.3 and (raw := opened.get_extra_info("socket")) is not None:
            raw.shutdown(2)


async def listen(scene: Scene) -> None:
    """Take events as they come, to their end or not."""
    count = scene.chance.randrange(5, 60)
    wanted = count if scene.chance.random() < 0.6 else count // 2
    async with scene.http.get(f"{scene.origin}/events/{count}", headers=scene.credential()) as answer:
        if answer.status != 200:
            hold(answer.status, {})
        for number in range(wanted):
            line = await answer.content.readuntil(b"\n\n")
            if line != f"data: {scene.person.name} {number}\n\n".encode():
                raise WrongAnswer(f"{line!r} where event {number} of {scene.person.name} was right")
        if wanted == count and await answer.content.read():
            raise WrongAnswer("something behind the last event")
