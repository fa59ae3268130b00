"""The line of requests that wait for a server to have room."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from gateway.config.upstream import UpstreamLimits
from gateway.errors import UpstreamBusy, UpstreamDown
from gateway.proxy.upstream.line import Line
from gateway.proxy.upstream.server import Server

SERVER = cast("Server", object())


class Room:
    """So much room at one server, and the line before it."""

    def __init__(self, room: int = 0, **limits: Any) -> None:
        self.room = room
        self.down = False
        self.line = Line(UpstreamLimits(**{"queue": 3, "queue_timeout": "60s", **limits}), self._reserve, self.free)

    def _reserve(self, _client: str) -> Server | None:
        if self.down:
            raise UpstreamDown(1)
        if not self.room:
            return None
        self.room -= 1
        return SERVER

    def free(self, _server: Server = SERVER) -> None:
        self.room += 1
        self.line.advance()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_first_come_first_served_and_nobody_pushes_in() -> None:
    room, order = Room(), []

    async def wait(name: str) -> None:
        await room.line.wait(name)
        order.append(name)

    waiting = [asyncio.create_task(wait(name)) for name in ("first", "second", "third")]
    await settle()
    room.free()
    assert room.room == 0  # the first one's, though it has not run yet
    room.free()
    room.free()
    await asyncio.gather(*waiting)
    assert order == ["first", "second", "third"]


async def test_beyond_the_queue_it_is_refused_at_once() -> None:
    room = Room(queue=0)
    with pytest.raises(UpstreamBusy) as refused:
        await room.line.wait("client")
    assert refused.value.retry_after_seconds >= 1


async def test_who_waits_too_long_is_refused_and_holds_no_place() -> None:
    room = Room(queue_timeout="10ms")
    with pytest.raises(UpstreamBusy):
        await room.line.wait("client")
    assert not room.line.places


@pytest.mark.parametrize("moment", ["while-waiting", "as-its-turn-comes", "before-it-could-say-so"])
async def test_who_goes_away_takes_no_room_along(moment: str) -> None:
    room = Room()
    leaving, staying = (asyncio.create_task(room.line.wait(name)) for name in ("leaving", "staying"))
    await settle()
    if moment == "as-its-turn-comes":
        room.free()
        leaving.cancel()
    elif moment == "before-it-could-say-so":
        leaving.cancel()
        room.free()
    else:
        leaving.cancel()
        await settle()
        room.free()
    async with asyncio.timeout(5):
        assert await staying is SERVER
    assert leaving.cancelled() or leaving.cancelling()
    assert (room.room, len(room.line.places)) == (0, 0)


async def test_when_no_server_works_nobody_waits_on() -> None:
    room = Room()
    waiting = [asyncio.create_task(room.line.wait("client")) for _ in range(3)]
    await settle()
    room.down = True
    room.line.advance()
    assert [type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)] == [UpstreamDown] * 3
