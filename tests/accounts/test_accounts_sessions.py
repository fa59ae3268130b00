"""Sessions: good on one host, for a time, until somebody ends them; and tickets that carry one to another host."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import timedelta

import pytest

from gateway.accounts.changes import Changes
from gateway.accounts.sessions import Login, Session, session_cookie_name
from gateway.accounts.user import User
from gateway.errors import LoginRefused
from tests.accounts.conftest import PASSWORD, Office, OfficeWith

PORTAL = "portal.example.com"
APP = "app.example.com"
NONCE = "n" * 43
CHALLENGE = hashlib.sha256(NONCE.encode()).digest()


async def sign_in(office: Office, user: User, host: str = PORTAL, *, remembered: bool = False) -> tuple[str, Session]:
    return await office.sessions.create(Login(user.id, host, office.clock.now(), remembered=remembered))


async def is_good(office: Office, secret: str, host: str = PORTAL) -> bool:
    return await office.sessions.find(secret, host) is not None


async def test_a_session_stands_for_its_account(office: Office) -> None:
    ann = await office.add("ann", name="Ann", roles=["a"])
    login = Login(
        ann.id, PORTAL, office.clock.now(), methods=("pwd", "otp"), address="10.0.0.1", user_agent="Firefox\n\ud800 x"
    )
    secret, session = await office.sessions.create(login, {"flash": "hello"})
    assert len(secret) == 43
    owner = await office.sessions.find(secret, PORTAL)
    assert owner is not None
    assert owner.session == session
    assert (owner.account_id, owner.username, owner.email, owner.name) == (ann.id, "ann", "ann@example.com", "Ann")
    assert (owner.roles, owner.data) == (("a",), {"flash": "hello"})
    assert (session.methods, session.address, session.user_agent) == (("pwd", "otp"), "10.0.0.1", "Firefox x")


@pytest.mark.parametrize("host", [APP, "", "PORTAL.example.com", PORTAL + "."])
async def test_a_session_is_good_on_its_host_only(office: Office, host: str) -> None:
    secret, _ = await sign_in(office, await office.add())
    assert await is_good(office, secret, PORTAL)
    assert not await is_good(office, secret, host)


@pytest.mark.parametrize("secret", ["", "x", "x" * 43, "x" * 5000, "\udcff" * 43, "\0" * 43, "\u00e9" * 43], ids=ascii)
async def test_a_secret_that_nobody_has_is_nobody(office: Office, secret: str) -> None:
    await sign_in(office, await office.add())
    assert not await is_good(office, secret)


async def test_a_session_ends_when_it_is_idle(office: Office) -> None:
    secret, session = await sign_in(office, await office.add())
    for _ in range(3):
        office.clock.advance(timedelta(minutes=59))
        assert await is_good(office, secret)
        await office.sessions.touch([session.id])
    office.clock.advance(timedelta(hours=1))
    assert not await is_good(office, secret)
    await office.sessions.touch([session.id])
    assert not await is_good(office, secret), "what is over stays over"


async def test_a_session_ends_at_the_end_of_its_lifetime_however_busy(office: Office) -> None:
    secret, session = await sign_in(office, await office.add())
    for _ in range(23):
        office.clock.advance(timedelta(minutes=30))
        await office.sessions.touch([session.id])
    assert await is_good(office, secret)
    office.clock.advance(timedelta(minutes=30))
    assert not await is_good(office, secret)


async def test_a_remembered_session_may_be_idle_for_its_whole_lifetime(office: Office) -> None:
    secret, session = await sign_in(office, await office.add(), remembered=True)
    assert session.expires_at == session.idle_until == office.clock.now() + timedelta(days=30)
    office.clock.advance(timedelta(days=15))
    await office.sessions.touch([session.id])
    office.clock.advance(timedelta(days=15) - timedelta(seconds=1))
    assert await is_good(office, secret)
    office.clock.advance(1)
    assert not await is_good(office, secret)


async def test_activity_on_one_host_keeps_the_login_alive_on_all(office: Office) -> None:
    ann = await office.add()
    portal, session = await sign_in(office, ann)
    app = await hand_over(office, session)
    office.clock.advance(timedelta(minutes=50))
    await office.sessions.touch([app[1].id])
    office.clock.advance(timedelta(minutes=50))
    assert await is_good(office, portal)


async def test_saving_data_never_brings_a_session_back(office: Office) -> None:
    secret, session = await sign_in(office, await office.add())

    async def save() -> bool:
        return await office.sessions.save_data(secret, {"a": 1}, remembered=False, expires_at=session.expires_at)

    assert await save()
    owner = await office.sessions.find(secret, PORTAL)
    assert owner is not None
    assert owner.data == {"a": 1}
    assert await office.sessions.revoke(session.id)
    assert not await save()
    assert await office.count("session") == 0


async def test_a_disabled_account_has_no_good_session(office: Office) -> None:
    secret, _ = await sign_in(office, await office.add())
    await office.database.execute("update account set is_active = false")
    assert not await is_good(office, secret)


@pytest.mark.parametrize(
    "ending", ["update account set is_active = false", "delete from account"], ids=["disabled", "deleted"]
)
async def test_no_session_begins_for_an_account_that_ends_meanwhile(office: Office, ending: str) -> None:
    ann = await office.add()
    async with office.database.transaction() as connection:
        await connection.execute(ending)
        login = asyncio.create_task(sign_in(office, ann))
        await asyncio.sleep(0.1)
        assert not login.done(), "it waits to see how that ends"
    with pytest.raises(LoginRefused, match="inactive"):
        await login
    assert await office.count("session") == 0


async def test_many_logins_at_once_leave_no_more_than_the_limit(office: Office) -> None:
    ann = await office.add()
    logins = await asyncio.gather(*(sign_in(office, ann) for _ in range(12)))
    assert await office.count("session") == 3
    assert sum([await is_good(office, secret) for secret, _ in logins]) == 3


async def test_the_oldest_logins_give_way_and_say_so(office: Office) -> None:
    ann, bob = await office.add("ann"), await office.add("bob")
    others, _ = await sign_in(office, bob)
    logins = []
    for _ in range(5):
        logins.append(await sign_in(office, ann))
        office.clock.advance(1)
    assert [await is_good(office, secret) for secret, _ in logins] == [False, False, True, True, True]
    assert await is_good(office, others)
    assert await office.events() == [("session", session.id) for _, session in logins[:2]]


async def test_a_new_login_never_gives_way_to_itself(office: Office) -> None:
    ann = await office.add()
    # All in one moment, as by a clock that stands still or went back.
    for _ in range(12):
        secret, _ = await sign_in(office, ann)
        assert await is_good(office, secret)
        office.clock.advance(-1)
    assert await office.count("session") == 3


async def test_a_login_counts_once_however_many_hosts_it_reached(office: Office) -> None:
    ann = await office.add()
    secret, session = await sign_in(office, ann)
    for number in range(5):
        await hand_over(office, session, f"app{number}.example.com")
    assert await is_good(office, secret)
    assert await office.count("session") == 6


async def test_sessions_are_listed_while_they_are_good(office: Office) -> None:
    ann = await office.add()
    _, first = await sign_in(office, ann)
    office.clock.advance(1)
    _, second = await sign_in(office, ann)
    assert [session.id for session in await office.sessions.list_for(ann.id)] == [second.id, first.id]
    await office.sessions.revoke(second.id)
    assert not await office.sessions.revoke(second.id)
    assert [session.id for session in await office.sessions.list_for(ann.id)] == [first.id]
    office.clock.advance(timedelta(hours=1))
    assert await office.sessions.list_for(ann.id) == []


async def test_ending_a_login_ends_it_on_all_hosts_and_says_so(office: Office) -> None:
    ann = await office.add()
    portal, session = await sign_in(office, ann)
    app, handed = await hand_over(office, session)
    other, kept = await sign_in(office, ann)
    assert await office.sessions.revoke_login(session.login_id) == 2
    assert [await is_good(office, portal), await is_good(office, app, APP)] == [False, False]
    assert sorted(await office.events()) == sorted([("session", session.id), ("session", handed.id)])
    assert await is_good(office, other)
    assert kept.login_id != session.login_id


async def test_ending_all_sessions_can_leave_the_login_that_asked(office: Office) -> None:
    ann = await office.add()
    first, _ = await sign_in(office, ann)
    second, session = await sign_in(office, ann)
    assert await office.sessions.revoke_account(ann.id, except_login=session.login_id) == 1
    assert [await is_good(office, first), await is_good(office, second)] == [False, True]
    assert await office.sessions.revoke_account(ann.id) == 1
    assert await office.sessions.revoke_account(ann.id) == 0


async def test_what_is_over_is_forgotten(office: Office) -> None:
    _, session = await sign_in(office, await office.add())
    await office.sessions.issue_ticket(session.id, APP, CHALLENGE)
    office.clock.advance(timedelta(minutes=59))
    assert await office.sessions.forget_expired() == 0
    assert await office.count("login_ticket") == 0
    office.clock.advance(timedelta(minutes=2))
    assert await office.sessions.forget_expired() == 1
    # What the session opened before it fell idle is closed by that.
    assert (
        await office.database.fetchval("select count(*) from event where topic = 'session' and key = $1", session.id)
        == 1
    )


async def test_only_digests_are_stored_and_no_secret_shows_in_a_repr(office: Office) -> None:
    ann = await office.add()
    secret, session = await office.sessions.create(Login(ann.id, PORTAL, office.clock.now()), {"csrf": "hidden"})
    ticket = await office.sessions.issue_ticket(session.id, APP, CHALLENGE)
    owner = await office.sessions.find(secret, PORTAL)
    stored = str(await office.database.fetch("select session.*, login_ticket.* from session, login_ticket"))
    for text in (repr(session), repr(owner), stored.replace("hidden", "")):
        assert secret not in text
        assert ticket not in text
        assert "hidden" not in text


def test_the_cookie_is_bound_to_its_host_where_tls_allows() -> None:
    assert session_cookie_name(secure=True) == "__Host-gateway"
    assert session_cookie_name(secure=False) == "gateway"


async def hand_over(office: Office, session: Session, host: str = APP) -> tuple[str, Session]:
    ticket = await office.sessions.issue_ticket(session.id, host, CHALLENGE)
    handed = await office.sessions.redeem_ticket(ticket, host, NONCE)
    assert handed is not None
    return handed


async def test_a_ticket_gives_a_session_of_the_same_login_on_its_host(office: Office) -> None:
    ann = await office.add()
    _, session = await sign_in(office, ann, remembered=True)
    office.clock.advance(60)
    secret, handed = await hand_over(office, session)
    assert (handed.login_id, handed.host, handed.remembered) == (session.login_id, APP, True)
    # Neither the end nor the moment of authentication moves.
    assert (handed.expires_at, handed.authenticated_at) == (session.expires_at, session.authenticated_at)
    assert await is_good(office, secret, APP)
    assert not await is_good(office, secret, PORTAL)


@pytest.mark.parametrize(
    ("host", "nonce"),
    [(PORTAL, NONCE), ("evil.example", NONCE), (APP, "m" * 43), (APP, ""), (APP, "\udcff"), ("", NONCE)],
    ids=ascii,
)
async def test_a_ticket_is_good_on_its_host_in_its_browser_and_ends_elsewhere(
    office: Office, host: str, nonce: str
) -> None:
    _, session = await sign_in(office, await office.add())
    ticket = await office.sessions.issue_ticket(session.id, APP, CHALLENGE)
    assert await office.sessions.redeem_ticket(ticket, host, nonce) is None
    assert await office.sessions.redeem_ticket(ticket, APP, NONCE) is None
    await hand_over(office, session)


async def test_a_ticket_is_good_for_a_minute(office: Office) -> None:
    _, session = await sign_in(office, await office.add())
    ticket = await office.sessions.issue_ticket(session.id, APP, CHALLENGE)
    office.clock.advance(60)
    assert await office.sessions.redeem_ticket(ticket, APP, NONCE) is None


@pytest.mark.parametrize("how", ["revoked", "idle", "disabled"])
async def test_a_ticket_ends_with_its_session(office_with: OfficeWith, how: str) -> None:
    office = office_with(sessions={"idle_timeout": "30s"} if how == "idle" else {})
    ann = await office.add()
    _, session = await sign_in(office, ann)
    ticket = await office.sessions.issue_ticket(session.id, APP, CHALLENGE)
    if how == "revoked":
        await office.sessions.revoke_login(session.login_id)
    elif how == "disabled":
        await office.users.change(ann.id, Changes(is_active=False))
    else:
        office.clock.advance(30)
    assert await office.sessions.redeem_ticket(ticket, APP, NONCE) is None


async def test_of_many_redemptions_at_once_one_gets_a_session(office: Office) -> None:
    _, session = await sign_in(office, await office.add())
    ticket = await office.sessions.issue_ticket(session.id, APP, CHALLENGE)
    answers = await asyncio.gather(*(office.sessions.redeem_ticket(ticket, APP, NONCE) for _ in range(10)))
    assert sum(answer is not None for answer in answers) == 1
    assert await office.count("session") == 2


@pytest.mark.parametrize("ending", ["login", "account", "password"])
async def test_no_session_is_born_of_a_login_that_ends_meanwhile(office: Office, ending: str) -> None:
    """A hand-over that is under way when its login ends comes to nothing, whoever commits first."""
    ann = await office.add()
    for _ in range(8):
        _, session = await sign_in(office, ann)
        tickets = [await office.sessions.issue_ticket(session.id, f"a{n}.example", CHALLENGE) for n in range(3)]

        async def end(session: Session = session) -> None:
            if ending == "login":
                await office.sessions.revoke_login(session.login_id)
            elif ending == "account":
                await office.sessions.revoke_account(ann.id)
            else:
                await office.users.change(ann.id, Changes(password="another one of these"))

        await asyncio.gather(
            *(office.sessions.redeem_ticket(each, f"a{n}.example", NONCE) for n, each in enumerate(tickets)), end()
        )
        assert await office.count("session") == 0


async def test_sessions_that_end_at_the_same_moment_end_their_login(office: Office) -> None:
    """One by somebody, one by its age: whichever comes second knows of the first."""
    ann = await office.add()
    _, portal = await sign_in(office, ann)
    _, app = await office.sessions.create(Login(ann.id, APP, office.clock.now()), continues=portal.login_id)
    await office.database.execute(
        "insert into oauth_client (id, name, metadata, created_at, updated_at) values ('wiki', '', '{}', now(), now())"
    )
    await office.database.execute(
        """insert into refresh_family (account_id, client_id, authenticated_at, methods, created_at, expires_at,
            login_id, offline) values ($1::text::uuid, 'wiki', now(), '{pwd}', now(), now(), $2::text::uuid, false)""",
        ann.id,
        portal.login_id,
    )
    await office.database.execute("update session set idle_until = '-infinity' where id = $1::text::uuid", app.id)
    async with office.database.transaction() as connection:
        await connection.execute("select from account where id = $1::text::uuid for no key update", ann.id)
        await connection.execute("delete from session where id = $1::text::uuid", portal.id)
        assert await office.sessions.forget_expired() == 0
    assert await office.sessions.forget_expired() == 1
    assert await office.database.fetchval("select revoked_at is not null from refresh_family")


async def test_a_login_that_a_changed_password_overtook_begins_nothing(office: Office) -> None:
    ann = await office.login.authenticate((await office.add("ann")).username, PASSWORD, "10.0.0.1")
    login = Login(ann.id, "localhost", office.clock.now(), revision=ann.revision)
    await office.sessions.create(login)
    await office.users.change_password(ann.id, PASSWORD, "another good password", None)
    with pytest.raises(LoginRefused):
        await office.sessions.create(login)
    assert await office.sessions.list_for(ann.id) == []
