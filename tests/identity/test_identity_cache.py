"""What is remembered, until when, and what makes it forgotten."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import islice
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity.cache import CredentialCache, cache_key
from gateway.identity.identity import CredentialKind, Identity
from gateway.identity.ledger import RevocationLedger
from gateway.identity.presented import Presented
from gateway.identity.verified import Dependency, Verified
from tests.fake_clock import FakeClock

ANN = Identity("1", "ann", "ann@example.com", ("user",), CredentialKind.SESSION, datetime(2026, 1, 1, tzinfo=UTC))
ACCOUNT, SESSION, OTHER = ("account", "1"), ("session", "2"), ("session", "3")


@pytest.fixture
def ledger() -> RevocationLedger:
    return RevocationLedger()


@pytest.fixture
def cache(clock: FakeClock, ledger: RevocationLedger) -> CredentialCache:
    return CredentialCache(clock, ledger, max_entries=3)


def verified(*depends_on: Dependency, until: float = 2000, began: int = 0) -> Verified:
    return Verified(ANN, frozenset(depends_on or (ACCOUNT, SESSION)), until, began=began)


def test_an_entry_is_there_until_it_expires(cache: CredentialCache, clock: FakeClock) -> None:
    entry = verified(until=clock.monotonic() + 60)
    assert cache.put(b"k", entry)
    clock.advance(59.9)
    assert cache.get(b"k") is entry
    clock.advance(0.1)
    assert cache.get(b"k") is None
    assert len(cache) == 0


def test_what_has_expired_goes_as_others_come(clock: FakeClock, ledger: RevocationLedger) -> None:
    cache = CredentialCache(clock, ledger)
    for number in range(4):
        cache.put(b"old %d" % number, verified(until=clock.monotonic() + 60))
    clock.advance(60)
    sizes = []
    for number in range(3):
        cache.put(b"new %d" % number, verified(until=clock.monotonic() + 60))
        sizes.append(len(cache))
    assert sizes == [3, 2, 3]
    cache.drop(ACCOUNT)
    assert len(cache) == 0


@pytest.mark.parametrize("lost", [ACCOUNT, SESSION])
def test_an_entry_goes_with_anything_that_it_rests_on(cache: CredentialCache, lost: Dependency) -> None:
    cache.put(b"k", verified(ACCOUNT, SESSION))
    cache.put(b"other", verified(("account", "9"), OTHER))
    cache.drop(lost)
    assert (cache.get(b"k"), len(cache)) == (None, 1)
    cache.drop(("session", "unheard of"))
    assert len(cache) == 1
    cache.clear()
    assert len(cache) == 0


def test_what_began_before_a_revocation_is_not_kept_after_it(cache: CredentialCache, ledger: RevocationLedger) -> None:
    began = ledger.now
    cache.drop(SESSION)
    assert not cache.put(b"k", verified(began=began))
    assert cache.get(b"k") is None
    # Somebody else's revocation is no reason; neither is one from before.
    assert cache.put(b"other", verified(("account", "9"), OTHER, began=began))
    assert cache.put(b"k", verified(began=ledger.now))
    began = ledger.now
    cache.clear()
    assert not cache.put(b"k", verified(began=began))
    assert not cache.put(b"other", verified(("account", "9"), OTHER, began=began))


def test_the_oldest_makes_room(cache: CredentialCache) -> None:
    for number in range(5):
        cache.put(bytes([number]), verified(("session", str(number))))
    assert [number for number in range(5) if cache.get(bytes([number]))] == [2, 3, 4]
    replacement = verified(("session", "new"))
    cache.put(bytes([4]), replacement)
    assert len(cache) == 3
    cache.drop(("session", "4"))
    assert cache.get(bytes([4])) is replacement


def test_nothing_is_left_behind_by_what_is_gone(cache: CredentialCache) -> None:
    for number in range(50):
        cache.put(bytes([number]), verified(("session", str(number)), ACCOUNT))
    cache.drop(ACCOUNT)
    assert (len(cache), len(cache._keys)) == (0, 0)


def test_a_ledger_that_has_forgotten_trusts_nothing_older() -> None:
    ledger = RevocationLedger(remembered=2)
    assert not ledger.revoked_since([ACCOUNT], 0)
    for number in range(3):
        ledger.note(("session", str(number)))
    assert ledger.revoked_since([ACCOUNT], 0)  # what was forgotten may have been about it
    assert not ledger.revoked_since([ACCOUNT], 1)
    assert ledger.revoked_since([("session", "2")], 2)
    assert not ledger.revoked_since([("session", "2")], 3)
    # Noted again is noted later, and takes no more room.
    ledger.note(("session", "1"))
    assert ledger.revoked_since([("session", "1")], 3)
    assert not ledger.revoked_since([ACCOUNT], 1)


@given(st.lists(st.tuples(st.sampled_from("abcd"), st.booleans()), max_size=40), st.integers(0, 40), st.integers(1, 4))
def test_a_ledger_never_misses_a_revocation(notes: list[tuple[str, bool]], at: int, remembered: int) -> None:
    ledger = RevocationLedger(remembered)
    began = 0
    lost: set[str] = set()
    for number, (key, everything) in enumerate(notes):
        if number == at:
            began, lost = ledger.now, set()
        if everything:
            ledger.note_all()
            lost |= set("abcd")
        else:
            ledger.note(("session", key))
            lost.add(key)
    if at >= len(notes):
        began, lost = ledger.now, set()
    assert all(ledger.revoked_since([("session", key)], began) for key in lost)


def test_a_key_tells_apart_all_that_verification_looks_at() -> None:
    session, bearer, api_token = CredentialKind.SESSION, CredentialKind.BEARER, CredentialKind.API_TOKEN
    keys = [
        cache_key(Presented(session, "cookie", "s"), "a"),
        cache_key(Presented(session, "cookie", "s"), "b"),
        cache_key(Presented(session, "cookie", "s\0"), "a"),
        cache_key(Presented(session, "cookie", "\0s"), "a"),
        cache_key(Presented(bearer, "authorization", "s"), "a"),
        cache_key(Presented(api_token, "authorization", "s"), "a"),
        cache_key(Presented(api_token, "x-api-key", "s"), "a"),
        cache_key(Presented(bearer, "authorization", "S"), "a"),
    ]
    assert len(set(keys)) == len(keys)
    # A token counts on every host.
    assert cache_key(Presented(bearer, "authorization", "s"), "b") == keys[4]


# As many as the gateway keeps. After eight fifths of that a plain dict has its most holes in front: it is next to grow.
LARGE = 50_000


def seconds_to_replace(entries: int) -> float:
    """Return the processor time of 5,000 new entries in a full cache of so many that had many before."""
    clock, known = FakeClock(), verified()
    full = CredentialCache(clock, RevocationLedger(), max_entries=entries)
    names = (number.to_bytes(4, "big") for number in range(8 * entries // 5 + 5_000))
    for name in islice(names, 8 * entries // 5):
        full.put(name, known)
    started = process_time()
    for name in islice(names, 5_000):
        full.put(name, known)
    return process_time() - started


def test_making_room_costs_the_same_in_a_large_cache() -> None:
    assert min(seconds_to_replace(LARGE) for _ in range(2)) < 8 * max(seconds_to_replace(50) for _ in range(3))


def seconds_to_note(remembered: int) -> float:
    ledger = RevocationLedger(remembered)
    for number in range(remembered * 8 // 5):
        ledger.note(("session", str(number)))
    started = process_time()
    for number in range(5_000):
        ledger.note(("account", str(number)))
    return process_time() - started


def test_noting_costs_the_same_in_a_long_ledger() -> None:
    assert min(seconds_to_note(LARGE) for _ in range(2)) < 8 * max(seconds_to_note(50) for _ in range(3))
