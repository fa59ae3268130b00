"""Back-channel logout: who hears of a login's end, by what, and what ends with it."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlencode

import pytest
from aiohttp import web
from jwcrypto import jwk, jws

from gateway.accounts.changes import Changes
from gateway.oauth.backchannel import EVENT
from gateway.oauth.state.logout_notices import LogoutNotices
from tests.fake_clock import FakeClock
from tests.gateways import BROWSER, GatewayFactory, free_port
from tests.oauth.party import METADATA, Party, claims, open_party


@dataclass
class Listening:
    """A relying party's end of the back channel."""

    url: str
    status: int = 200
    heard: list[str] = field(default_factory=list)
    types: list[str] = field(default_factory=list)

    async def hear(self, request: web.Request) -> web.Response:
        self.types.append(request.content_type)
        self.heard += parse_qs((await request.read()).decode())["logout_token"]
        return web.Response(status=self.status)

    async def wait(self, times: int = 1) -> None:
        async with asyncio.timeout(20):
            while len(self.heard) < times:
                await asyncio.sleep(0.02)


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    port = free_port()
    there = Listening(f"http://127.0.0.1:{port}/back")
    application = web.Application()
    application.router.add_post("/back", there.hear)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    yield there
    await runner.cleanup()


@pytest.fixture
async def party(gateway_factory: GatewayFactory, clock: FakeClock, listening: Listening) -> Party:
    metadata = {**METADATA, "backchannel_logout_uri": listening.url, "id_token_signed_response_alg": "ES256"}
    return await open_party(gateway_factory, clock, metadata)


async def tokens_of(party: Party, **asked: str) -> dict[str, Any]:
    read: dict[str, Any] = (await party.redeem(await party.authorize(**asked))).json
    return read


async def refreshed(party: Party, tokens: dict[str, Any]) -> bool:
    return (await party.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])).status == 200


async def test_oidcc_backchannel_rp_initiated_logout(party: Party, listening: Listening) -> None:
    tokens = await tokens_of(party)
    query = urlencode({"id_token_hint": tokens["id_token"]})
    await party.running.get(f"/oauth/logout?{query}", cookie=party.cookie, headers=BROWSER)
    await listening.wait()
    keys = jwk.JWKSet.from_json((await party.running.get("/oauth/jwks")).text)
    token = jws.JWS()
    token.allowed_algs = ["ES256"]
    token.deserialize(listening.heard[0], keys)
    said, identity = json.loads(token.payload), claims(tokens["id_token"])
    header = json.loads(base64.urlsafe_b64decode(listening.heard[0].split(".")[0] + "=="))
    assert (header["typ"], header["alg"]) == ("logout+jwt", "ES256")
    assert said.keys() == {"iss", "aud", "sub", "sid", "iat", "exp", "jti", "events"}
    assert [said[name] for name in ("iss", "aud", "sub", "sid")] == [
        identity[name] for name in ("iss", "aud", "sub", "sid")
    ]
    assert (said["events"], said["exp"] - said["iat"]) == ({EVENT: {}}, 120)
    assert listening.types == ["application/x-www-form-urlencoded"]
    assert not await refreshed(party, tokens)


async def portal(party: Party) -> None:
    gateway = party.running.gateway
    owner = await gateway.accounts.sessions.find(party.cookie, "localhost")
    assert owner is not None
    await gateway.accounts.sessions.revoke_login(owner.session.login_id)


async def disabled(party: Party) -> None:
    users = party.running.gateway.accounts.users
    ann = await users.find("ann")
    assert ann is not None
    await users.change(ann.id, Changes(is_active=False))


async def deleted(party: Party) -> None:
    users = party.running.gateway.accounts.users
    ann = await users.find("ann")
    assert ann is not None
    await users.delete(ann.id)


async def expired(party: Party) -> None:
    gateway = party.running.gateway
    clock = gateway.clock
    assert isinstance(clock, FakeClock)
    clock.advance(timedelta(days=8))
    await gateway.accounts.sessions.forget_expired()


