"""Documents that others name are fetched without becoming their hands: public addresses, no redirects, small."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from gateway.outbound import Door, FetchFailed, PublicResolver, Reply, fetch_json, is_public, post_for_json, post_form

DOCUMENT = {"keys": [{"kid": "one"}]}
URI = "https://app.example.com/keys"


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:93.184.216.34"])
def test_public_addresses(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",
        "224.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "::127.0.0.1",
        "ff02::1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::1",
        "2001:0:a9fe:a9fe::1",
        "localhost",
        "",
    ],
)
def test_addresses_inside(address: str) -> None:
    assert not is_public(address)


class Names(AbstractResolver):
    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=a, port=port, family=family, proto=0, flags=0) for a in self._addresses
        ]

    async def close(self) -> None:
        return None


async def test_a_name_with_one_address_inside_is_refused() -> None:
    assert await PublicResolver(Names("93.184.216.34")).resolve("app.example.com")
    for addresses in (("10.0.0.1",), ("93.184.216.34", "10.0.0.1"), ()):
        with pytest.raises(OSError, match="public"):
            await PublicResolver(Names(*addresses)).resolve("app.example.com")


async def test_names_that_are_never_answered_hold_up_no_other_lookups(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name's own server decides how long a thread waits for it."""
    answered, look_up = threading.Event(), socket.getaddrinfo

    def getaddrinfo(host: str, *more: Any, **options: Any) -> Any:
        if host == "app.example.com":
            answered.wait(10)
        return look_up(host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    async with asyncio.TaskGroup() as group:
        asking = [group.create_task(fetch_json(URI, internal=False)) for _ in range(100)]
        await asyncio.sleep(0.1)
        try:
            async with asyncio.timeout(2):
                await asyncio.get_running_loop().getaddrinfo("127.0.0.1", 80)
        finally:
            answered.set()
            for each in asking:
                each.cancel()


@pytest.fixture
async def origin() -> AsyncIterator[str]:
    """Serve documents, and other things, on a loopback address."""

    async def answer(request: web.Request) -> web.StreamResponse:
        match request.path:
            case "/keys":
                return web.Response(text=json.dumps(DOCUMENT), headers={"Set-Cookie": "a=b"})
            case "/echo":
                fields = dict(await request.post())
                told = {"fields": fields, "authorization": request.headers.get("Authorization")}
                return web.json_response(told, status=int(request.query.get("status", "200")))
            case "/refused":
                raise web.HTTPBadRequest
            case "/moved":
                raise web.HTTPFound("/keys")
            case "/large":
                return web.Response(text=json.dumps("x" * 70_000))
            case "/deep":
                return web.Response(text="[" * 60_000)
            case "/bytes":
                return web.Response(body=b"\xff\xfe")
            case _:
                raise web.HTTPNotFound

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_document_is_fetched(origin: str) -> None:
    assert await fetch_json(f"{origin}/keys", internal=True) == DOCUMENT


@pytest.mark.parametrize("path", ["/moved", "/large", "/deep", "/bytes", "/none"])
async def test_what_is_no_small_document_is_not_taken(origin: str, path: str) -> None:
    with pytest.raises(FetchFailed):
        await fetch_json(origin + path, internal=True)


async def test_nothing_inside_is_fetched_for_strangers(origin: str) -> None:
    port = origin.rpartition(":")[2]
    for host in ("127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "[::1]", "127.1", "0x7f000001"):
        with pytest.raises(FetchFailed):
            await fetch_json(f"http://{host}:{port}/keys", internal=False)


@pytest.mark.parametrize("url", ["", "https://", "https://[", "nonsense", "https://127.0.0.1:1/"])
async def test_an_address_that_leads_nowhere_fails(url: str) -> None:
    with pytest.raises(FetchFailed):
        await fetch_json(url, internal=True)


async def test_a_form_is_answered(origin: str) -> None:
    door = Door(headers={"Authorization": "Bearer secret"})
    assert "secret" not in repr(door)
    reply = await post_for_json(f"{origin}/echo", {"token": "t"}, internal=True, door=door)
    assert reply == Reply(200, {"fields": {"token": "t"}, "authorization": "Bearer secret"})
    assert (await post_for_json(f"{origin}/echo?status=401", {}, internal=True)).status == 401
    assert await post_form(f"{origin}/echo?status=204", {}, internal=True) == 204


async def test_an_answer_that_refuses_need_not_be_json(origin: str) -> None:
    assert await post_for_json(f"{origin}/refused", {}, internal=True) == Reply(400, None)
    assert await post_for_json(f"{origin}/moved", {}, internal=True) == Reply(302, None)


@pytest.mark.parametrize("path", ["/large", "/deep", "/bytes"])
async def test_an_answer_that_is_no_small_document_is_not_taken(origin: str, path: str) -> None:
    with pytest.raises(FetchFailed):
        await post_for_json(origin + path, {}, internal=True)


async def test_a_document_may_be_larger_where_that_is_expected(origin: str) -> None:
    assert len(await fetch_json(f"{origin}/large", internal=True, largest_bytes=100_000)) == 70_000


async def test_a_slow_answer_is_not_waited_for() -> None:
    waited_for = asyncio.Event()

    async def say_nothing(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await waited_for.wait()
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(say_nothing, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(2):
            with pytest.raises(FetchFailed):
                await fetch_json(f"http://127.0.0.1:{port}/", internal=True, timeout_seconds=0.1)
        waited_for.set()
        await asyncio.sleep(0.05)
