"""Slow clients are cut off, too many are turned away, and nobody else notices."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import pytest

from gateway.listening.capacity import Seat
from gateway.listening.hall import Hall
from gateway.listening.pace import Verdict
from tests.proxy.conftest import Stand
from tests.proxy.proxying import RawClient, Standing, Upstream, connected, request

QUICK = {
    "SERVER__LIMITS__HEADER_TIMEOUT": "300ms",
    "SERVER__LIMITS__IDLE_TIMEOUT": "600ms",
    "SERVER__LIMITS__BODY_RATE": "1000",
}
SMALL = {"SERVER__LIMITS__CONNECTIONS": "8"}
HEAD = b"POST / HTTP/1.1\r\nHost: app.test\r\nAuthorization: Bearer ann-token\r\n"


async def trickle(client: RawClient, start: bytes, piece: bytes) -> None:
    """Send a start and then a little, again and again, until the other end has had enough."""
    client.send(start)
    while not client.writer.transport.is_closing():
        await asyncio.sleep(0.05)
        client.send(piece)


async def cut_off(front: Standing, start: bytes, piece: bytes) -> bytes:
    async with connected(front.port) as client, asyncio.TaskGroup() as group:
        sending = group.create_task(trickle(client, start, piece))
        answer = await client.ended()
        sending.cancel()
    return answer


@pytest.mark.parametrize(
    ("start", "piece", "verdict", "answer"),
    [
        pytest.param(b"", b"", Verdict.IDLE, b"", id="silence"),
        pytest.param(b"GET / HT", b"", Verdict.SLOW_HEAD, b" 408 ", id="head-that-stops"),
        pytest.param(b"GET / HTTP/1.1\r\n", b"X-A: b\r\n", Verdict.SLOW_HEAD, b" 408 ", id="field-by-field"),
        pytest.param(b"GET /", b"a", Verdict.SLOW_HEAD, b" 408 ", id="byte-by-byte"),
        pytest.param(HEAD + b"Content-Length: 4096\r\n\r\n", b"a", Verdict.SLOW_BODY, b" 408 ", id="body"),
        pytest.param(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\na\r\n", Verdict.SLOW_BODY, b" 408 ", id="chunks"
        ),
        pytest.param(
            b"POST /api/upload HTTP/1.1\r\nHost: portal.test\r\nContent-Length: 4096\r\n\r\n",
            b"a",
            Verdict.SLOW_BODY,
            b" 408 ",
            id="body-for-the-portal",
        ),
    ],
)
async def test_a_client_that_takes_its_time_is_cut_off(
    stand: Stand, start: bytes, piece: bytes, verdict: Verdict, answer: bytes
) -> None:
    front = await stand(**QUICK)
    reply = await cut_off(front, start, piece)
    # What was still being sent may have made a reset of the end, and that takes the answer away.
    assert answer in reply[:20] or reply == b"", reply
    assert front.patrol.ended[verdict] == 1
    if answer:
        assert front.log[-1]["status"] == 408


async def test_a_body_that_keeps_its_rate_is_let_through(stand: Stand, upstream: Upstream) -> None:
    front = await stand(**QUICK)
    async with connected(front.port) as client:
        client.send(HEAD + b"Content-Length: 6000\r\n\r\n")
        for _ in range(12):
            await asyncio.sleep(0.1)
            client.send(b"a" * 500)
        assert (await client.reply()).status == 200
    assert len(upstream.last.body) == 6000


async def test_crumbs_of_a_body_all_arrive_where_many_are_under_way(
    stand: Stand, upstream: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.listening.patrol._MANY_BODIES", 0)
    front = await stand()
    async with connected(front.port) as client:
        client.send(HEAD + b"Content-Length: 30\r\n\r\n")
        await until(lambda: front.patrol.crowded)
        arrived = set()
        for _ in range(30):
            client.send(b"a")
            await asyncio.sleep(0.02)
            arrived |= {connection._received for connection in front.server.open}
        assert (await client.reply()).status == 200
        assert len(arrived) < 10  # rounds, not crumbs
        client.send(request("GET /"))
        assert (await client.reply()).status == 200
    assert upstream.requests[0].body == b"a" * 30


async def test_an_upstream_that_does_not_read_is_not_the_client_s_fault(stand: Stand, upstream: Upstream) -> None:
    async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await asyncio.sleep(1.5)
        writer.transport.resume_reading()  # type: ignore[attr-defined]
        await reader.readexactly(size)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    size = 20_000_000
    upstream.serve = stall
    front = await stand(response="5s", **QUICK)
    async with connected(front.port) as client:
        client.send(HEAD + b"Content-Length: %d\r\n\r\n" % size + b"a" * size)
        assert (await client.reply()).status == 200


async def test_who_takes_nothing_of_an_answer_is_cut_off(stand: Stand, upstream: Upstream) -> None:
    upstream.answer = b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n" + b"a" * 50_000
    front = await stand(**QUICK)
    async with connected(front.port) as client:
        client.writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        client.send(request("GET /") * 200)
        await until(lambda: len(upstream.requests) > 0)
        await until(lambda: front.hall.capacity.taken == 0)


async def test_a_head_that_never_ends_is_refused_before_it_fills_the_memory(stand: Stand) -> None:
    front = await stand(SERVER__LIMITS__HEADER_BYTES="4KiB")
    async with connected(front.port) as client:
        client.send(b"GET / HTTP/1.1\r\nHost: app.test\r\n")
        for number in range(38):
            client.send(b"X-%d: %b\r\n" % (number, b"a" * 100))
            await asyncio.sleep(0.001)
        assert client.reader.at_eof() is False
        client.send(b"Y: %b\r\n" % (b"a" * 500))
        reply = await client.reply()
    assert (reply.status, reply.code) == (431, "header_too_large")


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():
            await asyncio.sleep(0.01)


Open = Callable[[str], Awaitable[RawClient]]


async def open_many(stack: AsyncExitStack, front: Standing, count: int, address: str = "127.0.0.1") -> list[RawClient]:
    """Open connections from one of the loopback's addresses, and wait until they were seen."""
    clients = []
    for _ in range(count):
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port, local_addr=(address, 0))
        stack.callback(writer.transport.abort)
        clients.append(RawClient(reader, writer))
    await until(lambda: front.hall.capacity.taken + front.hall.refused.total() >= len(clients))
    return clients


