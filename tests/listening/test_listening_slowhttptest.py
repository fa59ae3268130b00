"""slowhttptest in each of its modes: others are served meanwhile, and the attackers' connections are cut off."""

from __future__ import annotations

import asyncio
import shutil
from time import perf_counter

import pytest

from tests.proxy.conftest import Stand
from tests.proxy.proxying import RawClient, Upstream, connected, request

CONNECTIONS = 100
ROUTES = 'routes: [{name: app, match: {host: "*.0.0.1"}, access: public, upstream: "URL"}]'
LIMITS = {
    "SERVER__LIMITS__HEADER_TIMEOUT": "1s",
    "SERVER__LIMITS__IDLE_TIMEOUT": "2s",
    "SERVER__LIMITS__BODY_RATE": "1KiB",
}
PAGE = b"y" * 1_000_000

pytestmark = pytest.mark.skipif(shutil.which("slowhttptest") is None, reason="slowhttptest is not installed")


@pytest.mark.parametrize(
    "mode",
    [
        pytest.param(("-H", "-i", "1"), id="slow-headers"),
        pytest.param(("-B", "-i", "1", "-s", "8192"), id="slow-bodies"),
        pytest.param(("-R", "-a", "5", "-b", "3000"), id="ranges"),
        pytest.param(("-X", "-w", "256", "-y", "512", "-n", "1", "-z", "32"), id="slow-readers"),
    ],
)
async def test_others_are_served_and_the_attackers_are_cut_off(
    stand: Stand, upstream: Upstream, mode: tuple[str, ...]
) -> None:
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(PAGE), PAGE)
    front = await stand(ROUTES, response="10s", idle="10s", **LIMITS)
    attack = await asyncio.create_subprocess_exec(
        *("slowhttptest", *mode, "-c", str(CONNECTIONS), "-r", str(CONNECTIONS), "-l", "15"),
        *("-u", f"http://127.0.0.1:{front.port}/"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        most, served = 0, 0
        async with connected(front.port) as client, asyncio.timeout(30):
            # It ends by itself once each of its connections was closed.
            while attack.returncode is None:
                most = max(most, front.hall.capacity.taken)
                served += await answered(client)
                await asyncio.sleep(0.05)
    finally:
        if attack.returncode is None:
            attack.kill()
            await attack.wait()
    assert max(most, len(upstream.requests)) > CONNECTIONS // 2
    assert served > 10
    async with asyncio.timeout(10):
        while front.hall.capacity.taken:
            await asyncio.sleep(0.05)


async def answered(client: RawClient) -> bool:
    """Send a request that waits for no large page, and say that it was answered soon."""
    started = perf_counter()
    client.send(request("GET /nowhere", host="app.test", token=""))
    assert (await client.reply()).status == 404
    return perf_counter() - started < 2
