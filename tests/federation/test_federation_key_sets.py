"""Published keys: kept, renewed when they rotate, not asked for at strangers' will, used on when they are down."""

from __future__ import annotations

import asyncio
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from jwcrypto.jwk import JWK

from gateway.federation.key_sets import KeyFile, KeySet, KeySets
from tests.fake_clock import FakeClock
from tests.federation.conftest import Network
from tests.federation.signed import EC, ED, P384, RSA, public

URI = "https://issuer.example/keys"


class Finder:
    """Asks one issuer's keys."""

    def __init__(self, clock: FakeClock, network: Network) -> None:
        self._sets = KeySets(clock, network.fetch)

    async def find(self, kid: str | None, algorithm: str = "ES256", *, internal: bool = False) -> str | None:
        found = await self._sets.find(URI, kid, algorithm, internal=internal)
        return found.kid if found is not None else None


@pytest.fixture
def keys(clock: FakeClock, network: Network) -> Finder:
    network.documents[URI] = {"keys": [public(EC), public(RSA)]}
    return Finder(clock, network)


async def test_many_who_ask_at_once_fetch_once(keys: Finder, network: Network) -> None:
    assert set(await asyncio.gather(*(keys.find("ec") for _ in range(100)))) == {"ec"}
    assert network.asked == [(URI, False)]


async def test_keys_are_kept_for_a_quarter_of_an_hour(keys: Finder, network: Network, clock: FakeClock) -> None:
    await keys.find("ec")
    network.documents[URI] = {"keys": [public(RSA)]}
    clock.advance(899)
    assert await keys.find("ec") == "ec"
    clock.advance(1)
    assert await keys.find("ec") is None
    assert len(network.asked) == 2


async def test_a_new_key_is_found_when_it_is_first_used(keys: Finder, network: Network, clock: FakeClock) -> None:
    await keys.find("ec")
    network.documents[URI] = {"keys": [public(EC), public(ED)]}
    clock.advance(30)
    assert await keys.find("ed", "EdDSA") == "ed"
    assert await keys.find("ec") == "ec"
    assert len(network.asked) == 2


async def test_ten_thousand_unknown_kids_fetch_once_a_cool_down(
    keys: Finder, network: Network, clock: FakeClock
) -> None:
    await keys.find("ec")
    clock.advance(30)
    network.asked.clear()
    for number in range(0, 10_000, 100):
        assert set(await asyncio.gather(*(keys.find(f"made up {number + each}") for each in range(100)))) == {None}
    assert len(network.asked) == 1
    clock.advance(29)
    await keys.find("made up")
    assert len(network.asked) == 1
    assert await keys.find("ec") == "ec"
    clock.advance(1)
    await keys.find("made up")
    assert len(network.asked) == 2


async def test_unknown_kids_are_not_remembered() -> None:
    found = KeySet([public(EC)])
    for number in range(1000):
        assert found.find(f"made up {number}", "ES256") is None
    assert len(found._found) == 0


async def test_keys_outlive_an_outage_for_a_day(keys: Finder, network: Network, clock: FakeClock) -> None:
    await keys.find("ec")
    network.documents.clear()
    clock.advance(86400)
    assert await keys.find("ec") == "ec"
    clock.advance(1)
    assert await keys.find("ec") is None


@pytest.mark.parametrize(
    "document",
    [None, [], "keys", 7, {"keys": 7}, {}],
    ids=["null", "list", "text", "number", "keys-number", "empty"],
)
async def test_what_is_no_set_of_keys_takes_none_away(
    keys: Finder, network: Network, clock: FakeClock, document: Any
) -> None:
    await keys.find("ec")
    network.documents[URI] = document
    clock.advance(3600)
    assert await keys.find("ec") == "ec"
    assert await keys.find("ec") == "ec"
    assert len(network.asked) == 2


async def test_who_is_down_is_asked_again_in_moderation(keys: Finder, network: Network, clock: FakeClock) -> None:
    answers = network.documents.copy()
    network.documents.clear()
    for _ in range(10):
        assert await keys.find("ec") is None
    assert len(network.asked) == 1
    network.documents.update(answers)
    clock.advance(5)
    assert await keys.find("ec") == "ec"


