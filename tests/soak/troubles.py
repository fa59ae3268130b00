"""What goes wrong meanwhile: upstream servers are killed, signing keys are changed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import aiohttp

from gateway.cli.workshop import workshop
from gateway.config.load import load_settings
from tests.soak.ledger import Ledger
from tests.soak.people import Person
from tests.soak.scene import hold, said
from tests.soak.stage import Server

_DOWN_SECONDS = 0.5
_AT_ONCE = 16


async def kill_servers(servers: Sequence[Server], ledger: Ledger, over: asyncio.Event, every: float) -> None:
    """Kill one server after the other, and start it again a moment later."""
    turn = 0
    while not await _passed(over, every):
        server = servers[turn % len(servers)]
        turn += 1
        ledger.disturbed()
        await server.kill()
        await asyncio.sleep(_DOWN_SECONDS)
        await server.start()
        ledger.disturbed()


async def rotate_keys(config: Path, over: asyncio.Event, every: float) -> None:
    """Sign with another key now and then: what the last one signed stays good."""
    async with workshop(load_settings(config, {}).settings) as accounts:
        while not await _passed(over, every):
            await accounts.keys.rotate()


async def come_in_new_guises(port: int, person: Person, count: int) -> None:
    """Send so many requests with fields that no other has, each for a path of its own."""
    gate = asyncio.Semaphore(_AT_ONCE)
    connector = aiohttp.TCPConnector(limit=_AT_ONCE)
    async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as http:

        async def one(number: int) -> None:
            headers = {"Cookie": f"gateway={person.session}", "User-Agent": f"guise {number}"}
            async with gate, http.get(f"http://localhost:{port}/echo/guise/{number}", headers=headers) as answer:
                hold(answer.status, said(await answer.read()), user=person.name)

        await asyncio.gather(*(one(number) for number in range(count)))


async def _passed(over: asyncio.Event, seconds: float) -> bool:
    """Wait; say whether everything is over."""
    try:
        await asyncio.wait_for(over.wait(), seconds)
    except TimeoutError:
        return False
    return True
