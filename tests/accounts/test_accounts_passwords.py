"""Passwords: every byte counts, however typed; what is stored is useless without the pepper."""

from __future__ import annotations

import asyncio
import threading
import unicodedata
from collections.abc import Iterator
from typing import Any

import bcrypt
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.accounts.passwords.hasher import PasswordHasher
from gateway.config.accounts import PasswordSettings
from gateway.errors import InvalidInput, Overloaded
from gateway.tokens.master_key import MasterKey

CHEAP = PasswordSettings(bcrypt_cost=4)
PASSWORD = "correct horse battery"


@pytest.fixture
def hasher() -> Iterator[PasswordHasher]:
    made = PasswordHasher(CHEAP, MasterKey(b"m" * 32), workers=2)
    yield made
    made.close()


async def test_a_password_is_right_and_another_is_wrong(hasher: PasswordHasher) -> None:
    stored = await hasher.hash(PASSWORD)
    assert await hasher.verify(PASSWORD, stored) == (True, False)
    assert await hasher.verify(PASSWORD + " ", stored) == (False, False)
    assert await hasher.verify("", stored) == (False, False)
    assert PASSWORD not in stored


async def test_the_same_password_is_stored_differently_each_time(hasher: PasswordHasher) -> None:
    assert await hasher.hash(PASSWORD) != await hasher.hash(PASSWORD)


async def test_bytes_after_the_72nd_count(hasher: PasswordHasher) -> None:
    stored = await hasher.hash("a" * 72 + "right")
    assert (await hasher.verify("a" * 72 + "right", stored))[0]
    assert not (await hasher.verify("a" * 72 + "wrong", stored))[0]
    assert not (await hasher.verify("a" * 72, stored))[0]


@pytest.mark.parametrize("tail", ["\0", "\0x", "\ud800"], ids=repr)
async def test_no_byte_ends_a_password(hasher: PasswordHasher, tail: str) -> None:
    stored = await hasher.hash(PASSWORD + tail)
    assert (await hasher.verify(PASSWORD + tail, stored))[0]
    assert not (await hasher.verify(PASSWORD, stored))[0]


async def test_a_password_is_the_same_however_a_keyboard_composes_it(hasher: PasswordHasher) -> None:
    composed = "p\u00e4ssw\u00f6rter"
    stored = await hasher.hash(composed)
    assert (await hasher.verify(unicodedata.normalize("NFD", composed), stored))[0]
    # Compatible is not the same: a full-width letter is another letter.
    assert not (await hasher.verify(composed.replace("s", "\uff53"), stored))[0]
    assert not (await hasher.verify(composed.upper(), stored))[0]


async def test_a_stolen_hash_is_useless_without_the_pepper(hasher: PasswordHasher) -> None:
    stored = await hasher.hash(PASSWORD)
    other = PasswordHasher(CHEAP, MasterKey(b"x" * 32), workers=1)
    assert await other.verify(PASSWORD, stored) == (False, False)
    other.close()
    assert not bcrypt.checkpw(PASSWORD.encode(), stored.removeprefix("$gw1$").encode())


@pytest.mark.parametrize("kind", ["2a", "2b", "2y"])
async def test_a_plain_bcrypt_hash_is_accepted_and_to_be_stored_anew(hasher: PasswordHasher, kind: str) -> None:
    plain = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode().replace("$2b$", f"${kind}$", 1)
    assert await hasher.verify(PASSWORD, plain) == (True, True)
    assert await hasher.verify("another", plain) == (False, False)


async def test_an_imported_hash_of_a_long_password_is_accepted(hasher: PasswordHasher) -> None:
    plain = bcrypt.hashpw(b"a" * 72, bcrypt.gensalt(4)).decode()
    assert await hasher.verify("a" * 80, plain) == (True, True)


async def test_another_cost_is_to_be_stored_anew(hasher: PasswordHasher) -> None:
    dearer = PasswordHasher(PasswordSettings(bcrypt_cost=5), MasterKey(b"m" * 32), workers=1)
    assert await dearer.verify(PASSWORD, await hasher.hash(PASSWORD)) == (True, True)
    dearer.close()


