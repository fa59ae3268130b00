"""One gateway trusts another: real discovery, keys, introspection and revocation."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.accounts.user import User
from gateway.oauth.state.client_metadata import checked_metadata
from gateway.oauth.state.registry import Rights
from tests.fake_clock import RunningClock
from tests.gateways import GatewayFactory, Running, database_url, field_of
from tests.oauth.party import FORM, METADATA, Party

TRUSTING = """
trusted_issuers:
  - issuer: {issuer}
    audience: {issuer}
    username_prefix: "other:"
    allow_private: true
    {more}
upstreams: {{app: {{servers: "{echo}"}}}}
routes: [{{name: app, match: {{path: /app/**}}, upstream: app}}]
"""
ASKED = """claims: {{username: username}}
    introspection:
      {{url: "{issuer}/oauth/introspect", client_id: {client_id}, client_secret: {secret}, jwts: true, cache: 2s,
       auth_method: client_secret_post}}"""


@dataclass
class Two:
    """A gateway that has accounts, and what starts one that trusts it."""

    factory: GatewayFactory
    home: Running
    ann: User
    echo: str

    async def trusting(self, more: str = "", clock: RunningClock | None = None) -> Running:
        return await self.factory(TRUSTING.format(issuer=self.home.origin, echo=self.echo, more=more), clock=clock)


@pytest.fixture
async def two(empty_database: dict[str, Any], gateway_factory: GatewayFactory, echo: str) -> Two:
    home = await gateway_factory(database=database_url(empty_database))
    return Two(gateway_factory, home, await home.user("ann"), echo)


async def test_a_token_of_one_opens_the_routes_of_the_other(two: Two) -> None:
    away = await two.trusting()
    answer = await away.get("/app/", token=await two.home.token(two.ann))
    assert answer.status == 200
    assert field_of(answer, "X-Forwarded-User") == [f"other:{two.ann.id}"]
    mine = await away.user("bob")
    assert (await away.get("/app/", token=await away.token(mine))).status == 200
    assert (await two.home.get("/api/me", token=await away.token(mine))).status == 401


async def test_keys_that_rotate_there_are_known_here(two: Two) -> None:
    clock = RunningClock()
    away = await two.trusting(clock=clock)
    before = await two.home.token(two.ann)
    assert (await away.get("/app/", token=before)).status == 200
    await two.home.gateway.accounts.keys.rotate()
    await two.home.gateway.accounts.keys.rotate()  # the next key was published already: this one is news
    clock.advance(31)
    assert (await away.get("/app/", token=await two.home.token(two.ann))).status == 200
    assert (await away.get("/app/", token=before)).status == 200


async def test_a_token_that_is_taken_back_there_is_none_here(two: Two) -> None:
    rights = Rights(first_party=True, opens_routes=True, may_introspect=True)
    issued = await two.home.gateway.registry.create(checked_metadata(METADATA), rights)
    party = Party(two.home, issued, await two.home.session(two.ann))
    more = ASKED.format(issuer=two.home.origin, client_id=party.client_id, secret=issued.secret)
    away = await two.trusting(more)
    token = (await party.redeem(await party.authorize())).json["access_token"]
    answer = await away.get("/app/", token=token)
    assert (answer.status, field_of(answer, "X-Forwarded-User")) == (200, ["other:ann"])
    form = urlencode({"client_id": party.client_id, "client_secret": issued.secret or "", "token": token})
    assert (await two.home.send("POST", "/oauth/revoke", headers=FORM, data=form)).status == 200
    async with asyncio.timeout(10):
        while (await away.get("/app/", token=token)).status == 200:
            await asyncio.sleep(0.1)
    assert (await away.get("/app/", token=token)).status == 401
