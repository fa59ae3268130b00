"""The PROXY protocol's header: read strictly, believed from trusted proxies, and never mixed up with what follows."""

from __future__ import annotations

import asyncio
import struct
from contextlib import AsyncExitStack
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.listening.proxy_protocol import ProxyHeader, ProxyHeaderRejected, read_header
from tests.proxy.conftest import Stand
from tests.proxy.proxying import Standing, connected, request

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
V1 = b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n"


def v2(command: int = 0x21, family: int = 0x11, payload: bytes | None = None, *, length: int | None = None) -> bytes:
    if payload is None:
        payload = IPv4Address("192.0.2.7").packed + IPv4Address("198.51.100.1").packed + struct.pack(">HH", 5, 443)
    return (
        SIGNATURE + bytes([command, family]) + struct.pack(">H", len(payload) if length is None else length) + payload
    )


V6 = IPv6Address("2001:db8::7").packed + IPv6Address("2001:db8::1").packed + struct.pack(">HH", 5, 443)
TAKEN = [
    pytest.param(V1, "192.0.2.7", id="v1-ipv4"),
    pytest.param(b"PROXY TCP6 2001:DB8::7 2001:db8::1 0 65535\r\n", "2001:db8::7", id="v1-ipv6"),
    pytest.param(
        b"PROXY TCP6 " + b" ".join([b"ffff:" * 7 + b"ffff"] * 2) + b" 65535 65535\r\n",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
        id="v1-longest",
    ),
    pytest.param(v2(), "192.0.2.7", id="v2-ipv4"),
    pytest.param(v2(family=0x21, payload=V6), "2001:db8::7", id="v2-ipv6"),
    pytest.param(v2(family=0x21, payload=V6 + b"\x04\x00\x02ab"), "2001:db8::7", id="v2-with-more"),
    pytest.param(v2(0x20, 0x00, b""), None, id="v2-local"),
    pytest.param(v2(0x20, 0x11), None, id="v2-local-with-addresses"),
]
REFUSED = [
    pytest.param(b"GET / HTTP/1.1\r\n", "no_header", id="http"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01", "no_header", id="tls"),
    pytest.param(b"proxy TCP4 192.0.2.7 198.51.100.1 1 2\r\n", "no_header", id="v1-lower-case"),
    pytest.param(b"PROXY UNKNOWN\r\n", "unknown_client", id="v1-unknown"),
    pytest.param(b"PROXY UNKNOWN 192.0.2.7 198.51.100.1 1 2\r\n", "unknown_client", id="v1-unknown-with-addresses"),
    pytest.param(b"PROXY TCP5 192.0.2.7 198.51.100.1 1 2\r\n", "malformed", id="v1-tcp5"),
    pytest.param(b"PROXY TCP4 192.0.2.7 198.51.100.1 1 65536\r\n", "malformed", id="v1-port-too-high"),
    pytest.param(b"PROXY TCP4 192.0.2.7 198.51.100.1 01 2\r\n", "malformed", id="v1-port-with-zero"),
    pytest.param(b"PROXY TCP4 192.0.2.7 198.51.100.1 1\r\n", "malformed", id="v1-one-port"),
    pytest.param(b"PROXY TCP4  192.0.2.7 198.51.100.1 1 2\r\n", "malformed", id="v1-two-spaces"),
    pytest.param(b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2 \r\n", "malformed", id="v1-space-at-its-end"),
    pytest.param(b"PROXY TCP4 192.0.2.07 198.51.100.1 1 2\r\n", "malformed", id="v1-octal"),
    pytest.param(b"PROXY TCP4 2001:db8::7 2001:db8::1 1 2\r\n", "malformed", id="v1-wrong-family"),
    pytest.param(b"PROXY TCP6 fe80::1%eth0 fe80::2 1 2\r\n", "malformed", id="v1-zone"),
    pytest.param(b"PROXY TCP4 192.0.2.7 198.51.100.1 1 2\n", "malformed", id="v1-bare-lf"),
    pytest.param(b"PROXY TCP4 192.0.2.7\r198.51.100.1 1 2", "malformed", id="v1-bare-cr"),
    pytest.param(b"PROXY TCP4 " + b"1" * 96, "malformed", id="v1-without-end"),
    pytest.param(v2(0x22), "malformed", id="v2-other-command"),
    pytest.param(v2(0x11), "malformed", id="v2-other-version"),
    pytest.param(v2(family=0x00), "unknown_client", id="v2-unspecified"),
    pytest.param(v2(family=0x12), "unknown_client", id="v2-udp"),
    pytest.param(v2(family=0x31, payload=bytes(216)), "unknown_client", id="v2-unix"),
    pytest.param(v2(payload=bytes(11)), "malformed", id="v2-too-short"),
    pytest.param(v2(family=0x21), "malformed", id="v2-ipv6-too-short"),
    pytest.param(v2(length=4097), "too_long", id="v2-too-long"),
]


@pytest.mark.parametrize(("header", "client"), TAKEN)
@pytest.mark.parametrize("rest", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01", V1])
def test_a_header_is_read_to_its_end_and_no_further(header: bytes, client: str | None, rest: bytes) -> None:
    assert read_header(header + rest) == ProxyHeader(len(header), client)


@pytest.mark.parametrize(("header", "client"), TAKEN)
def test_a_part_of_a_header_asks_for_more(header: bytes, client: str | None) -> None:
    assert {read_header(header[:size]) for size in range(len(header))} == {None}


@pytest.mark.parametrize(("data", "reason"), REFUSED)
def test_what_is_no_header_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ProxyHeaderRejected) as raised:
        read_header(data)
    assert raised.value.reason == reason


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(lambda tail: SIGNATURE + tail)))
def test_anything_is_a_header_a_beginning_or_refused(data: bytes) -> None:
    try:
        header = read_header(data)
    except ProxyHeaderRejected:
        return
    assert header is None or len(data) >= header.length