@pytest.mark.parametrize(
    "stored",
    ["", "x", "$", "$gw1$", "$gw1$$2b$", "$gw1$x", "$2b$04$", "$2b$99$" + "." * 53, "$1$salt$hash", "{SHA}x",
     "plain", "$gw1$$2b$04$" + "!" * 53, "$2b$04$\u00e9", "$gw2$" + "." * 60, "$2x$04$" + "." * 53],
)  # fmt: skip
async def test_a_damaged_hash_opens_nothing(hasher: PasswordHasher, stored: str) -> None:
    for password in ("", stored, PASSWORD):
        assert await hasher.verify(password, stored) == (False, False)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(password=st.text(max_size=90), stored=st.text(max_size=70))
async def test_noise_opens_nothing(password: str, stored: str) -> None:
    hasher = PasswordHasher(CHEAP, MasterKey(b"m" * 32), workers=1)
    for text in (stored, f"$gw1${stored}", f"$2b$04${stored}", f"$gw1$$2b$04${stored}"):
        assert await hasher.verify(password, text) == (False, False)
    hasher.close()


async def test_an_unknown_user_costs_the_same_work(hasher: PasswordHasher, monkeypatch: pytest.MonkeyPatch) -> None:
    worked: list[tuple[int, bytes]] = []
    true_check = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        result = true_check(password, hashed)
        worked.append((len(password), hashed[:7]))
        return result

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    stored = await hasher.hash(PASSWORD)
    assert await hasher.verify("wrong", stored) == (False, False)
    assert await hasher.verify("wrong", None) == (False, False)
    assert await hasher.verify("wrong", "") == (False, False)
    # One bcrypt of the same cost over as many bytes, each time: and it did run to its end.
    assert worked == [(44, b"$2b$04$")] * 3


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(bcrypt.hashpw(b"right", bcrypt.gensalt(4)).decode(), id="imported"),
        pytest.param("$gw1$$2b$04$damaged", id="damaged"),
        pytest.param("$argon2id$v=19$m=8,t=1,p=1$", id="another scheme"),
    ],
)
async def test_a_cheap_or_damaged_hash_costs_no_less_than_an_unknown_user(
    monkeypatch: pytest.MonkeyPatch, stored: str
) -> None:
    worked: list[bytes] = []
    true_check = bcrypt.checkpw

    def counted(password: bytes, hashed: bytes) -> bool:
        result = true_check(password, hashed)
        worked.append(hashed[:7])
        return result

    monkeypatch.setattr(bcrypt, "checkpw", counted)
    hasher = PasswordHasher(PasswordSettings(bcrypt_cost=5), MasterKey(b"m" * 32), workers=1)
    assert await hasher.verify("wrong", stored) == (False, False)
    hasher.close()
    assert worked[-1] == b"$2b$05$"


async def test_a_password_that_is_too_long_is_never_right_and_never_stored(hasher: PasswordHasher) -> None:
    longest = "x" * 1024
    stored = await hasher.hash(longest)
    assert await hasher.verify(longest, stored) == (True, False)
    assert await hasher.verify(longest + "x", stored) == (False, False)
    assert await hasher.verify(longest + "x", await hasher.hash("")) == (False, False)
    with pytest.raises(InvalidInput):
        await hasher.hash(longest + "x")


async def test_a_full_queue_is_refused_and_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    hasher = PasswordHasher(CHEAP, MasterKey(b"m" * 32), workers=1)
    go_on = threading.Event()

    def slow(*_: Any) -> bool:
        go_on.wait(10)
        return False

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    waiting = [asyncio.create_task(hasher.verify("x", None)) for _ in range(9)]
    await asyncio.sleep(0.05)
    with pytest.raises(Overloaded) as caught:
        await hasher.verify("x", None)
    assert caught.value.retry_after_seconds >= 1
    with pytest.raises(Overloaded):
        await hasher.hash("x")
    go_on.set()
    assert await asyncio.gather(*waiting) == [(False, False)] * 9
    assert await hasher.verify("x", None) == (False, False), "there is room again"
    hasher.close()


async def test_a_cancelled_check_makes_room(hasher: PasswordHasher) -> None:
    checks = [asyncio.create_task(hasher.verify("x", None)) for _ in range(18)]
    await asyncio.sleep(0)
    for check in checks:
        check.cancel()
    await asyncio.gather(*checks, return_exceptions=True)
    assert await hasher.verify("x", None) == (False, False)


def test_the_pepper_shows_in_no_repr(hasher: PasswordHasher) -> None:
    pepper = MasterKey(b"m" * 32).derive("password pepper")
    assert repr(pepper) not in repr(hasher)
