"""Keys that a client publishes: kept for a minute."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from jwcrypto.jwk import JWK

from gateway.oauth.client_key_sets import ClientKeySets
from gateway.oauth.state.client import Client
from gateway.outbound import FetchFailed
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
