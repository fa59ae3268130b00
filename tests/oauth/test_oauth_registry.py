"""The registry on real PostgreSQL: who changes a client changes it everywhere, at once."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from gateway.accounts.changes import Changes
from gateway.accounts.passwords.hasher import PasswordHasher
from gateway.accounts.users import Users
from gateway.config.settings import Settings
from gateway.errors import InvalidInput, NotFound
from gateway.oauth.state import registry as registry_module
from gateway.oauth.state.client_metadata import checked_metadata
from gateway.oauth.state.clients import Clients
from gateway.oauth.state.registry import OVERLAP, UNUSED_FOR, Issued, Registry, Rights, rights_of
from gateway.storage.database import Database
from gateway.storage.events import EventFeed
from gateway.tokens.master_key import MasterKey
from tests.fake_clock import FakeClock
from tests.gateways import GatewayFactory, Running

CALLBACK = "https://app.example.com/callback"
METADATA = checked_metadata({"client_name": "Wiki", "redirect_uris": [CALLBACK]})
PUBLIC = checked_metadata({"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "none"})


def described(**changes: Any) -> dict[str, Any]:
    return checked_metadata({**METADATA, **changes}, by_admin=True)


@dataclass
class Desk:
    """The registry of one process, and what another one believes."""

    registry: Registry
    clients: Clients
    feed: EventFeed
    clock: FakeClock
    database: Database

    async def account(self, name: str = "ann") -> str:
        sql = """insert into account (username, username_key, email, email_key, name, roles, is_active, is_verified,
            created_at, updated_at) values ($1, $1, $1 || '@x', $1 || '@x', '', '{}', true, true, now(), now())
            returning id::text"""
        return str(await self.database.fetchval(sql, name))

    async def family(self, account_id: str, client_id: str, *scopes: str) -> str:
        sql = """insert into refresh_family (account_id, client_id, scopes, authenticated_at, methods, created_at,
            expires_at)
            values ($1::text::uuid, $2, $3, $4::timestamptz, '{pwd}', $4, $4::timestamptz + interval '1 day')
            returning id::text"""
        return str(await self.database.fetchval(sql, account_id, client_id, list(scopes), self.clock.now()))

    async def stands(self, family_id: str) -> bool:
        sql = "select count(*) from refresh_family where id = $1::text::uuid and revoked_at is null"
        return bool(await self.database.fetchval(sql, family_id))


@pytest.fixture
async def desk(database: Database, dsn_args: dict[str, Any], clock: FakeClock) -> AsyncIterator[Desk]:
    feed = EventFeed(dsn_args, timedelta(seconds=3), clock)
    clients = Clients(database, clock, feed)
    await feed.start()
    yield Desk(Registry(database, clock, feed), clients, feed, clock, database)
    await feed.stop()


async def test_what_is_registered_is_found(desk: Desk) -> None:
    rights = Rights(first_party=True, requires_pkce=False, may_introspect=True, opens_routes=True)
    issued = await desk.registry.create(METADATA, rights, owner_id=await desk.account())
    found = await desk.clients.find(issued.client.id)
    assert found == issued.client
    assert (found.name, found.metadata, rights_of(found)) == ("Wiki", METADATA, rights)
    assert re.fullmatch(r"(?:[2-9a-z]{4}-){3}[2-9a-z]{4}", found.id)
    assert issued.secret is not None
    assert found.has_secret(issued.secret, desk.clock.now())


async def test_secrets_are_stored_and_shown_as_digests_alone(desk: Desk) -> None:
    issued = await desk.registry.create(METADATA, manages_itself=True)
    stored = str(await desk.database.fetch("select c::text, s::text from oauth_client c, oauth_client_secret s"))
    assert issued.secret is not None
    assert issued.registration_token is not None
    for secret in (issued.secret, issued.registration_token):
        assert secret[4:47] not in stored
        assert secret[4:47] not in repr(issued)
    assert issued.secret != (await desk.registry.create(METADATA)).secret


async def test_a_name_is_the_client_id_where_none_was_given(desk: Desk) -> None:
    issued = await desk.registry.create(PUBLIC)
    assert (issued.client.name, issued.secret, issued.registration_token) == (issued.client.id, None, None)


async def test_every_process_hears_of_a_change(desk: Desk) -> None:
    issued = await desk.registry.create(METADATA)
    client_id = issued.client.id
    assert await desk.clients.find(client_id) is await desk.clients.find(client_id)  # remembered
    await desk.registry.change(client_id, metadata=described(client_name="Wiki 2"))
    found = await desk.clients.find(client_id)
    assert found is not None
    assert found.name == "Wiki 2"
    await desk.registry.set_active(client_id, active=False)
    assert await desk.clients.find(client_id) is None
    assert not (await desk.registry.get(client_id)).is_active
    await desk.registry.set_active(client_id, active=True)
    assert await desk.clients.find(client_id) is not None
    await desk.registry.delete(client_id)
    assert await desk.clients.find(client_id) is None
    with pytest.raises(NotFound):
        await desk.registry.get(client_id)


async def test_two_secrets_at_most_and_the_old_one_for_its_time(desk: Desk) -> None:
    first = await desk.registry.create(METADATA)
    client_id = first.client.id
    second = await desk.registry.rotate_secret(client_id)
    assert await good(desk, client_id, first, second) == [True, True]
    third = await desk.registry.rotate_secret(client_id, timedelta(hours=1))
    assert await good(desk, client_id, first, second, third) == [False, True, True]
    desk.clock.advance(timedelta(hours=1))
    assert await good(desk, client_id, second, third) == [False, True]
    fourth = await desk.registry.rotate_secret(client_id, timedelta(0))
    assert await good(desk, client_id, third, fourth) == [False, True]
    desk.clock.advance(timedelta(days=3650))
    assert await good(desk, client_id, fourth) == [True]


async def good(desk: Desk, client_id: str, *issued: Issued) -> list[bool]:
    client = await desk.clients.find(client_id)
    assert client is not None
    assert len(client.secrets) <= 2
    return [each.secret is not None and client.has_secret(each.secret, desk.clock.now()) for each in issued]


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), timedelta(days=91)], ids=["negative", "long"])
async def test_an_overlap_is_bounded(desk: Desk, overlap: timedelta) -> None:
    client_id = (await desk.registry.create(METADATA)).client.id
    with pytest.raises(InvalidInput):
        await desk.registry.rotate_secret(client_id, overlap)
    await desk.registry.rotate_secret(client_id, OVERLAP)


async def test_a_public_client_has_nothing_to_rotate(desk: Desk) -> None:
    client_id = (await desk.registry.create(PUBLIC)).client.id
    with pytest.raises(InvalidInput, match="no secret"):
        await desk.registry.rotate_secret(client_id)


@pytest.mark.parametrize(
    "rights", [Rights(requires_pkce=False), Rights(may_introspect=True)], ids=["no-pkce", "introspects"]
)
async def test_what_a_client_without_a_secret_may_not_have(desk: Desk, rights: Rights) -> None:
    await desk.registry.create(METADATA, rights)
    with pytest.raises(InvalidInput):
        await desk.registry.create(PUBLIC, rights)
    with_secret = await desk.registry.create(METADATA, rights)
    with pytest.raises(InvalidInput):
        await desk.registry.change(with_secret.client.id, metadata=PUBLIC)


async def test_secrets_follow_the_way_to_authenticate(desk: Desk) -> None:
    client_id = (await desk.registry.create(PUBLIC)).client.id
    issued = await desk.registry.change(client_id, metadata=METADATA)
    assert await good(desk, client_id, issued) == [True]
    assert (await desk.registry.change(client_id, metadata=METADATA)).secret is None
    assert await good(desk, client_id, issued) == [True]
    await desk.registry.change(client_id, metadata=PUBLIC)
    assert await good(desk, client_id, issued) == [False]


WIDE = Rights(first_party=True, opens_routes=True)


@pytest.mark.parametrize(
    ("rights", "metadata", "stands"),
    [
        (WIDE, described(scope="a b"), True),
        (WIDE, described(scope="a b c"), True),
        (WIDE, described(scope="a b", client_name="Other"), True),
        (Rights(first_party=True, opens_routes=True, may_introspect=True), described(scope="a b"), True),
        (WIDE, METADATA, True),
        (WIDE, described(scope="a"), False),
        (Rights(first_party=True), described(scope="a b"), False),
        (Rights(opens_routes=True), described(scope="a b"), False),
        (Rights(first_party=True, opens_routes=True, is_active=False), described(scope="a b"), False),
    ],
    ids=["same", "more", "name", "right", "any-scope", "less-scope", "no-routes", "consent", "disabled"],
)
async def test_what_was_granted_ends_where_less_is_left(
    desk: Desk, rights: Rights, metadata: dict[str, Any], stands: bool
) -> None:
    client = (await desk.registry.create(described(scope="a b"), WIDE)).client
    other = (await desk.registry.create(METADATA)).client
    ann = await desk.account()
    family, unrelated = await desk.family(ann, client.id, "a"), await desk.family(ann, other.id, "a")
    heard: list[tuple[str, str]] = []
    desk.feed.subscribe(lambda topic, key: heard.append((topic, key)), lambda: None)
    await desk.registry.change(client.id, metadata=metadata, rights=rights)
    assert await desk.stands(family) == stands
    assert await desk.stands(unrelated)
    assert (("family", family) in heard) != stands
    assert ("client", client.id) in heard


@pytest.mark.parametrize("rights", [Rights(opens_routes=True), Rights(first_party=True)])
async def test_nothing_that_was_granted_grows_into_opening_routes(desk: Desk, rights: Rights) -> None:
    client = (await desk.registry.create(METADATA)).client
    family = await desk.family(await desk.account(), client.id)
    await desk.registry.change(client.id, rights=rights)
    assert not await desk.stands(family)


async def test_scopes_that_were_open_may_be_narrowed(desk: Desk) -> None:
    client = (await desk.registry.create(METADATA)).client
    family = await desk.family(await desk.account(), client.id, "a")
    await desk.registry.change(client.id, metadata=described(scope="a"))
    assert not await desk.stands(family)


PAIRWISE = {"subject_type": "pairwise", "redirect_uris": [CALLBACK]}


@pytest.mark.parametrize(
    ("changes", "stands"),
    [
        ({"redirect_uris": ["https://app.example.com/other"]}, True),
        ({"redirect_uris": ["https://bank.example.com/callback"]}, False),
        ({"subject_type": "public"}, False),
    ],
    ids=["same-host", "other-host", "public"],
)
async def test_names_that_people_have_at_another_host_are_not_told(
    desk: Desk, changes: dict[str, Any], stands: bool
) -> None:
    client = (await desk.registry.create(described(**PAIRWISE))).client
    family = await desk.family(await desk.account(), client.id)
    await desk.registry.change(client.id, metadata=described(**{**PAIRWISE, **changes}))
    assert await desk.stands(family) == stands


async def test_a_device_that_waits_gets_no_more_than_its_client_has(desk: Desk) -> None:
    client = (await desk.registry.create(described(scope="a b"))).client
    sql = """insert into device_code (device_hash, user_code, client_id, scopes, created_at, expires_at,
        interval_seconds) values ('x', 'x', $1, '{a,b}', now(), now(), 5)"""
    await desk.database.execute(sql, client.id)
    await desk.registry.change(client.id, metadata=described(scope="a b c"))
    assert await desk.database.fetchval("select count(*) from device_code") == 1
    await desk.registry.change(client.id, metadata=described(scope="a"))
    assert await desk.database.fetchval("select count(*) from device_code") == 0


@pytest.mark.parametrize("end", ["disable", "delete", "owner"])
async def test_a_login_and_a_client_end_at_the_same_moment(
    desk: Desk, settings_for: Callable[..., Settings], end: str
) -> None:
    owner = await desk.account("owner")
    client = (await desk.registry.create(METADATA, owner_id=owner)).client
    ann = await desk.account()
    family = await desk.family(ann, client.id)
    settings = settings_for()
    users = Users(desk.database, PasswordHasher(settings.passwords, MasterKey(bytes(32))), settings, desk.clock)
    ways: dict[str, Callable[[], Coroutine[Any, Any, object]]] = {
        "disable": lambda: desk.registry.set_active(client.id, active=False),
        "delete": lambda: desk.registry.delete(client.id),
        "owner": lambda: users.delete(owner, keep_an_admin=False),
    }
    waiting = "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'"
    async with asyncio.timeout(10), asyncio.TaskGroup() as group, desk.database.transaction() as connection:
        # As the login's end does: first what was granted in it, then the client that is to hear of it.
        end_family = "update refresh_family set revoked_at = now() where id = $1::text::uuid"
        await connection.execute(end_family, family)
        group.create_task(ways[end]())
        while not await desk.database.fetchval(waiting):
            await asyncio.sleep(0.01)
        note = "insert into logout_notice (client_id, account_id, created_at, due_at) values ($1, $2, now(), now())"
        await connection.execute(note, client.id, UUID(ann))
    if end != "disable":
        assert not await desk.database.fetchval("select count(*) from oauth_client")


async def test_a_deleted_client_takes_everything_along(desk: Desk) -> None:
    client = (await desk.registry.create(METADATA)).client
    family = await desk.family(await desk.account(), client.id)
    heard: list[tuple[str, str]] = []
    desk.feed.subscribe(lambda topic, key: heard.append((topic, key)), lambda: None)
    await desk.registry.delete(client.id)
    assert not await desk.stands(family)
    assert {("family", family), ("client", client.id)} <= set(heard)
    assert not await desk.database.fetchval("select count(*) from oauth_client_secret")


async def test_an_address_where_nobody_is_asked_is_set_by_administrators(desk: Desk) -> None:
    client_id = (await desk.registry.create(METADATA, Rights(first_party=True))).client.id
    more = described(redirect_uris=[CALLBACK, "https://evil.example/"])
    with pytest.raises(InvalidInput, match="redirect_uris"):
        await desk.registry.change(client_id, metadata=more)
    assert (await desk.registry.get(client_id)).redirect_uris == (CALLBACK,)
    await desk.registry.change(client_id, metadata=more, by_admin=True)
    await desk.registry.change(client_id, metadata=METADATA)  # fewer is anybody's


async def test_lists_are_by_name_with_owners_and_parts(desk: Desk) -> None:
    ann, bob = await desk.account("ann"), await desk.account("bob")
    for name, owner in (("beta", ann), ("Alpha", bob), ("gamma", None), ("Delta 100%", ann)):
        issued = await desk.registry.create(described(client_name=name), owner_id=owner)
        await desk.registry.rotate_secret(issued.client.id)
    page = await desk.registry.page()
    assert [client.name for client in page.items] == ["Alpha", "beta", "Delta 100%", "gamma"]
    assert (page.total, page.owners) == (4, {ann: "ann", bob: "bob"})
    assert all(len(client.secrets) == 2 for client in page.items)
    part = await desk.registry.page(limit=1, offset=2)
    assert ([client.name for client in part.items], part.total) == (["Delta 100%"], 4)
    owned = await desk.registry.page(owner_id=ann)
    assert ([client.name for client in owned.items], owned.total) == (["beta", "Delta 100%"], 2)
    for search, names in (("ALPH", ["Alpha"]), ("%", ["Delta 100%"]), ("\x00", []), ("\ud800", []), ("zzz", [])):
        assert [client.name for client in (await desk.registry.page(search=search)).items] == names
    (by_id,) = (await desk.registry.page(search=page.items[3].id)).items
    assert by_id == page.items[3]


async def test_an_owner_has_so_many(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "MOST_PER_OWNER", 2)
    ann = await desk.account()
    for _ in range(2):
        await desk.registry.create(METADATA, owner_id=ann)
    with pytest.raises(InvalidInput, match="delete some"):
        await desk.registry.create(METADATA, owner_id=ann)
    await desk.registry.create(METADATA)


@pytest.mark.parametrize("client_id", ["", "x", "x" * 300, "a\x00b", "\ud800", "é", "a\nb"])
async def test_an_id_that_nobody_has_is_not_found(desk: Desk, client_id: str) -> None:
    for work in (desk.registry.get, desk.registry.delete, desk.registry.rotate_secret, desk.registry.change):
        with pytest.raises(NotFound):
            await work(client_id)


async def test_what_strangers_registered_and_nobody_used_is_forgotten(desk: Desk) -> None:
    ann = await desk.account()
    unused = (await desk.registry.create(METADATA, manages_itself=True)).client
    used, remembered, trusted = [(await desk.registry.create(METADATA, manages_itself=True)).client for _ in range(3)]
    await desk.family(ann, used.id)
    consent = "insert into oauth_consent (account_id, client_id, scopes, created_at, updated_at)"
    await desk.database.execute(f"{consent} values ($1::text::uuid, $2, '{{}}', now(), now())", ann, remembered.id)
    await desk.registry.change(trusted.id, rights=Rights(opens_routes=True))
    await desk.registry.create(METADATA)
    await desk.registry.create(METADATA, owner_id=ann, manages_itself=True)
    assert await desk.clients.find(unused.id) is not None
    desk.clock.advance(UNUSED_FOR)
    assert await desk.registry.forget_unused() == 0
    desk.clock.advance(1)
    young = (await desk.registry.create(METADATA, manages_itself=True)).client
    assert await desk.registry.forget_unused() == 1
    await desk.feed.caught_up()
    assert await desk.clients.find(unused.id) is None
    left = {client.id for client in (await desk.registry.page()).items}
    assert len(left) == 6
    assert {used.id, remembered.id, trusted.id, young.id} <= left


async def test_rotations_at_once_leave_two_secrets(desk: Desk) -> None:
    client_id = (await desk.registry.create(METADATA)).client.id
    issued = await asyncio.gather(*(desk.registry.rotate_secret(client_id) for _ in range(10)))
    client = await desk.registry.get(client_id)
    assert [secret.expires_at is None for secret in client.secrets].count(True) == 1
    works = [each.secret is not None and client.has_secret(each.secret, desk.clock.now()) for each in issued]
    assert works.count(True) == 2


async def test_a_client_is_as_good_as_its_owner(gateway_factory: GatewayFactory) -> None:
    running: Running = await gateway_factory()
    ann = await running.user()
    gateway = running.gateway
    client_id = (await gateway.registry.create(METADATA, owner_id=ann.id)).client.id
    assert await gateway.clients.find(client_id) is not None
    await gateway.accounts.users.change(ann.id, Changes(is_active=False))
    assert await gateway.clients.find(client_id) is None
    assert (await gateway.registry.get(client_id)).is_active
    await gateway.accounts.users.change(ann.id, Changes(is_active=True))
    assert await gateway.clients.find(client_id) is not None
    await gateway.accounts.users.delete(ann.id)
    assert await gateway.clients.find(client_id) is None
