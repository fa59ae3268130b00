"""What people agree to is remembered for what they agreed to, and taken back with everything that came of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from gateway.oauth.state.consents import Consents
from gateway.oauth.state.families import Families, Granted
from gateway.oauth.state.requests import AuthorizationRequests
from gateway.storage.database import Database
from tests.fake_clock import FakeClock

ANN = "00000000-0000-4000-8000-00000000000a"
BEA = "00000000-0000-4000-8000-00000000000b"
API = "https://api.example.com/"


class Desk:
    """Two people, two clients, and what keeps their grants."""

    def __init__(self, database: Database, clock: FakeClock) -> None:
        self.database = database
        self.clock = clock
        self.consents = Consents(database, clock)
        self.families = Families(database, clock)

    async def open(self) -> None:
        for identifier, name in ((ANN, "ann"), (BEA, "bea")):
            await self.database.execute(
                "insert into account (id, username, username_key, email, email_key, created_at, updated_at)"
                " values ($1, $2, $2, $3, $3, $4, $4)",
                UUID(identifier),
                name,
                f"{name}@example.com",
                self.clock.now(),
            )
        for identifier, name, owner in (("wiki", "Wiki", None), ("blog", "blog", UUID(BEA))):
            await self.database.execute(
                "insert into oauth_client (id, name, owner_id, metadata, created_at, updated_at)"
                " values ($1, $2, $3, '{}', $4, $4)",
                identifier,
                name,
                owner,
                self.clock.now(),
            )

    async def agree(
        self, *scopes: str, account: str = ANN, client: str = "wiki", resources: Sequence[str] = ()
    ) -> None:
        await self.consents.remember(account, client, scopes, resources, ())

    async def begin(self, account: str = ANN, client: str = "wiki", *scopes: str) -> str:
        granted = Granted(
            account_id=account,
            client_id=client,
            scopes=scopes,
            authenticated_at=self.clock.now(),
            methods=("pwd",),
            expires_at=self.clock.now() + timedelta(days=30),
            offline=True,
        )
        async with self.database.transaction() as connection:
            family_id = await self.families.begin(connection, granted)
        assert family_id is not None
        return family_id

    async def events(self) -> list[tuple[str, str]]:
        rows = await self.database.fetch("select topic, key from event order by seq")
        return [(row["topic"], row["key"]) for row in rows]


@pytest.fixture
async def desk(database: Database, clock: FakeClock) -> Desk:
    opened = Desk(database, clock)
    await opened.open()
    return opened


@pytest.mark.parametrize(
    ("scopes", "resources", "claims", "covered"),
    [
        ({"openid"}, (), (), True),
        ({"openid", "email"}, (API,), ("roles",), True),
        ((), (), (), True),
        ({"openid", "profile"}, (), (), False),
        ({"openid"}, ("https://other.example.com/",), (), False),
        ({"openid"}, (), ("email_verified",), False),
    ],
    ids=["a part", "all", "nothing", "another scope", "another resource", "another claim"],
)
async def test_consent_covers_what_was_agreed_to(
    desk: Desk, scopes: set[str], resources: Sequence[str], claims: Sequence[str], covered: bool
) -> None:
    await desk.consents.remember(ANN, "wiki", ["openid", "email"], [API], ["roles"])
    assert await desk.consents.covers(ANN, "wiki", scopes, resources, claims) is covered


async def test_consent_is_of_one_account_for_one_client(desk: Desk) -> None:
    await desk.agree("openid")
    assert not await desk.consents.covers(BEA, "wiki", {"openid"}, (), ())
    assert not await desk.consents.covers(ANN, "blog", {"openid"}, (), ())
    assert not await desk.consents.covers(ANN, "blog", (), (), ())


async def test_consents_add_up(desk: Desk) -> None:
    await desk.agree("openid", "email")
    desk.clock.advance(60)
    await desk.agree("openid", "profile", resources=[API])
    [consent] = await desk.consents.list_for(ANN)
    assert consent.scopes == ("email", "openid", "profile")
    assert consent.resources == (API,)
    assert consent.since == desk.clock.now() - timedelta(seconds=60)
    assert consent.last_used is None


async def test_list_names_clients_owners_and_the_last_use(desk: Desk) -> None:
    await desk.agree("openid")
    await desk.agree("openid", client="blog")
    family = await desk.begin(ANN, "wiki", "openid")
    desk.clock.advance(3600)
    assert await desk.families.first_token(family, "jti")
    found = await desk.consents.list_for(ANN)
    assert [(each.client.name, each.owner) for each in found] == [("blog", "bea"), ("Wiki", "")]
    assert found[1].last_used == desk.clock.now()
    assert await desk.consents.list_for(BEA) == []


async def test_list_shows_what_needed_no_consent_while_it_is_good(desk: Desk) -> None:
    await desk.begin(ANN, "wiki", "openid", "roles")
    [found] = await desk.consents.list_for(ANN)
    assert (found.client.id, found.scopes) == ("wiki", ("openid", "roles"))
    desk.clock.advance(timedelta(days=31).total_seconds())
    assert await desk.consents.list_for(ANN) == []


async def test_revoking_ends_every_family_of_both_and_no_other(desk: Desk) -> None:
    await desk.agree("openid")
    gone = {await desk.begin(), await desk.begin()}
    kept = [await desk.begin(ANN, "blog"), await desk.begin(BEA, "wiki")]
    assert await desk.consents.revoke(ANN, "wiki")
    assert not await desk.consents.covers(ANN, "wiki", {"openid"}, (), ())
    assert [await desk.families.find(each) for each in gone] == [None, None]
    assert all([await desk.families.find(each) for each in kept])
    assert set(await desk.events()) == {("family", each) for each in gone}
    assert not await desk.consents.revoke(ANN, "wiki")


async def test_revoking_forgets_what_was_agreed_to_and_not_answered_yet(desk: Desk) -> None:
    requests = AuthorizationRequests(desk.database, desk.clock)
    await desk.agree("openid")
    waiting = {account: await requests.keep("wiki", {"scope": "openid"}, pushed=False) for account in (ANN, BEA)}
    for account, request_uri in waiting.items():
        assert await requests.consent(request_uri, account)
    await desk.consents.revoke(ANN, "wiki")
    assert await requests.find(waiting[ANN]) is None
    assert await requests.find(waiting[BEA]) is not None


async def test_family_that_begins_meanwhile_is_ended_too(desk: Desk) -> None:
    await desk.agree("openid")
    granted = Granted(ANN, "wiki", ("openid",), desk.clock.now(), ("pwd",), desk.clock.now() + timedelta(days=1))
    async with desk.database.transaction() as connection:
        family_id = await desk.families.begin(connection, granted)
        revoking = asyncio.create_task(desk.consents.revoke(ANN, "wiki"))
        await asyncio.sleep(0.1)
        assert not revoking.done()
    assert await revoking
    assert family_id is not None
    assert await desk.families.find(family_id) is None
