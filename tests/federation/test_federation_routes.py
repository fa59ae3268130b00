"""Tokens of trusted issuers on routes: whom they stand for upstream, and what they do not open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from jwcrypto.jwk import JWK

from tests.fake_clock import RunningClock
from tests.federation.issuer import ACTIVE, IssuerServer, issuer_served
from tests.federation.signed import EC
from tests.gateways import Answer, GatewayFactory, Running, field_of

CONFIG = """
tokens: {{issuer: "https://portal.example.com"}}
trusted_issuers:
  - issuer: {issuer}
    audience: [wiki, crm]
    username_prefix: "idp:"
    claims: {{username: email, roles: realm_access.roles}}
    roles:
      - {{claim: groups, in: [staff, board], role: editor}}
    allow_private: true
    introspection: {{url: "{issuer}/introspect", client_id: gateway, client_secret: "s:cret & more", cache: 20s}}
upstreams: {{app: {{servers: "{echo}"}}}}
routes:
  - {{name: admins, match: {{path: /admins/**}}, require: {{roles: admin}}, upstream: app}}
  - {{name: editors, match: {{path: /editors/**}}, require: {{roles: editor}}, upstream: app}}
  - {{name: ann, match: {{path: /ann/**}}, require: {{users: ["idp:ann@example.com"]}}, upstream: app}}
  - {{name: writers, match: {{path: /writers/**}}, require: {{scopes: write}}, upstream: app}}
  - {{name: it, match: {{path: /it/**}}, require: {{claims: {{department: it}}}}, upstream: app}}
  - {{name: mfa, match: {{path: /mfa/**}}, require: {{mfa: true}}, upstream: app}}
  - {{name: recent, match: {{path: /recent/**}}, require: {{max_auth_age: 1h}}, upstream: app}}
  - {{name: crm, match: {{path: /crm/**}}, audience: crm, upstream: app}}
  - {{name: other, match: {{path: /other/**}}, audience: other, upstream: app}}
  - {{name: cookies, match: {{path: /cookies/**}}, credentials: session, upstream: app}}
  - {{name: public, match: {{path: /public/**}}, access: public, upstream: app}}
  - {{name: kept, match: {{path: /kept/**}}, upstream: app, identity: {{pass_authorization: true}}}}
  - {{name: rest, upstream: app, identity: {{headers: {{X-Id: "{{user_id}}", X-Dep: "{{claims.department}}"}}}}}}
"""
ANN: dict[str, Any] = {"email": "ann@example.com", "email_verified": True, "name": "Ann Lee"}


@dataclass
class House:
    """A gateway that trusts an issuer."""

    running: Running
    issuer: IssuerServer
    clock: RunningClock

    async def wait(self, seconds: float) -> None:
        """Let time pass, until what is remembered may be believed again."""
        self.clock.advance(seconds)
        async with asyncio.timeout(5):
            while not self.running.gateway.feed.fresh():
                await asyncio.sleep(0.02)

    async def ask(self, path: str = "/", token: str = "", **claims: Any) -> Answer:
        return await self.running.get(path, token=token or self.issuer.token(**{**ANN, **claims}))


@pytest.fixture
async def issuer() -> AsyncIterator[IssuerServer]:
    async with issuer_served() as served:
        yield served


@pytest.fixture
async def house(gateway_factory: GatewayFactory, issuer: IssuerServer, echo: str) -> House:
    clock = RunningClock()
    running = await gateway_factory(CONFIG.format(issuer=issuer.url, echo=echo), clock=clock)
    return House(running, issuer, clock)


async def test_a_token_stands_for_its_owner(house: House) -> None:
    answer = await house.ask(department="it", realm_access={"roles": ["viewer"]}, groups=["board"])
    assert answer.status == 200
    assert field_of(answer, "X-Forwarded-User") == ["idp:ann@example.com"]
    assert field_of(answer, "X-Forwarded-Email") == ["ann@example.com"]
    assert field_of(answer, "X-Forwarded-Groups") == ["editor,viewer"]
    assert field_of(answer, "X-Id") == [f"{house.issuer.url}|u-1"]
    assert field_of(answer, "X-Dep") == ["it"]
    assert field_of(answer, "Authorization") == []


OPENED: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("/admins/", {"realm_access": {"roles": ["admin"]}}, {"realm_access": {"roles": ["administrator"]}}),
    ("/admins/", {"realm_access": {"roles": "admin"}}, {"realm_access": {"roles": {"admin": True}}}),
    ("/admins/", {"realm_access": {"roles": ["admin"]}}, {"roles": ["admin"]}),
    ("/editors/", {"groups": "staff"}, {"groups": "stafff"}),
    ("/editors/", {"groups": ["x", "board"]}, {"groups": [["board"], {"board": 1}, None]}),
    ("/ann/", {}, {"email": "bob@example.com"}),
    ("/writers/", {"scope": "read write"}, {"scope": "rewrite"}),
    ("/writers/", {"scp": ["write"]}, {}),
    ("/it/", {"department": ["hr", "it"]}, {"department": {"it": 1}}),
    ("/crm/", {"aud": ["crm", "x"]}, {"aud": "wiki"}),
]


async def test_routes_judge_what_a_token_says(house: House) -> None:
    for path, right, wrong in OPENED:
        assert (await house.ask(path, **right)).status == 200, right
        assert (await house.ask(path, **wrong)).status in {401, 403}, wrong


async def test_some_routes_are_not_open_to_them(house: House) -> None:
    """What an issuer says of how somebody signed in is not believed unasked."""
    token = house.issuer.token(
        **ANN, amr=["pwd", "otp", "mfa"], auth_time=int(house.clock.now().timestamp()), aud=["wiki", "other"]
    )
    paths = {"/mfa/": 401, "/recent/": 401, "/other/": 401, "/cookies/": 401, "/public/": 200}
    assert {path: (await house.ask(path, token)).status for path in paths} == paths


async def test_a_token_is_forwarded_where_that_is_asked_for_or_nobody_looked(house: House) -> None:
    for path in ("/kept/", "/public/"):
        assert field_of(await house.ask(path), "Authorization") != []


async def test_a_token_of_nobody_that_is_trusted_is_refused_as_any_other(house: House) -> None:
    for token in (house.issuer.token(iss="https://evil.example", **ANN), house.issuer.token(aud="billing", **ANN)):
        answer = await house.ask(token=token)
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


async def test_an_issuers_administrators_are_none_of_ours(house: House) -> None:
    audiences = ["wiki", "https://portal.example.com"]
    token = house.issuer.token(**ANN, realm_access={"roles": ["admin"]}, scope="gateway", aud=audiences)
    for path in ("/api/v1/users/", "/api/v1/users/me", "/api/me"):
        answer = await house.running.get(path, token=token)
        assert (answer.status, answer.json["code"]) == (403, "foreign_token")
    bob = await house.running.user("bob")
    assert (await house.running.send("DELETE", f"/api/v1/users/{bob.id}", token=token)).status == 403
    assert (await house.running.post("/api/v1/auth/logout", token=token)).status == 403


async def test_two_credentials_of_different_people_are_refused(house: House) -> None:
    session = await house.running.session(await house.running.user("ann"))
    assert (await house.running.get("/", token=house.issuer.token(**ANN), cookie=session)).status == 401


async def test_many_requests_with_one_token_read_keys_once(house: House) -> None:
    token = house.issuer.token(**ANN)
    answers = await asyncio.gather(*(house.ask(token=token) for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert house.issuer.asked == {"/.well-known/openid-configuration": 1, "/keys": 1}


async def test_keys_that_are_down_let_nobody_else_in_and_lock_nobody_out(house: House) -> None:
    known = house.issuer.token(**ANN)
    assert (await house.ask(token=known)).status == 200
    house.issuer.down = True
    house.clock.advance(120)
    assert (await house.ask(token=known)).status == 200
    assert (await house.ask(exp=int(house.clock.now().timestamp()) + 60)).status == 200
    stranger = JWK.generate(kty="EC", crv="P-256", kid="new")
    assert (await house.ask(token=house.issuer.token(stranger, **ANN))).status == 401


async def test_who_cannot_be_asked_at_all_makes_the_gateway_unavailable(house: House) -> None:
    house.issuer.down = True
    answer = await house.ask()
    assert (answer.status, answer.json["code"]) == (503, "unavailable")
    house.issuer.down = False
    house.clock.advance(5)
    assert (await house.ask()).status == 200


async def test_a_key_that_rotates_is_taken_at_once_and_the_old_one_no_more(house: House) -> None:
    assert (await house.ask()).status == 200
    new = JWK.generate(kty="EC", crv="P-256", kid="new")
    house.issuer.keys = [new]
    house.clock.advance(31)
    assert (await house.ask(token=house.issuer.token(new, **ANN))).status == 200
    assert (await house.ask(token=house.issuer.token(EC, jti="x", **ANN))).status == 401


async def test_a_token_is_taken_until_it_is_over(house: House) -> None:
    token = house.issuer.token(**ANN, exp=int(house.clock.now().timestamp()) + 20)
    assert (await house.ask(token=token)).status == 200
    house.clock.advance(30)
    assert (await house.ask(token=token)).status == 200
    house.clock.advance(21)
    assert (await house.ask(token=token)).status == 401


async def test_an_opaque_token_is_asked_about_and_kept_briefly(house: House) -> None:
    house.issuer.opaque["0paque"] = ACTIVE
    answers = await asyncio.gather(*(house.ask("/writers/", "0paque") for _ in range(20)))
    assert {answer.status for answer in answers} == {200}
    assert field_of(answers[0], "X-Forwarded-User") == ["idp:bob@example.com"]
    assert house.issuer.asked == {"/introspect": 1}
    house.issuer.opaque.clear()
    await house.wait(10)
    assert (await house.ask(token="0paque")).status == 200
    await house.wait(10)
    assert (await house.ask(token="0paque")).status == 401
    assert house.issuer.asked == {"/introspect": 2}


async def test_who_does_not_answer_about_a_token_refuses_nobody_for_good(house: House) -> None:
    house.issuer.opaque["0paque"] = ACTIVE
    house.issuer.down = True
    assert (await house.ask(token="0paque")).status == 503
    house.issuer.down = False
    house.issuer.secrets.clear()
    assert (await house.ask(token="0paque")).status == 503
    house.issuer.secrets.add(("gateway", "s:cret & more"))
    assert (await house.ask(token="0paque")).status == 200


async def test_tokens_that_look_like_ours_are_told_to_nobody(house: House) -> None:
    mine = await house.running.token(await house.running.user())
    assert (await house.ask(token=mine)).status == 200
    for token in (f"{mine}x", mine[:-5], "a.b.c"):
        assert (await house.ask(token=token)).status == 401
    assert house.issuer.asked["/introspect"] == 0


async def test_other_proxies_are_told_the_same(
    gateway_factory: GatewayFactory, issuer: IssuerServer, echo: str
) -> None:
    config = (
        CONFIG.format(issuer=issuer.url, echo=echo)
        + "\nserver: {trusted_proxies: [127.0.0.1], internal_listen: null}\n"
    )
    running = await gateway_factory(config)
    fields = {"X-Original-URL": f"http://localhost:{running.port}/editors/x", "X-Original-Method": "GET"}
    for claims, status in (({"groups": "staff"}, 200), ({}, 403)):
        answer = await running.get("/.gateway/authz/nginx", token=issuer.token(**ANN, **claims), headers=fields)
        assert answer.status == status
    issuer.down = True
    assert (await running.get("/.gateway/authz/nginx", token="0paque", headers=fields)).status == 503