async def test_one_address_cannot_take_every_place(stand: Stand) -> None:
    front = await stand(**SMALL)
    async with AsyncExitStack() as stack:
        attackers = await open_many(stack, front, 6, "127.0.0.2")
        assert (front.hall.capacity.taken, front.hall.refused["full"]) == (4, 2)
        refused = await attackers[-1].reply()
        assert (refused.status, refused.code, refused.one("retry-after")) == (503, "too_many_connections", "1")
        assert await attackers[-1].ended() == b""
        others = await open_many(stack, front, 1, "127.0.0.3")
        others[0].send(request("GET /"))
        assert (await others[0].reply()).status == 200


async def test_a_flood_from_one_network_has_one_turn_at_a_time(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """A client may have a /64 of IPv6 to itself: by address it would have a turn for each."""
    front = await stand()
    welcomed: list[str] = []

    async def welcome(_hall: Hall, accepted: socket.socket, seat: Seat, peer: str) -> None:
        welcomed.append(peer)
        seat.leave()
        accepted.close()

    monkeypatch.setattr(Hall, "_welcome", welcome)
    for number in range(50):
        front.hall._arrived(socket.socket(), f"2001:db8::{number:x}")
    front.hall._arrived(socket.socket(), "2001:db8:0:1::1")
    async with asyncio.timeout(5):
        while len(welcomed) < 51:
            await asyncio.sleep(0)
    assert welcomed.index("2001:db8:0:1::1") <= 2
    assert front.hall.capacity.taken == 0


async def test_a_trusted_proxy_has_no_share_but_the_whole(stand: Stand) -> None:
    front = await stand(**SMALL, SERVER__TRUSTED_PROXIES="127.0.0.2")
    async with AsyncExitStack() as stack:
        proxy = await open_many(stack, front, 9, "127.0.0.2")
        assert (front.hall.capacity.taken, front.hall.refused["full"]) == (8, 1)
        assert (await proxy[-1].reply()).status == 503


async def test_a_place_is_free_again_when_its_connection_ends(stand: Stand) -> None:
    front = await stand(**SMALL)
    for _ in range(3):
        async with AsyncExitStack() as stack:
            clients = await open_many(stack, front, 4)
            for client in clients:
                client.send(request("GET /"))
                assert (await client.reply()).status == 200
        await until(lambda: front.hall.capacity.taken == 0)
    assert front.hall.refused.total() == 0
