"""Who is recognised by which credential, and what is never believed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from gateway.accounts.changes import Changes
from gateway.accounts.sessions import Login
from gateway.errors import CredentialRejected, StorageError, StorageUnavailable, TokenRejected
from gateway.identity.identity import CredentialKind
from gateway.identity.presented import Headers
from tests.identity.credentials import HOST, bearer, cookie, fields, together
from tests.identity.reception import Reception, open_reception

__all__ = ["open_reception"]

KINDS = ("session", "bearer", "api_token")


def carried_by(kind: str) -> str:
    return "cookie" if kind == "session" else "authorization"


async def test_a_good_credential_says_who_it_is(reception: Reception) -> None:
    for kind in KINDS:
        headers = await reception.ways[kind]()
        verified = await reception.ask(headers)
        assert verified is not None
        identity = verified.identity
        assert (identity.user_id, identity.username, identity.email) == (reception.ann.id, "ann", "ann@example.com")
        assert (identity.kind, identity.roles) == (CredentialKind(kind), ("staff", "user"))
        assert identity.scopes == (frozenset({"wiki:read"}) if kind == "api_token" else None)
        assert identity.authenticated_at.utcoffset() == timedelta(0)
        assert verified.consumed == {carried_by(kind)}
        assert ("account", reception.ann.id) in verified.depends_on
        assert reception.known(headers) is verified
        assert await reception.ask(headers) is verified


async def test_nothing_presented_is_nobody(reception: Reception) -> None:
    assert await reception.ask(fields()) is None
    assert await reception.ask(fields(("Cookie", "theme=dark"), ("Authorization", "Basic YTpi"))) is None
    assert reception.known(fields()) is None
    session = await reception.by_session()
    assert await reception.ask(session, kinds=frozenset({CredentialKind.BEARER})) is None


MALFORMED: dict[str, Headers] = {
    "empty cookie": cookie(""),
    "short cookie": cookie("x"),
    "unknown cookie": cookie("x" * 43),
    "long cookie": cookie("x" * 9000),
    "cookie of bytes": cookie("\udcff" * 43),
    "cookie with NUL": cookie("\0" * 43),
    "empty bearer": bearer(""),
    "no jwt": bearer("x"),
    "empty jwt": bearer(".."),
    "long jwt": bearer(f"{'x' * 9000}.x.x"),
    "jwt of bytes": bearer("\udcff.\udcff.\udcff"),
    "none": bearer("eyJhbGciOiJub25lIiwia2lkIjoiMSIsInR5cCI6ImF0K2p3dCJ9.e30."),
    "empty api token": bearer("gwt_"),
    "unknown api token": bearer("gwt_" + "a" * 59 + "00000000"),
    "api token of bytes": fields(("X-API-Key", "gwt_\udcff")),
    "foreign api key": fields(("X-API-Key", "abc")),
    "empty api key": fields(("X-API-Key", "")),
}


async def test_a_bad_credential_is_rejected_whatever_stands_beside_it(reception: Reception) -> None:
    session, token = await reception.by_session(), await reception.by_api_token()
    assert await reception.ask(session) is not None
    assert await reception.ask(token) is not None
    for name, headers in MALFORMED.items():
        good = session if "Authorization" in headers else token
        for presented in (headers, together(headers, good), together(good, headers)):
            with pytest.raises(CredentialRejected):
                pytest.fail(f"{name}: {await reception.ask(presented)}")
    assert len(reception.cache) == 2


async def test_two_good_credentials_must_be_one_persons(reception: Reception) -> None:
    session, token = await reception.by_session(), await reception.by_jwt()
    both = await reception.ask(together(session, token))
    assert both is not None
    assert (both.identity.user_id, both.kind) == (reception.ann.id, CredentialKind.BEARER)
    assert both.consumed == {"cookie", "authorization"}
    assert {topic for topic, _ in both.depends_on} == {"account", "session", "family", "key"}
    # It has headers of its own: what is sent upstream for one credential is not what is sent for both.
    single = await reception.ask(token)
    assert single is not None
    assert single.headers is not both.headers
    assert reception.known(together(session, token)) is None

    bob = await reception.accounts.users.create("bob", "bob@example.com", None)
    secret, _ = await reception.accounts.sessions.create(Login(bob.id, HOST, reception.clock.now()))
    with pytest.raises(CredentialRejected):
        await reception.ask(together(cookie(secret), token))


async def test_a_session_is_good_on_its_own_host_only(reception: Reception) -> None:
    headers = await reception.by_session()
    assert await reception.ask(headers) is not None
    for _ in range(2):
        with pytest.raises(CredentialRejected):
            await reception.ask(headers, host="other.example.com")
        assert reception.known(headers, host="other.example.com") is None
    assert reception.known(headers) is not None


# What each kind asks, in the order in which it asks.
STEPS: list[tuple[str, Callable[[Reception], object], str]] = [
    ("session", lambda reception: reception.accounts.sessions, "find"),
    ("bearer", lambda reception: reception.accounts.keys, "find"),
    ("bearer", lambda reception: reception.accounts.access_tokens, "verify"),
    ("bearer", lambda reception: reception.accounts.refresh_tokens, "identity_row"),
    ("api_token", lambda reception: reception.accounts.api_tokens, "find"),
]
FAILURES: list[tuple[type[Exception] | None, type[Exception]]] = [
    (StorageUnavailable, StorageUnavailable),
    (StorageError, StorageError),
    (TokenRejected, CredentialRejected),
    (RuntimeError, RuntimeError),
    (None, Exception),  # the step answers that there is nobody
]


@pytest.mark.parametrize(("kind", "part", "step"), STEPS, ids=[f"{kind}-{step}" for kind, _, step in STEPS])
async def test_a_failure_at_any_step_lets_nobody_in(
    reception: Reception, monkeypatch: pytest.MonkeyPatch, kind: str, part: Callable[[Reception], object], step: str
) -> None:
    headers = await reception.ways[kind]()
    right = getattr(part(reception), step)
    for raised, seen in FAILURES:
        monkeypatch.setattr(part(reception), step, _failing(right, raised))
        with pytest.raises(seen):
            await reception.ask(headers)
        assert (reception.known(headers), len(reception.cache)) == (None, 0)
    monkeypatch.setattr(part(reception), step, right)
    assert await reception.ask(headers) is not None


def _failing(right: Callable[..., Any], raised: type[Exception] | None) -> Callable[..., Any]:
    def fail(*_: object) -> None:
        if raised is not None:
            raise raised("reason")

    async def fail_later(*_: object) -> None:
        fail()

    return fail_later if asyncio.iscoroutinefunction(right) else fail


async def test_a_kind_that_nobody_answers_for_is_rejected(
    reception: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await reception.by_jwt()
    monkeypatch.setattr(reception.resolver, "_authenticate", {})
    with pytest.raises(CredentialRejected):
        await reception.ask(headers)


@pytest.mark.parametrize("kind", KINDS)
async def test_what_is_remembered_is_not_believed_without_the_feed(
    reception: Reception, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    headers = await reception.ways[kind]()
    remembered = await reception.ask(headers)
    await reception.feed.stop()
    assert reception.known(headers) is None
    # The database is asked each time ...
    for _ in range(2):
        asked_anew = await reception.ask(headers)
        assert asked_anew is not None
        assert asked_anew is not remembered
    # ... sees what no event has told, and without it there is no answer.
    await reception.accounts.users.change(reception.ann.id, Changes(is_active=False))
    with pytest.raises(CredentialRejected):
        await reception.ask(headers)
    monkeypatch.setattr(reception.accounts.sessions._owners, "_database", _Unreachable())
    monkeypatch.setattr(reception.accounts.refresh_tokens._identities, "_database", _Unreachable())
    monkeypatch.setattr(reception.accounts.api_tokens._owners, "_database", _Unreachable())
    with pytest.raises(StorageUnavailable):
        await reception.ask(headers)


class _Unreachable:
    async def fetch(self, *_: object) -> None:
        raise StorageUnavailable("no answer")


async def _disable(reception: Reception) -> None:
    await reception.accounts.users.change(reception.ann.id, Changes(is_active=False))


async def _delete(reception: Reception) -> None:
    await reception.accounts.users.delete(reception.ann.id)


async def _new_password(reception: Reception) -> None:
    await reception.accounts.users.change(reception.ann.id, Changes(password="another good one"))


async def _revoke_session(reception: Reception) -> None:
    [session] = await reception.accounts.sessions.list_for(reception.ann.id)
    await reception.accounts.sessions.revoke(session.id)


async def _revoke_login(reception: Reception) -> None:
    [session] = await reception.accounts.sessions.list_for(reception.ann.id)
    await reception.accounts.sessions.revoke_login(session.login_id)


async def _revoke_sessions(reception: Reception) -> None:
    await reception.accounts.sessions.revoke_account(reception.ann.id)


async def _revoke_family(reception: Reception) -> None:
    await reception.accounts.refresh_tokens.revoke_account(reception.ann.id, "logout")


async def _revoke_token(reception: Reception) -> None:
    [token] = await reception.accounts.api_tokens.list_for(reception.ann.id)
    await reception.accounts.api_tokens.revoke(reception.ann.id, token.id)


async def _retire_key(reception: Reception) -> None:
    [signed_by] = [key.kid for key in reception.accounts.keys.list() if key.state == "active"]
    await reception.accounts.keys.rotate()
    await reception.accounts.keys.retire(signed_by)
    await reception.feed.caught_up()


ENDS: list[tuple[str, Callable[[Reception], Awaitable[None]]]] = [
    *[(kind, end) for kind in KINDS for end in (_disable, _delete)],
    ("session", _new_password),
    ("session", _revoke_session),
    ("session", _revoke_login),
    ("session", _revoke_sessions),
    ("bearer", _new_password),
    ("bearer", _revoke_family),
    ("bearer", _retire_key),
    ("api_token", _revoke_token),
]


async def test_what_is_taken_away_is_forgotten_at_once(reception: Reception) -> None:
    bystander = await reception.by_session()
    assert await reception.ask(bystander) is not None
    for kind, end in ENDS:
        await reception.next_person()
        headers = await reception.ways[kind]()
        assert await reception.ask(headers) is not None
        await end(reception)
        assert reception.known(headers) is None, (kind, end)
        with pytest.raises(CredentialRejected):
            pytest.fail(f"{kind} {end}: {await reception.ask(headers)}")
    assert reception.known(bystander) is not None


async def test_a_verification_that_a_revocation_overtakes_is_begun_again(reception: Reception) -> None:
    for kind, end in ENDS:
        await reception.next_person()
        headers = await reception.ways[kind]()
        with pytest.MonkeyPatch.context() as patch:
            answered, may_go_on = _held_up(reception, patch, kind)
            asking = asyncio.create_task(reception.ask(headers))
            await answered.wait()
            await end(reception)
            may_go_on.set()
            with pytest.raises(CredentialRejected):
                pytest.fail(f"{kind} {end}: {await asking}")
            assert reception.known(headers) is None, (kind, end)


def _held_up(reception: Reception, patch: pytest.MonkeyPatch, kind: str) -> tuple[asyncio.Event, asyncio.Event]:
    """Hold back what the database answers about a kind; tell when it has answered, and take when it may be heard."""
    part, step = {
        "session": (reception.accounts.sessions, "find"),
        "bearer": (reception.accounts.refresh_tokens, "identity_row"),
        "api_token": (reception.accounts.api_tokens, "find"),
    }[kind]
    right, answered, may_go_on = getattr(part, step), asyncio.Event(), asyncio.Event()

    async def slow(*arguments: Any) -> Any:
        answer = await right(*arguments)
        answered.set()
        await may_go_on.wait()
        return answer

    patch.setattr(part, step, slow)
    return answered, may_go_on


async def test_one_that_is_revoked_while_the_other_is_verified_counts_no_more(reception: Reception) -> None:
    token, session = await reception.by_jwt(), await reception.by_session()
    with pytest.MonkeyPatch.context() as patch:
        answered, may_go_on = _held_up(reception, patch, "session")
        asking = asyncio.create_task(reception.ask(together(token, session)))
        await answered.wait()
        await _revoke_family(reception)
        may_go_on.set()
        with pytest.raises(StorageUnavailable):
            await asking
    with pytest.raises(CredentialRejected):
        await reception.ask(together(token, session))


async def test_one_that_expires_while_it_is_verified_is_rejected(reception: Reception) -> None:
    headers, lasts_seconds = await _token_ends(reception)
    with pytest.MonkeyPatch.context() as patch:
        answered, may_go_on = _held_up(reception, patch, "api_token")
        asking = asyncio.create_task(reception.ask(headers))
        await answered.wait()
        reception.clock.advance(lasts_seconds)
        may_go_on.set()
        with pytest.raises(CredentialRejected):
            await asking


async def test_new_roles_hold_for_what_was_being_verified(
    reception: Reception, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await reception.by_session()
    right = reception.accounts.sessions.find
    demotions = 0

    async def overtaken(*arguments: Any) -> Any:
        nonlocal demotions
        answer = await right(*arguments)
        if demotions == 0:
            demotions += 1
            await reception.accounts.users.change(reception.ann.id, Changes(roles=["user"]))
        return answer

    monkeypatch.setattr(reception.accounts.sessions, "find", overtaken)
    verified = await reception.ask(headers)
    assert verified is not None
    assert verified.identity.roles == ("user",)
    assert reception.known(headers) is verified


async def test_ground_that_keeps_moving_is_no_ground(reception: Reception, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = await reception.by_session()
    right = reception.accounts.sessions.find

    async def overtaken(*arguments: Any) -> Any:
        answer = await right(*arguments)
        reception.revocation.on_event("account", reception.ann.id)
        return answer

    monkeypatch.setattr(reception.accounts.sessions, "find", overtaken)
    with pytest.raises(StorageUnavailable):
        await reception.ask(headers)


async def _jwt_ends(reception: Reception) -> tuple[Headers, float]:
    reception.clock.advance(0.5)  # exp is in whole seconds
    return await reception.by_jwt(), 15 * 60 - 0.5


async def _token_ends(reception: Reception) -> tuple[Headers, float]:
    _, text = await reception.accounts.api_tokens.create(reception.ann.id, "ci", [], timedelta(seconds=30))
    return bearer(text), 30


async def _session_idles(reception: Reception) -> tuple[Headers, float]:
    return await reception.by_session(), 10 * 60


async def _session_ends(reception: Reception) -> tuple[Headers, float]:
    return await reception.by_session(remembered=True), 30 * 86400


@pytest.mark.parametrize("make", [_jwt_ends, _token_ends, _session_idles, _session_ends])
async def test_nothing_is_believed_past_its_end(
    reception: Reception, make: Callable[[Reception], Awaitable[tuple[Headers, float]]]
) -> None:
    headers, lasts_seconds = await make(reception)
    await reception.pass_time(lasts_seconds - 3)
    assert await reception.ask(headers) is not None
    await reception.pass_time(2)
    assert reception.known(headers) is not None or await reception.ask(headers) is not None
    await reception.pass_time(1)
    assert reception.known(headers) is None
    with pytest.raises(CredentialRejected):
        await reception.ask(headers)


async def test_what_is_known_is_asked_anew_each_minute(reception: Reception) -> None:
    for kind in KINDS:
        headers = await reception.ways[kind]()
        first = await reception.ask(headers)
        await reception.pass_time(59.9)
        assert reception.known(headers) is first
        await reception.pass_time(0.1)
        assert reception.known(headers) is None
        second = await reception.ask(headers)
        assert second is not None
        assert second is not first


async def test_a_session_in_use_does_not_idle_away(reception: Reception) -> None:
    headers = await reception.by_session()
    for _ in range(50):  # more than the idle time, each request just within the time that is remembered
        await reception.pass_time(59)
        assert reception.known(headers) is not None or await reception.ask(headers) is not None
        await reception.activity.flush()
    # What ends it is its lifetime of an hour.
    await reception.pass_time(600)
    with pytest.raises(CredentialRejected):
        await reception.ask(headers)


async def test_a_session_near_its_idle_end_is_looked_at_more_often(reception: Reception) -> None:
    """What is answered from memory is not noted as use, so memory lasts a tenth of the idle time that is left."""
    headers = await reception.by_session()
    await reception.pass_time(580)
    verified = await reception.ask(headers)
    assert verified is not None
    assert verified.expires_at - reception.clock.monotonic() == pytest.approx(2)