async def test_while_keys_are_renewed_the_old_ones_serve(clock: FakeClock) -> None:
    silence, asked = asyncio.Event(), 0

    async def fetch(url: str, *, internal: bool) -> Any:
        nonlocal asked
        asked += 1
        if asked > 1:
            await silence.wait()
        return {"keys": [public(EC)]}

    sets = KeySets(clock, fetch)
    await sets.find(URI, "ec", "ES256", internal=False)
    clock.advance(900)
    first = asyncio.create_task(sets.find(URI, "ec", "ES256", internal=False))
    await asyncio.sleep(0)
    async with asyncio.timeout(1):
        assert await sets.find(URI, "ec", "ES256", internal=False)
    assert not first.done()
    silence.set()
    assert await first
    assert asked == 2


async def test_who_gives_up_waiting_stops_nobody_else(clock: FakeClock) -> None:
    silence, asked = asyncio.Event(), 0

    async def fetch(url: str, *, internal: bool) -> Any:
        nonlocal asked
        asked += 1
        await silence.wait()
        return {"keys": [public(EC)]}

    sets = KeySets(clock, fetch)
    first, second = (asyncio.create_task(sets.find(URI, "ec", "ES256", internal=False)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    silence.set()
    assert await second
    assert asked == 1


async def test_what_one_may_reach_another_may_not(keys: Finder, network: Network) -> None:
    await keys.find("ec", internal=True)
    await keys.find("ec", internal=False)
    assert network.asked == [(URI, True), (URI, False)]


@pytest.mark.parametrize(
    ("published", "kid", "algorithm", "found"),
    [
        ([EC, RSA], None, "ES256", "ec"),
        ([EC, RSA], None, "RS256", "rsa"),
        ([EC, RSA], "ec", "RS256", None),
        ([EC, RSA], "rsa", "ES384", None),
        ([P384], "p384", "ES384", "p384"),
        ([P384], "p384", "ES256", None),
        ([], None, "ES256", None),
    ],
    ids=["only-one", "only-rsa", "other-type", "rsa-for-ec", "p384", "other-curve", "none"],
)  # fmt: skip
def test_a_key_is_found_by_kid_and_algorithm(
    published: list[Any], kid: str | None, algorithm: str, found: str | None
) -> None:
    key = KeySet([public(each) for each in published]).find(kid, algorithm)
    assert (key.kid if key else None) == found


def test_where_several_could_be_meant_none_is() -> None:
    two = [public(EC), public(EC, kid="other")]
    assert KeySet(two).find(None, "ES256") is None
    assert KeySet(two).find("other", "ES256") is not None
    same_name = [public(EC), public(RSA, kid="ec")]
    assert KeySet(same_name).find("ec", "RS256") is not None
    namesake = JWK.generate(kty="EC", crv="P-256", kid="ec")
    assert KeySet([public(EC), public(namesake)]).find("ec", "ES256") is None


def test_a_key_keeps_to_its_own_algorithm() -> None:
    assert KeySet([public(RSA, alg="RS512")]).find("rsa", "RS256") is None
    assert KeySet([public(RSA, alg="RS512")]).find("rsa", "RS512") is not None


ODD = [
    {"kty": "oct", "k": "AAAA", "kid": "ec"},
    public(EC, use="enc"),
    public(EC, key_ops=["deriveKey"]),
    public(EC, key_ops="verify"),
    public(EC, x="AAAA"),
    EC.export_private(as_dict=True),
    {},
    "key",
]


@pytest.mark.parametrize("odd", ODD, ids=["secret", "enc", "ops", "ops-text", "broken", "private", "empty", "text"])
async def test_of_a_set_only_public_signing_keys_count(keys: Finder, network: Network, odd: Any) -> None:
    network.documents[URI] = {"keys": [odd, public(RSA)]}
    assert await keys.find("ec") is None
    assert await keys.find("rsa", "RS256") == "rsa"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps({"keys": [public(EC)]}))
    return path


async def test_keys_in_a_file_are_read_again_when_it_changes(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = KeyFile(file)
    assert await keys.find("ec", "ES256")
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"keys": [public(RSA)]}))
    new.replace(file)
    assert await keys.find("ec", "ES256") is None
    assert await keys.find("rsa", "RS256")
    with caplog.at_level(logging.WARNING):
        file.write_text("nonsense, and not as long")
        assert await keys.find("rsa", "RS256")
        assert await keys.find("rsa", "RS256")
        assert len(caplog.records) == 1
        file.unlink()
        assert await keys.find("rsa", "RS256")


async def test_a_file_that_is_no_set_of_keys_verifies_nothing(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    assert await KeyFile(path).find("ec", "ES256") is None
    for content in (b"[]", b"\xff", b"[" * 100_000, b" " * 300_000):
        path.write_bytes(content)
        assert await KeyFile(path).find("ec", "ES256") is None
