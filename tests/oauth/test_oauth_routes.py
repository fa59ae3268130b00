"""Access tokens of clients on routes: what each opens, what it says upstream, and when it stops."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.config.load import load_settings
from gateway.config.rules import compile_rules
from gateway.errors import ConfigError
from gateway.oauth.state.client_metadata import checked_metadata
from gateway.oauth.state.registry import Rights
from tests.fake_clock import FakeClock
from tests.gateways import BROWSER, Answer, GatewayFactory, Recorder, Running
from tests.oauth.party import METADATA, Party

ROUTES = """
oauth: {{scopes: {{"wiki:write": Change the wiki}}}}
server: {{internal_listen: null, drain_timeout: 1s, trusted_proxies: [127.0.0.1]}}
upstreams: {{app: {{servers: "{url}"}}}}
routes:
  - {{name: notes, match: {{path: /notes/**}}, resource: true, require: {{scopes: [notes:read]}}, upstream: app}}
  - {{name: photos, match: {{host: photos.test, path: /p/**}}, resource: true, upstream: app}}
  - {{name: ledger, match: {{path: /ledger/**}}, audience: "urn:ledger", upstream: app}}
  - {{name: write, match: {{path: /write/**}}, require: {{scopes: [wiki:write]}}, upstream: app}}
  - {{name: admin, match: {{path: /admins/**}}, require: {{roles: [admin]}}, upstream: app}}
  - name: named
    match: {{path: /named/**}}
    require: {{claims: {{acr: [aal1, aal2]}}}}
    identity: {{headers: {{X-Client: "{{claims.client_id}}"}}}}
    upstream: app
  - {{name: others, match: {{path: /others/**}}, require: {{claims: {{acr: aal1, client_id: nobody}}}}, upstream: app}}
  - {{name: optional, match: {{path: /optional/**}}, access: optional, audience: "urn:optional", upstream: app}}
  - {{name: public, match: {{path: /public/**}}, access: public, upstream: app}}
  - {{name: rest, upstream: app}}
"""


@dataclass
class House:
    """A gateway before an application, with one client and its person."""

    party: Party
    upstream: Recorder

    @property
    def running(self) -> Running:
        return self.party.running

    async def tokens(self, **asked: str) -> dict[str, Any]:
        answer = await self.party.redeem(await self.party.authorize(**asked))
        assert answer.status == 200, answer.text
        read: dict[str, Any] = answer.json
        return read

    async def token(self, **asked: str) -> str:
        return str((await self.tokens(**asked))["access_token"])

    async def get(self, path: str, token: str = "", **more: Any) -> Answer:
        return await self.running.get(path, token=token, **more)

    async def statuses(self, token: str, *paths: str) -> list[int]:
        return [(await self.get(path, token)).status for path in paths]


async def open_house(
    factory: GatewayFactory,
    clock: FakeClock,
    upstream: Recorder,
    metadata: Mapping[str, Any] = METADATA,
    **rights: bool,
) -> House:
    running = await factory(ROUTES.format(url=upstream.url), clock=clock)
    given = {"first_party": True, "opens_routes": True, **rights}
    issued = await running.gateway.registry.create(checked_metadata(metadata), Rights(**given))
    ann = await running.user("ann", "admin", "user")
    if not given["first_party"]:
        everything = ["openid", "profile", "notes:read", "wiki:write"]
        consents = running.gateway.consents
        await consents.remember(ann.id, issued.client.id, everything, list(running.gateway.rules.audiences), [])
    return House(Party(running, issued, await running.session(ann)), upstream)


@pytest.fixture
async def upstream() -> AsyncIterator[Recorder]:
    recorder = await Recorder().start()
    yield recorder
    await recorder.stop()


@pytest.fixture
async def house(gateway_factory: GatewayFactory, clock: FakeClock, upstream: Recorder) -> House:
    return await open_house(gateway_factory, clock, upstream)


async def test_a_token_opens_ordinary_routes_as_its_person(house: House) -> None:
    token = await house.token(scope="openid")
    assert await house.statuses(token, "/", "/admins/", "/public/", "/write/") == [200, 200, 200, 403]
    assert (await house.get("/", token)).status == 200
    assert house.upstream.field("X-Forwarded-User") == ["ann"]
    assert house.upstream.field("X-Forwarded-Groups") == ["admin,user"]
    assert house.upstream.field("Authorization") == []


async def test_a_route_s_scope_opens_it_and_its_lack_is_named(house: House) -> None:
    assert (await house.get("/write/", await house.token(scope="wiki:write"))).status == 200
    refused = await house.get("/write/", await house.token(scope="openid"))
    assert refused.status == 403
    assert 'error="insufficient_scope", scope="wiki:write"' in refused.headers["WWW-Authenticate"]


async def test_each_token_opens_what_it_is_for_and_nothing_else(house: House) -> None:
    origin, port = house.running.origin, house.running.port
    photos = f"http://photos.test:{port}/p"
    asked = {"issuer": "", "notes": f"{origin}/notes", "photos": photos, "ledger": "urn:ledger"}
    for name, resource in asked.items():
        token = await house.token(scope="notes:read", resource=resource)
        # Twice, by one connection and with the same fields: what is remembered must not widen it.
        for _ in range(2):
            seen = await house.statuses(token, "/notes/x", "/ledger/x", "/x")
            seen.append((await house.get("/p/x", token, host="photos.test")).status)
            wanted = ["notes", "ledger", "issuer", "photos"]
            assert seen == [200 if name == each else 401 for each in wanted], name


async def test_several_resources_open_several_routes(house: House) -> None:
    query = urlencode([("resource", "urn:ledger"), ("resource", f"{house.running.origin}/notes/")])
    client = house.party.client_id
    form = f"client_id={client}&client_secret={house.party.issued.secret}&grant_type=client_credentials&{query}"
    answer = await house.running.send(
        "POST",
        "/oauth/token",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        data=f"{form}&scope=notes:read",
    )
    token = answer.json["access_token"]
    assert await house.statuses(token, "/notes/", "/ledger/", "/") == [200, 200, 401]


async def test_a_resource_says_where_tokens_are_had(house: House) -> None:
    origin = house.running.origin
    url = f"{origin}/.well-known/oauth-protected-resource/notes"
    wrong = await house.token(scope="openid")
    for token in ("", wrong, "bad.token.here"):
        answer = await house.get("/notes/x?y=1", token)
        challenge = answer.headers["WWW-Authenticate"]
        assert answer.status == 401
        assert f'resource_metadata="{url}"' in challenge
        assert 'scope="notes:read"' in challenge
        assert ('error="invalid_token"' in challenge) is bool(token)
    assert "resource_metadata" not in (await house.get("/")).headers["WWW-Authenticate"]
    navigation = await house.get("/notes/x", headers=BROWSER)
    assert (navigation.status, "/login" in navigation.location) == (302, True)


@pytest.mark.parametrize("path", ["/.gateway/authz/nginx", "/.gateway/authz/forward", "/.gateway/authz/envoy/notes/x"])
async def test_other_proxies_are_told_the_same(house: House, path: str) -> None:
    port = house.running.port
    fields = {
        "X-Original-URL": f"http://localhost:{port}/notes/x",
        "X-Original-Method": "GET",
        "X-Forwarded-Method": "GET",
        "X-Forwarded-Proto": "http",
        "X-Forwarded-Host": f"localhost:{port}",
        "X-Forwarded-Uri": "/notes/x",
    }
    if path.endswith("/nginx"):
        fields = {name: fields[name] for name in ("X-Original-URL", "X-Original-Method")}
    elif "/envoy/" in path:
        fields = {}
    right = await house.token(scope="notes:read", resource=f"{house.running.origin}/notes")
    wrong = await house.token(scope="notes:read")
    for token, status in ((right, 200), (wrong, 401), ("", 401)):
        for _ in range(2):
            answer = await house.get(path, token, headers=fields)
            assert answer.status == status, answer.text
            assert ("resource_metadata=" in answer.headers.get("WWW-Authenticate", "")) is (status == 401)


async def test_a_resource_is_described_on_its_own_host(house: House) -> None:
    origin, port = house.running.origin, house.running.port
    path = "/.well-known/oauth-protected-resource"
    notes = await house.get(f"{path}/notes")
    assert notes.json == {
        "resource": f"{origin}/notes",
        "resource_name": "notes",
        "authorization_servers": [origin],
        "bearer_methods_supported": ["header"],
        "scopes_supported": ["notes:read"],
    }
    assert notes.headers["Access-Control-Allow-Origin"] == "*"
    photos = await house.get(f"{path}/p", host="photos.test")
    assert photos.json["resource"] == f"http://photos.test:{port}/p"
    assert (await house.get(path)).json["resource"] == origin
    assert (await house.running.send("HEAD", f"{path}/notes")).status == 200
    assert (await house.running.send("OPTIONS", f"{path}/notes")).status == 204
    assert house.upstream.requests == []
    assert (await house.get(f"{path}/nothing")).status == 404
    # On another host it is an address like any other.
    assert (await house.get(f"{path}/notes", host="photos.test")).status == 401


async def test_a_token_for_something_else_is_refused_where_nobody_is_asked_for_one(house: House) -> None:
    assert (await house.get("/optional/")).status == 200
    assert (await house.get("/optional/", await house.token())).status == 401
    assert (await house.get("/optional/", await house.token(resource="urn:optional"))).status == 200


async def test_claims_open_a_route_and_are_told(house: House) -> None:
    token = await house.token()
    assert await house.statuses(token, "/named/", "/others/") == [200, 403]
    assert house.upstream.field("X-Client") == [house.party.client_id]
    # A session has no claims.
    assert (await house.get("/named/", cookie=house.party.cookie)).status == 403


@pytest.mark.parametrize("opens_routes", [True, False])
async def test_clients_of_strangers_open_no_ordinary_route(
    gateway_factory: GatewayFactory, clock: FakeClock, upstream: Recorder, opens_routes: bool
) -> None:
    house = await open_house(gateway_factory, clock, upstream, first_party=False, opens_routes=opens_routes)
    expected = 200 if opens_routes else 401
    token = await house.token(scope="openid profile")
    assert await house.statuses(token, "/", "/admins/", "/api/me") == [expected] * 3
    assert (await house.get("/oauth/userinfo", token)).status == 200
    asked = await house.token(scope="notes:read", resource=f"{house.running.origin}/notes")
    assert (await house.get("/notes/", asked)).status == 200


async def test_a_program_is_nobody_s_account(house: House) -> None:
    answer = await house.party.token(grant_type="client_credentials", scope="wiki:write")
    token = answer.json["access_token"]
    assert await house.statuses(token, "/write/", "/admins/", "/api/me", "/api/v1/users/") == [200, 403, 403, 403]
    await house.get("/write/", token)
    assert house.upstream.field("X-Forwarded-User") == [f"client:{house.party.client_id}"]
    assert house.upstream.field("X-Forwarded-Groups") in ([], [""])


async def test_people_with_two_names_are_one_to_routes(
    gateway_factory: GatewayFactory, clock: FakeClock, upstream: Recorder
) -> None:
    house = await open_house(gateway_factory, clock, upstream, {**METADATA, "subject_type": "pairwise"})
    token = await house.token()
    assert (await house.get("/", token)).status == 200
    assert house.upstream.field("X-Forwarded-User") == ["ann"]
    assert (await house.get("/api/me", token)).json["username"] == "ann"


async def deleted(house: House) -> None:
    await house.running.gateway.registry.delete(house.party.client_id)


async def disabled(house: House) -> None:
    await house.running.gateway.registry.change(house.party.client_id, rights=Rights(is_active=False))


async def taken_back(house: House) -> None:
    gateway = house.running.gateway
    ann = await gateway.accounts.users.find("ann")
    assert ann is not None
    await gateway.consents.revoke(ann.id, house.party.client_id)


async def signed_out(house: House) -> None:
    sessions = house.running.gateway.accounts.sessions
    owner = await sessions.find(house.party.cookie, "localhost")
    assert owner is not None
    await sessions.revoke_login(owner.session.login_id)


@pytest.mark.parametrize("end", [deleted, disabled, taken_back, signed_out])
async def test_what_ends_a_grant_closes_routes_in_every_process(
    gateway_factory: GatewayFactory, clock: FakeClock, house: House, end: Any
) -> None:
    other = await gateway_factory(
        ROUTES.format(url=house.upstream.url), port=0, clock=clock, TOKENS__ISSUER=house.running.origin
    )
    token = await house.token(scope="openid")
    assert (await house.get("/", token)).status == (await other.get("/", token=token)).status == 200
    await end(house)
    assert (await house.get("/", token)).status == 401
    async with asyncio.timeout(10):
        while (await other.get("/", token=token)).status != 401:
            await asyncio.sleep(0.02)


async def test_a_revoked_program_s_token_closes_routes(house: House) -> None:
    token = (await house.party.token(grant_type="client_credentials")).json["access_token"]
    assert (await house.get("/", token)).status == 200
    form = urlencode(
        {"client_id": house.party.client_id, "client_secret": house.party.issued.secret or "", "token": token}
    )
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    await house.running.send("POST", "/oauth/revoke", headers=headers, data=form)
    assert (await house.get("/", token)).status == 401


@pytest.mark.parametrize(
    ("rights", "metadata"),
    [
        pytest.param({"first_party": False, "opens_routes": False}, {}, id="routes"),
        pytest.param({}, {"scope": "openid"}, id="scope"),
        pytest.param({}, {"grant_types": ["authorization_code"]}, id="grant"),
    ],
)
async def test_a_program_s_token_ends_with_the_right_that_it_stands_on(
    house: House, rights: dict[str, bool], metadata: dict[str, Any]
) -> None:
    client, registry = house.party.issued.client, house.running.gateway.registry
    answer = await house.party.token(grant_type="client_credentials", scope="wiki:write")
    token = answer.json["access_token"]
    assert (await house.get("/write/x", token)).status == 200
    kept = checked_metadata({**METADATA, "client_name": "Other"})
    await registry.change(client.id, metadata=kept, rights=Rights(first_party=True, opens_routes=True))
    assert (await house.get("/write/x", token)).status == 200
    changed = checked_metadata({**METADATA, **metadata})
    await registry.change(
        client.id, metadata=changed, rights=Rights(**{"first_party": True, "opens_routes": True, **rights})
    )
    assert (await house.get("/write/x", token)).status == 401
    asked = {"client_id": client.id, "client_secret": house.party.issued.secret or "", "token": token}
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    told = await house.running.send("POST", "/oauth/introspect", headers=headers, data=urlencode(asked))
    assert told.json == {"active": False}


async def test_the_api_s_own_refresh_takes_no_client_s_token(house: House) -> None:
    tokens = await house.tokens()
    for path in ("/api/v1/auth/refresh", "/api/v1/users/token-refresh"):
        document = {"refresh_token": tokens["refresh_token"], "grant_type": "refresh_token"}
        assert (await house.running.post(path, document)).status == 401
    refreshed = await house.party.token(grant_type="refresh_token", refresh_token=tokens["refresh_token"])
    assert refreshed.status == 200


@pytest.mark.parametrize(
    ("route", "complaint"),
    [
        ("{match: {host: '*.example.com'}, resource: true, upstream: http://a}", "one exact host"),
        ("{match: {host: [a.test, b.test]}, resource: true, upstream: http://a}", "one exact host"),
        ("{match: {path: [/a/**, /b/**]}, resource: true, upstream: http://a}", "one path"),
        ("{match: {path: '/*/x/**'}, resource: true, upstream: http://a}", "without \\*"),
        ("{resource: true, audience: 'urn:a', upstream: http://a}", "its own audience"),
        ("{audience: 'two words', upstream: http://a}", "printable ASCII"),
    ],
    ids=["any host", "two hosts", "two paths", "any segment", "two audiences", "spaces"],
)
def test_a_resource_has_one_address(gateway_factory: GatewayFactory, route: str, complaint: str) -> None:
    path = gateway_factory.write(f"routes: [{route}]")
    with pytest.raises(ConfigError) as caught:
        compile_rules(load_settings(path, {}).settings)
    assert re.search(complaint, str(caught.value))