@pytest.mark.parametrize("end", [portal, disabled, deleted, expired])
async def test_whatever_ends_a_login_is_told(
    party: Party, listening: Listening, end: Callable[[Party], Awaitable[None]]
) -> None:
    tokens = await tokens_of(party)
    await end(party)
    await listening.wait()
    assert claims(listening.heard[0])["sub"] == claims(tokens["access_token"])["sub"]
    assert not await refreshed(party, tokens)


async def test_offline_access_outlives_the_login(party: Party, listening: Listening) -> None:
    tokens = await tokens_of(party, scope="openid offline_access")
    await portal(party)
    await listening.wait()
    assert await refreshed(party, tokens)


async def test_a_login_goes_on_while_a_host_still_has_a_session_of_it(party: Party, listening: Listening) -> None:
    sessions = party.running.gateway.accounts.sessions
    tokens = await tokens_of(party)
    owner = await sessions.find(party.cookie, "localhost")
    assert owner is not None
    database = party.running.gateway._database
    await database.execute(
        """insert into session (secret_hash, account_id, login_id, host, methods, authenticated_at, created_at, seen_at,
               idle_until, expires_at)
           select '\\x01', account_id, login_id, 'other', methods, authenticated_at, created_at, seen_at, idle_until,
               expires_at from session where id = $1::text::uuid""",
        owner.session.id,
    )
    await sessions.revoke(owner.session.id)
    assert await refreshed(party, tokens)
    await sessions.revoke_login(owner.session.login_id)
    await listening.wait()


async def test_a_party_that_does_not_hear_is_told_again(party: Party, listening: Listening) -> None:
    listening.status = 500
    await tokens_of(party)
    await portal(party)
    await listening.wait()
    listening.status = 200
    database = party.running.gateway._database
    assert await database.fetchval("select count(*) from logout_notice") == 1
    await database.execute("update logout_notice set due_at = now()")
    party.running.gateway.provider.back_channel._wake.set()
    await listening.wait(2)
    async with asyncio.timeout(10):
        while await database.fetchval("select count(*) from logout_notice"):
            await asyncio.sleep(0.02)


async def test_a_party_that_never_hears_is_given_up(party: Party, listening: Listening) -> None:
    listening.status = 500
    await tokens_of(party)
    await portal(party)
    await listening.wait()
    database = party.running.gateway._database
    # The party has heard it before the gateway has noted how it was answered.
    while not await database.fetchval("select attempts from logout_notice where due_at > now()"):
        await asyncio.sleep(0.01)
    await database.execute("update logout_notice set due_at = now(), attempts = 5")
    await party.running.gateway.provider.back_channel.deliver()
    assert await database.fetchval("select count(*) from logout_notice") == 0


async def test_with_nothing_to_tell_there_is_nothing_to_wait_for(party: Party) -> None:
    """A gateway that is idle does not ask its database again and again."""
    notices = LogoutNotices(party.running.gateway._database)
    assert await notices.next_due_seconds() is None


async def test_strangers_do_not_choose_inner_addresses(
    gateway_factory: GatewayFactory, clock: FakeClock, listening: Listening
) -> None:
    metadata = {**METADATA, "backchannel_logout_uri": listening.url}
    party = await open_party(
        gateway_factory, clock, metadata, first_party=False, opens_routes=False, manages_itself=True
    )
    ann = await party.running.gateway.accounts.users.find("ann")
    assert ann is not None
    await party.running.gateway.consents.remember(ann.id, party.client_id, ["openid", "profile"], [], [])
    await tokens_of(party)
    await portal(party)
    await party.running.gateway.provider.back_channel.deliver()
    assert listening.heard == []


async def test_two_processes_tell_each_notice_once(
    gateway_factory: GatewayFactory, clock: FakeClock, party: Party, listening: Listening
) -> None:
    other = await gateway_factory(clock=clock)
    await tokens_of(party)
    await portal(party)
    await listening.wait()
    await asyncio.gather(other.gateway.provider.back_channel.deliver(), asyncio.sleep(0.3))
    assert len(listening.heard) == 1