@given(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=50))
def test_every_address_is_read_from_both_versions(client: IPv4Address | IPv6Address, port: int, rest: bytes) -> None:
    first = f"PROXY TCP{client.version} {client} {client} {port} {port}\r\n".encode()
    family = 0x11 if client.version == 4 else 0x21
    second = v2(family=family, payload=client.packed * 2 + struct.pack(">HH", port, port))
    for header in (first, second):
        read = read_header(header + rest)
        assert read is not None
        assert read.length == len(header)
        assert ip_address(read.client or "") == client


@given(st.integers(0, 60), st.integers(0, 255))
def test_a_header_with_one_byte_changed_never_names_a_client_that_is_none(place: int, byte: int) -> None:
    data = bytearray(V1)
    data[place % len(data)] = byte
    try:
        header = read_header(bytes(data) + b"\r\n")
    except ProxyHeaderRejected:
        return
    if header is not None and header.client is not None:
        assert ip_address(header.client).version == 4


@pytest.fixture
async def front(stand: Stand) -> Standing:
    return await stand(
        SERVER__PROXY_PROTOCOL="true", SERVER__TRUSTED_PROXIES="127.0.0.1", SERVER__LIMITS__HEADER_TIMEOUT="300ms"
    )


@pytest.mark.parametrize("header", [V1, v2()], ids=["v1", "v2"])
async def test_the_client_is_who_the_proxy_says(front: Standing, header: bytes) -> None:
    reply = await front.ask(header + request("GET /public/x", "X-Forwarded-For: 203.0.113.9", token=""))
    assert reply.status == 200
    assert front.log[-1]["client"] == "192.0.2.7"


async def test_a_header_may_come_byte_by_byte(front: Standing) -> None:
    async with connected(front.port) as client:
        for byte in V1:
            client.send(bytes([byte]))
            await asyncio.sleep(0)
        client.send(request("GET /public/x", token=""))
        assert (await client.reply()).status == 200
        client.send(request("GET /public/x", token=""))
        assert (await client.reply()).status == 200
    assert [line["client"] for line in front.log] == ["192.0.2.7"] * 2


async def test_a_proxy_that_speaks_for_itself_is_its_own_client(front: Standing) -> None:
    fields = "X-Forwarded-For: 203.0.113.9"
    assert (await front.ask(v2(0x20, 0, b"") + request("GET /public/x", fields, token=""))).status == 200
    assert front.log[-1]["client"] == "203.0.113.9"


@pytest.mark.parametrize(
    "data",
    [request("GET /public/x", token=""), b"PROXY UNKNOWN\r\n" + request("GET /public/x", token=""), V1[:20], b""],
    ids=["without", "unknown", "half", "silence"],
)
async def test_a_connection_without_a_good_header_is_closed_unanswered(front: Standing, data: bytes) -> None:
    async with connected(front.port) as client:
        client.send(data)
        assert await client.ended() == b""
    assert front.hall.refused["proxy_header"] == 1
    assert front.hall.capacity.taken == 0
    assert front.log == []


async def test_a_second_header_is_no_request(front: Standing) -> None:
    assert (await front.ask(V1 + V1 + request("GET /public/x", token=""))).status == 400


async def test_a_header_of_an_untrusted_peer_is_not_even_read(stand: Stand) -> None:
    front = await stand(SERVER__PROXY_PROTOCOL="true", SERVER__TRUSTED_PROXIES="127.0.0.2")
    async with connected(front.port) as client:
        client.send(V1 + request("GET /public/x", token=""))
        assert await client.ended() == b""
    assert front.hall.refused["untrusted_peer"] == 1


async def test_without_the_option_a_header_is_a_malformed_request(stand: Stand) -> None:
    front = await stand(SERVER__TRUSTED_PROXIES="127.0.0.1")
    assert (await front.ask(V1 + request("GET /public/x", token=""))).status == 400
    assert front.log[-1]["client"] == "127.0.0.1"


async def test_the_share_is_the_client_s_own(stand: Stand) -> None:
    front = await stand(
        SERVER__PROXY_PROTOCOL="true", SERVER__TRUSTED_PROXIES="127.0.0.1", SERVER__LIMITS__CONNECTIONS="8"
    )
    async with AsyncExitStack() as stack:
        statuses = []
        for number in (7, 7, 7, 7, 7, 8):
            client = await stack.enter_async_context(connected(front.port))
            client.send(V1.replace(b"192.0.2.7", b"192.0.2.%d" % number) + request("GET /public/x", token=""))
            statuses.append((await client.reply()).status)
    assert statuses == [200, 200, 200, 200, 503, 200]
