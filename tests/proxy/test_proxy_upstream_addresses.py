"""A server's name, its addresses, and the way to one that answers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest

from gateway.errors import UpstreamTimeout, UpstreamUnreachable
from gateway.proxy.upstream.addresses import Addresses
from gateway.proxy.upstream.connector import TcpConnector
from tests.proxy.proxying import Upstream


class Resolver:
    """Answers with ``addresses``; none: the name is not found. ``hold`` keeps it from answering."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked = 0
        self.hold: asyncio.Event | None = None

    async def __call__(self, _host: str, _port: int) -> list[str]:
        self.asked += 1
        if self.hold is not None:
            await self.hold.wait()
        if not self.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "not known")
        return list(self.addresses)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def later(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_addresses_take_turns_and_those_that_failed_come_last() -> None:
    name = Addresses("app.internal", 80, 30, Resolver("10.0.0.1", "10.0.0.2", "10.0.0.3"))
    assert {(await name.in_order())[0] for _ in range(3)} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    name.failed("10.0.0.2")
    assert {(await name.in_order())[-1] for _ in range(5)} == {"10.0.0.2"}
    name.succeeded("10.0.0.2")
    assert {(await name.in_order())[0] for _ in range(3)} == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_an_address_is_not_looked_up(host: str) -> None:
    resolver = Resolver()
    name = Addresses(host, 80, 30, resolver)
    name.refresh(later(1e6))
    assert (await name.in_order(), resolver.asked) == ((host,), 0)


async def test_requests_that_come_together_share_one_lookup_and_none_ends_it() -> None:
    resolver = Resolver("10.0.0.1")
    resolver.hold = asyncio.Event()
    name = Addresses("app.internal", 80, 30, resolver)
    first, second = (asyncio.create_task(name.in_order()) for _ in range(2))
    await settle()
    first.cancel()
    await settle()
    resolver.hold.set()
    assert (await second, resolver.asked) == (("10.0.0.1",), 1)


async def test_a_name_is_looked_up_again_beside_requests() -> None:
    resolver = Resolver("10.0.0.1")
    name = Addresses("app.internal", 80, 30, resolver)
    name.refresh(later(1e6))
    assert resolver.asked == 0, "nobody has asked for it yet"
    await name.in_order()
    name.refresh(later(29))
    assert resolver.asked == 1
    resolver.addresses = ["10.0.0.2"]
    resolver.hold = asyncio.Event()
    name.refresh(later(31))
    await settle()
    assert await name.in_order() == ("10.0.0.1",), "what is known is used meanwhile"
    resolver.hold.set()
    await settle()
    assert await name.in_order() == ("10.0.0.2",)


async def test_what_was_known_outlives_a_name_server() -> None:
    resolver = Resolver("10.0.0.1")
    name = Addresses("app.internal", 80, 30, resolver)
    await name.in_order()
    resolver.addresses = []
    name.refresh(later(31))
    await settle()
    assert (await name.in_order(), resolver.asked) == (("10.0.0.1",), 2)
    name.refresh(later(29))
    assert resolver.asked == 2, "a lookup that failed is not repeated at once"


async def test_a_name_that_nobody_knows_is_unreachable_and_asked_for_again() -> None:
    resolver = Resolver()
    name = Addresses("app.internal", 80, 30, resolver)
    with pytest.raises(UpstreamUnreachable, match="name_not_found"):
        await name.in_order()
    resolver.addresses = ["10.0.0.1"]
    assert await name.in_order() == ("10.0.0.1",)


async def test_stopping_ends_a_lookup() -> None:
    resolver = Resolver("10.0.0.1")
    resolver.hold = asyncio.Event()
    name = Addresses("app.internal", 80, 30, resolver)
    asking = asyncio.create_task(name.in_order())
    await settle()
    await name.stop()
    with pytest.raises(asyncio.CancelledError):
        await asking


# The connector: 127.0.0.2 and the like are this machine, too, but the upstream listens on 127.0.0.1 only.


@pytest.fixture
async def silent(upstream: Upstream) -> AsyncIterator[str]:
    """Give an address at which the upstream's port takes no connection and refuses none: its backlog is full."""
    listening = socket.socket()
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind(("127.0.0.3", upstream.port))
    listening.listen(0)
    waiting = []
    for _ in range(3):
        client = socket.socket()
        client.settimeout(0)
        client.connect_ex(("127.0.0.3", upstream.port))
        waiting.append(client)
    yield "127.0.0.3"
    for each in (*waiting, listening):
        each.close()


def to(port: int, *addresses: str) -> TcpConnector:
    return TcpConnector(
        "http://app.internal", Addresses("app.internal", port, 30, Resolver(*addresses)), port, None, ""
    )


async def test_every_address_of_a_name_is_tried(upstream: Upstream) -> None:
    connector = to(upstream.port, "127.0.0.2", "127.0.0.1")
    for _ in range(4):
        connection = await connector.connect(5)
        assert connection.address == "127.0.0.1"
        connection.close()


async def test_an_address_that_swallows_packets_leaves_time_to_the_others(upstream: Upstream, silent: str) -> None:
    connector = to(upstream.port, silent, "127.0.0.1")
    for _ in range(2):  # whichever is first
        connection = await connector.connect(0.6)
        assert connection.address == "127.0.0.1"
        connection.close()


async def test_a_name_of_which_no_address_answers_is_unreachable_or_late(upstream: Upstream, silent: str) -> None:
    with pytest.raises(UpstreamUnreachable, match="connect_failed"):
        await to(upstream.port, "127.0.0.2").connect(5)
    with pytest.raises(UpstreamTimeout, match="connect_timeout"):
        await to(upstream.port, silent).connect(0.2)


async def test_a_connection_leads_to_what_is_still_the_servers(upstream: Upstream) -> None:
    resolver = Resolver("127.0.0.1")
    name = Addresses("app.internal", upstream.port, 30, resolver)
    connector = TcpConnector("http://app.internal", name, upstream.port, None, "")
    connection = await connector.connect(5)
    assert connector.leads_to(connection.address)
    resolver.addresses = ["127.0.0.9"]
    connector.refresh(later(31))
    await settle()
    assert not connector.leads_to(connection.address)
    connection.close()
