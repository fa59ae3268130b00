"""WebSockets through the gateway: opened by who may, joined as raw bytes, closed by either end or a revocation."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import pytest

from tests.proxy.conftest import Stand
from tests.proxy.proxying import OK, RawClient, Serve, Standing, Upstream, connected, request

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = base64.b64encode(hashlib.sha1(KEY.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()).decode()
SWITCH = (
    f"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {ACCEPT}"
)
HANDSHAKE = ("Connection: Upgrade", "Upgrade: websocket", f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13")
SESSION = "Cookie: gateway=ann-session"


def echoing(upstream: Upstream, first: bytes = b"") -> Serve:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(SWITCH.encode() + b"\r\nSec-WebSocket-Protocol: chat\r\nX-Forwarded-User: x\r\n\r\n" + first)
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()

    return serve


async def opened(client: RawClient, *fields: str, token: str = "ann-token") -> bytes:
    client.send(request("GET /socket", *HANDSHAKE, *fields, token=token))
    status, head = await client.head()
    assert status == 101, head
    return head


async def test_bytes_pass_both_ways_untouched(front: Standing, upstream: Upstream) -> None:
    upstream.serve = echoing(upstream)
    async with connected(front.port) as client, asyncio.timeout(5):
        head = await opened(client, "Sec-WebSocket-Protocol: chat", "X_Forwarded_User: root")
        assert b"\r\nSec-WebSocket-Protocol: chat" in head
        assert b"X-Forwarded-User" not in head
        for data in (b"\x81\x05hello", bytes(range(256)) * 1000, b"GET / HTTP/1.1\r\n\r\n"):
            client.send(data)
            assert await client.reader.readexactly(len(data)) == data
    last = upstream.last
    assert (last.all("upgrade"), last.all("connection")) == (["websocket"], ["Upgrade"])
    assert last.all("sec-websocket-key") == [KEY]
    assert last.all("x-forwarded-user") == ["ann"]
    async with asyncio.timeout(5):
        await upstream.ended.wait()
    await asyncio.sleep(0.05)
    assert front.log[0]["status"] == 101
    assert len(front.live) == 0


async def test_bytes_behind_the_101_and_before_it_are_not_lost(front: Standing, upstream: Upstream) -> None:
    upstream.serve = echoing(upstream, first=b"\x81\x02hi")
    async with connected(front.port) as client, asyncio.timeout(5):
        client.send(request("GET /socket", *HANDSHAKE) + b"early")
        assert (await client.head())[0] == 101
        assert await client.reader.readexactly(9) == b"\x81\x02hiearly"


async def test_the_upstreams_end_closes_the_client(front: Standing, upstream: Upstream) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(SWITCH.encode() + b"\r\n\r\nbye")

    upstream.serve = serve
    async with connected(front.port) as client:
        await opened(client)
        assert await client.ended() == b"bye"


@pytest.mark.parametrize(
    ("origins", "status"),
    [
        (["Origin: http://app.test"], 101),
        (["Origin: https://app.test:80"], 101),
        ([], 403),
        (["Origin: null"], 403),
        (["Origin: http://evil.test"], 403),
        (["Origin: http://app.test.evil.test"], 403),
        (["Origin: http://app.test:8080"], 403),
        (["Origin: http://app.test", "Origin: http://evil.test"], 403),
    ],
)
async def test_a_session_cookie_opens_a_socket_only_for_pages_of_the_same_host(
    front: Standing, upstream: Upstream, origins: list[str], status: int
) -> None:
    upstream.serve = echoing(upstream)
    async with connected(front.port) as client:
        client.send(request("GET /socket", *HANDSHAKE, *origins, SESSION, token=""))
        assert (await client.head())[0] == status
    assert bool(upstream.requests) == (status == 101)


async def test_a_token_opens_a_socket_whatever_the_origin(front: Standing, upstream: Upstream) -> None:
    upstream.serve = echoing(upstream)
    async with connected(front.port) as client:
        await opened(client, "Origin: http://evil.test")


@pytest.mark.parametrize(("token", "path", "status"), [("", "/socket", 401), ("bob-token", "/staff/x", 403)])
async def test_who_may_not_enter_opens_no_socket(
    front: Standing, upstream: Upstream, token: str, path: str, status: int
) -> None:
    async with connected(front.port) as client:
        client.send(request(f"GET {path}", *HANDSHAKE, token=token))
        assert (await client.reply()).status == status
        client.send(request("GET /after"))
        assert (await client.reply()).status == 200
    assert [received.line.split()[1] for received in upstream.requests] == ["/after"]


async def test_a_route_may_take_no_sockets(stand: Stand, upstream: Upstream) -> None:
    front = await stand('routes: [{match: {host: app.test}, access: public, websocket: false, upstream: "URL"}]')
    reply = await front.get("/", *HANDSHAKE)
    assert (reply.status, reply.code) == (400, "bad_upgrade")
    assert upstream.requests == []


@pytest.mark.parametrize(
    "answer",
    [
        SWITCH.replace(ACCEPT, "AAAAAAAAAAAAAAAAAAAAAAAAAAA=") + "\r\n\r\n",
        SWITCH.replace("Upgrade: websocket", "Upgrade: h2c") + "\r\n\r\n",
        SWITCH.replace("Connection: Upgrade\r\n", "") + "\r\n\r\n",
        SWITCH + f"\r\nSec-WebSocket-Accept: {ACCEPT}\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n",
        "HTTP/1.0 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        "early bytes" + SWITCH + "\r\n\r\n",
    ],
)
async def test_a_101_that_does_not_answer_the_handshake_is_502(
    front: Standing, upstream: Upstream, answer: str
) -> None:
    upstream.answer, upstream.close = answer.encode(), True
    reply = await front.get("/socket", *HANDSHAKE)
    assert (reply.status, reply.code) == (502, "bad_gateway")


@pytest.mark.parametrize("separate", [True, False])
async def test_a_200_is_not_an_upgrade_whatever_follows(front: Standing, upstream: Upstream, separate: bool) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(OK)
        await asyncio.sleep(0.05 if separate else 0)
        writer.write(SWITCH.encode() + b"\r\n\r\npoison")
        await reader.read()

    upstream.serve = serve
    async with connected(front.port) as client:
        client.send(request("GET /socket", *HANDSHAKE))
        assert (await client.reply()).body == b"ok"
        await asyncio.sleep(0.1)
        upstream.serve = None
        client.send(request("GET /after"))
        assert (await client.reply()).body == b"ok"
    assert upstream.last.line == "GET /after HTTP/1.1"


async def test_a_declined_upgrade_leaves_the_connection_to_requests(front: Standing, upstream: Upstream) -> None:
    upstream.answer = b"HTTP/1.1 426 No\r\nContent-Length: 0\r\n\r\n"
    async with connected(front.port) as client:
        client.send(request("GET /socket", *HANDSHAKE))
        assert (await client.reply()).status == 426
        client.send(request("GET /closed/x"))
        assert (await client.reply()).status == 403


@pytest.mark.parametrize("who", ["ann", "bob"])
async def test_a_revocation_closes_the_sockets_of_that_person_only(
    front: Standing, upstream: Upstream, who: str
) -> None:
    upstream.serve = echoing(upstream)
    async with connected(front.port) as client:
        await opened(client)
        front.revoke(who)
        if who == "ann":
            assert await client.ended() == b""
            async with asyncio.timeout(5):
                await upstream.ended.wait()
        else:
            client.send(b"still")
            async with asyncio.timeout(5):
                assert await client.reader.readexactly(5) == b"still"


async def test_a_slow_client_holds_the_upstream_of_its_socket_back(front: Standing, upstream: Upstream) -> None:
    written, piece, many = 0, b"x" * 65536, 400

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal written
        await upstream.receive(reader)
        writer.write(SWITCH.encode() + b"\r\n\r\n")
        for _ in range(many):
            writer.write(piece)
            await writer.drain()
            written += 1
        await reader.read()

    upstream.serve = serve
    async with connected(front.port) as client, asyncio.timeout(10):
        await opened(client)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        last = -1
        while written != last or not written:
            last = written
            await asyncio.sleep(0.1)
        assert written < many
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        await client.reader.readexactly(many * len(piece))


async def test_a_slow_upstream_holds_the_client_of_its_socket_back(front: Standing, upstream: Upstream) -> None:
    sent, piece, many = 0, b"x" * 65536, 400
    go_on = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await upstream.receive(reader)
        writer.write(SWITCH.encode() + b"\r\n\r\n")
        await go_on.wait()
        await reader.readexactly(many * len(piece))
        writer.write(b"done")
        await reader.read()

    upstream.serve = serve
    async with connected(front.port) as client, asyncio.timeout(10):
        await opened(client)

        async def send() -> None:
            nonlocal sent
            for _ in range(many):
                client.send(piece)
                await client.writer.drain()
                sent += 1

        sending = asyncio.create_task(send())
        last = -1
        while sent != last or not sent:
            last = sent
            await asyncio.sleep(0.1)
        assert sent < many
        go_on.set()
        assert await client.reader.readexactly(4) == b"done"
        await sending
