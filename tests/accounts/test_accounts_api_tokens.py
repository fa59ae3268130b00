"""API tokens: shown once, stored as a digest, good until they expire or somebody deletes them."""

from __future__ import annotations

import re
import zlib
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.accounts.api_tokens import ApiTokens, looks_like_api_token
from gateway.errors import InvalidInput, NotFound
from tests.accounts.conftest import Office
from tests.fake_clock import FakeClock


async def test_a_token_stands_for_its_owner_with_its_scopes(office: Office) -> None:
    ann = await office.add("ann", roles=["a"])
    token, text = await office.api_tokens.create(ann.id, "ci", ["wiki:write", "wiki:read", "wiki:read"])
    assert re.fullmatch(r"gwt_[0-9A-Za-z]{59}[0-9a-f]{8}", text)
    assert looks_like_api_token(text)
    owner = await office.api_tokens.find(text)
    assert owner is not None
    assert (owner.account_id, owner.username, owner.roles) == (ann.id, "ann", ("a",))
    assert owner.token_id == token.id
    assert owner.scopes == frozenset({"wiki:read", "wiki:write"})
    assert token.scopes == ("wiki:read", "wiki:write")


async def test_only_a_digest_is_stored_and_shown(office: Office) -> None:
    ann = await office.add()
    token, text = await office.api_tokens.create(ann.id, "ci")
    secret = text.removeprefix(f"gwt_{token.id}")[:43]
    stored = str(await office.database.fetch("select * from api_token"))
    listed = await office.api_tokens.list_for(ann.id)
    for shown in (stored, repr(token), repr(listed), repr(token.document()), repr(await office.api_tokens.find(text))):
        assert secret not in shown
    assert listed == [token]


async def test_every_character_of_a_token_counts(office: Office) -> None:
    ann = await office.add()
    _, text = await office.api_tokens.create(ann.id, "ci")
    assert await office.api_tokens.find(text) is not None
    for place in range(len(text)):
        other = "0" if text[place] != "0" else "1"
        assert await office.api_tokens.find(text[:place] + other + text[place + 1 :]) is None, place
    for spoiled in (text + "0", text[:-1], f" {text}", f"{text} ", f"{text}\n", text.upper(), text.swapcase(), ""):
        assert await office.api_tokens.find(spoiled) is None


async def test_a_secret_is_checked_and_not_only_its_checksum(office: Office) -> None:
    ann = await office.add()
    (_, one), (other, two) = [await office.api_tokens.create(ann.id, name) for name in ("one", "two")]
    mixed = f"gwt_{other.id}{one[20:63]}"
    forged = f"{mixed}{zlib.crc32(mixed.removeprefix('gwt_').encode()):08x}"
    assert len(forged) == len(two)
    assert await office.api_tokens.find(forged) is None


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80)
@given(noise=st.text(max_size=80) | st.from_regex(r"gwt_[0-9A-Za-z]{59}[0-9a-f]{8}", fullmatch=True))
async def test_noise_is_nobody(noise: str) -> None:
    class NoDatabase:
        async def fetchrow(self, *_: object) -> None:
            return None

    assert await ApiTokens(NoDatabase(), FakeClock()).find(noise) is None  # type: ignore[arg-type]


async def test_a_token_expires(office: Office) -> None:
    ann = await office.add()
    _, text = await office.api_tokens.create(ann.id, "ci", expires_in=timedelta(days=1))
    _, forever = await office.api_tokens.create(ann.id, "old")
    office.clock.advance(timedelta(days=1) - timedelta(seconds=1))
    assert await office.api_tokens.find(text) is not None
    office.clock.advance(1)
    assert await office.api_tokens.find(text) is None
    assert await office.api_tokens.find(forever) is not None


async def test_a_token_of_a_disabled_account_is_nobody(office: Office) -> None:
    ann = await office.add()
    _, text = await office.api_tokens.create(ann.id, "ci")
    await office.database.execute("update account set is_active = false")
    assert await office.api_tokens.find(text) is None


async def test_a_deleted_token_is_refused_and_says_so(office: Office) -> None:
    ann, bob = await office.add("ann"), await office.add("bob")
    token, text = await office.api_tokens.create(ann.id, "ci")
    with pytest.raises(NotFound):
        await office.api_tokens.revoke(bob.id, token.id)
    assert await office.api_tokens.find(text) is not None
    assert await office.events() == []
    await office.api_tokens.revoke(ann.id, token.id)
    assert await office.api_tokens.find(text) is None
    assert await office.events() == [("api_token", token.id)]


@pytest.mark.parametrize("token_id", ["", "x", "a b", "\0", "\ud800", "' or true --", "\u00e9", "x" * 5000], ids=ascii)
async def test_a_token_that_is_not_there_is_not_found(office: Office, token_id: str) -> None:
    ann = await office.add()
    with pytest.raises(NotFound):
        await office.api_tokens.revoke(ann.id, token_id)


@pytest.mark.parametrize(
    ("field", "name", "scopes", "expires_in"),
    [
        ("name", "", [], None),
        ("name", " ", [], None),
        ("name", "x" * 101, [], None),
        ("name", "a\nb", [], None),
        ("name", "\ud800", [], None),
        ("scopes", "ci", [""], None),
        ("scopes", "ci", ["a b"], None),
        ("scopes", "ci", ['a"b'], None),
        ("scopes", "ci", ["a\\b"], None),
        ("scopes", "ci", ["\u00e9"], None),
        ("scopes", "ci", ["x" * 101], None),
        ("scopes", "ci", [f"s{number}" for number in range(101)], None),
        ("expires_in", "ci", [], timedelta(0)),
        ("expires_in", "ci", [], timedelta(seconds=-1)),
        ("expires_in", "ci", [], timedelta(days=3651)),
    ],
    ids=ascii,
)
async def test_what_a_token_cannot_be(
    office: Office, field: str, name: str, scopes: list[str], expires_in: timedelta | None
) -> None:
    ann = await office.add()
    with pytest.raises(InvalidInput) as caught:
        await office.api_tokens.create(ann.id, name, scopes, expires_in)
    assert [error.field for error in caught.value.errors] == [field]
    assert await office.count("api_token") == 0


async def test_use_is_recorded_in_batches(office: Office) -> None:
    ann = await office.add()
    tokens = [(await office.api_tokens.create(ann.id, name))[0] for name in ("a", "b", "c")]
    office.clock.advance(60)
    await office.api_tokens.record_use([tokens[0].id, tokens[2].id, "unknown"])
    used = {token.name: token.last_used_at for token in await office.api_tokens.list_for(ann.id)}
    assert used == {"a": office.clock.now(), "b": None, "c": office.clock.now()}
