"""Keys that a client publishes: fetched without becoming its hands, kept for a minute."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from jwcrypto.jwk import JWK

from gateway.oauth.client_key_sets import ClientKeySets
from gateway.oauth.fetch import FetchFailed, PublicResolver, fetch_json, is_public
from gateway.oauth.state.client import Client
from tests.fake_clock import FakeClock

KEY = JWK.generate(kty="EC", crv="P-256", kid="one")
PUBLIC = KEY.export_public(as_dict=True)
URI = "https://app.example.com/keys"


def client(*, owner: str | None = None, registered: bytes | None = None, **metadata: Any) -> Client:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    return Client(
        id="app",
        name="App",
        owner_id=owner,
        first_party=False,
        requires_pkce=True,
        may_introspect=False,
        opens_routes=False,
        is_active=True,
        created_at=now,
        updated_at=now,
        metadata=metadata,
        registration_hash=registered,
    )


class Publisher:
    """Stands for the network: what an address answers, and who asked."""

    def __init__(self, document: Any) -> None:
        self.document = document
        self.asked: list[tuple[str, bool]] = []

    async def __call__(self, url: str, *, internal: bool) -> Any:
        self.asked.append((url, internal))
        await asyncio.sleep(0)
        if self.document is None:
            raise FetchFailed("down")
        return self.document


async def test_registered_keys_are_asked_of_nobody(clock: FakeClock) -> None:
    publisher = Publisher(None)
    sets = ClientKeySets(clock, publisher)
    assert await sets.of(client(jwks={"keys": [PUBLIC]})) == [PUBLIC]
    assert await sets.of(client()) == ()
    assert publisher.asked == []


async def test_published_keys_are_kept_for_a_minute(clock: FakeClock) -> None:
    publisher = Publisher({"keys": [PUBLIC]})
    sets = ClientKeySets(clock, publisher)
    app = client(jwks_uri=URI)
    answers = await asyncio.gather(*(sets.of(app) for _ in range(20)))
    assert answers == [[PUBLIC]] * 20
    assert len(publisher.asked) == 1
    publisher.document = {"keys": []}
    clock.advance(59)
    assert await sets.of(app) == [PUBLIC]
    clock.advance(1)
    assert await sets.of(app) == []
    assert len(publisher.asked) == 2


async def test_addresses_of_strangers_that_never_answer_keep_nobody_else_waiting(clock: FakeClock) -> None:
    silence = asyncio.Event()

    async def fetch(url: str, *, internal: bool) -> Any:
        if not internal:
            await silence.wait()
        return {"keys": [PUBLIC]}

    sets = ClientKeySets(clock, fetch)
    strangers = [client(jwks_uri=f"{URI}/{number}", registered=b"x") for number in range(20)]
    async with asyncio.TaskGroup() as group:
        for each in strangers:
            group.create_task(sets.of(each))
        await asyncio.sleep(0)
        async with asyncio.timeout(1):
            assert await sets.of(client(jwks_uri=URI)) == [PUBLIC]
        silence.set()


async def test_an_address_that_is_down_is_not_asked_again_at_once(clock: FakeClock) -> None:
    publisher = Publisher(None)
    sets = ClientKeySets(clock, publisher)
    app = client(jwks_uri=URI)
    for _ in range(5):
        assert list(await sets.of(app)) == []
    assert len(publisher.asked) == 1


@pytest.mark.parametrize("document", [None, [], "keys", {"keys": 7}, 7], ids=["down", "list", "text", "number", "bare"])
async def test_keys_outlive_an_outage_for_an_hour(clock: FakeClock, document: Any) -> None:
    publisher = Publisher({"keys": [PUBLIC]})
    sets = ClientKeySets(clock, publisher)
    app = client(jwks_uri=URI)
    await sets.of(app)
    publisher.document = document
    clock.advance(3600)
    assert await sets.of(app) == [PUBLIC]
    clock.advance(1)
    assert list(await sets.of(app)) == []


async def test_of_what_is_published_only_what_is_usable_is_used(clock: FakeClock) -> None:
    odd = [{"kty": "oct", "k": "AAAA"}, {**PUBLIC, "use": "enc"}, "x", {}, {**PUBLIC, "crv": "P-521"}]
    publisher = Publisher({"keys": [*odd, PUBLIC, KEY.export_private(as_dict=True)]})
    assert await ClientKeySets(clock, publisher).of(client(jwks_uri=URI)) == [PUBLIC]


@pytest.mark.parametrize(
    ("who", "internal"),
    [({}, True), ({"owner": "ann"}, False), ({"registered": b"x"}, False)],
    ids=["administrator", "owner", "itself"],
)
async def test_only_administrators_name_addresses_inside(clock: FakeClock, who: dict[str, Any], internal: bool) -> None:
    publisher = Publisher({"keys": []})
    await ClientKeySets(clock, publisher).of(client(jwks_uri=URI, **who))
    assert publisher.asked == [(URI, internal)]


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
                return web.Response(text=json.dumps({"keys": [PUBLIC]}), headers={"Set-Cookie": "a=b"})
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
    application.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_a_document_is_fetched(origin: str) -> None:
    assert await fetch_json(f"{origin}/keys", internal=True) == {"keys": [PUBLIC]}


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
