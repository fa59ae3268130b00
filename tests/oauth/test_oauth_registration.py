"""Clients that register themselves: RFC 7591, and with what they then hold, RFC 7592."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.accounts.api_tokens import KeptTo
from gateway.accounts.changes import Changes
from gateway.oauth import registration
from gateway.oauth.state.client import Client
from gateway.oauth.state.registry import Rights
from tests.fake_clock import RunningClock
from tests.gateways import Answer, GatewayFactory, Running

REGISTER = "/oauth/register"
CALLBACK = "https://app.example.com/callback"
METADATA = {"client_name": "Wiki", "redirect_uris": [CALLBACK]}


@pytest.fixture
async def open_gateway(gateway_factory: GatewayFactory) -> Running:
    return await gateway_factory("oauth: {registration: open}")


@pytest.fixture
async def token_gateway(gateway_factory: GatewayFactory) -> Running:
    return await gateway_factory("oauth: {registration: token}")


def managed(answer: Answer, running: Running) -> tuple[str, str]:
    """Return path and token with which a client manages itself."""
    return answer.json["registration_client_uri"].removeprefix(running.origin), answer.json["registration_access_token"]


async def found(running: Running, answer: Answer) -> Client | None:
    return await running.gateway.clients.find(answer.json["client_id"])


def assert_refused(answer: Answer, status: int, error: str) -> None:
    assert (answer.status, answer.json["error"]) == (status, error), answer.text
    assert answer.headers["Cache-Control"] == "no-store"


async def test_a_client_registers_itself(open_gateway: Running) -> None:
    answer = await open_gateway.post(REGISTER, {**METADATA, "tos_uri": "https://a.example/tos", "unknown": 1})
    assert answer.status == 201
    assert answer.headers["Cache-Control"] == "no-store"
    document = answer.json
    assert document["client_secret"].startswith("gws_")
    assert document["client_secret_expires_at"] == 0
    assert document["registration_access_token"].startswith("gwr_")
    assert document["registration_client_uri"] == f"{open_gateway.origin}{REGISTER}/{document['client_id']}"
    assert document["grant_types"] == ["authorization_code"]
    assert document["response_types"] == ["code"]
    assert document["token_endpoint_auth_method"] == "client_secret_basic"
    assert (document["client_name"], document["tos_uri"]) == ("Wiki", "https://a.example/tos")
    assert "unknown" not in document
    client = await found(open_gateway, answer)
    assert client is not None
    assert client.has_secret(document["client_secret"], open_gateway.gateway.clock.now())
    assert (client.opens_routes, client.first_party, client.may_introspect, client.owner_id) == (False,) * 3 + (None,)
    assert client.requires_pkce


async def test_a_public_client_gets_no_secret(open_gateway: Running) -> None:
    native = {"redirect_uris": ["http://127.0.0.1/", "com.example.app:/cb"], "token_endpoint_auth_method": "none"}
    answer = await open_gateway.post(REGISTER, native)
    assert answer.status == 201
    assert not {"client_secret", "client_secret_expires_at"} & set(answer.json)
    assert answer.json["application_type"] == "native"


async def test_a_client_reads_replaces_and_deletes_itself(open_gateway: Running) -> None:
    made = await open_gateway.post(REGISTER, {**METADATA, "contacts": ["ann@example.com"]})
    path, token = managed(made, open_gateway)
    read = await open_gateway.get(path, token=token)
    assert read.status == 200
    secretless = {name: value for name, value in made.json.items() if not name.startswith("client_secret")}
    assert read.json == secretless  # of the secret only a digest is known
    changed = {"client_id": made.json["client_id"], "client_secret": made.json["client_secret"], **METADATA}
    changed["redirect_uris"] = ["https://app.example.com/new"]
    replaced = await open_gateway.send("PUT", path, token=token, json=changed)
    assert replaced.status == 200
    assert replaced.json["redirect_uris"] == ["https://app.example.com/new"]
    assert "contacts" not in replaced.json  # what is not sent is no more
    client = await found(open_gateway, made)
    assert client is not None
    assert client.redirect_uris == ("https://app.example.com/new",)
    gone = await open_gateway.send("DELETE", path, token=token)
    assert (gone.status, gone.body) == (204, b"")
    assert await found(open_gateway, made) is None
    assert_refused(await open_gateway.get(path, token=token), 401, "invalid_token")


async def test_a_client_may_come_to_a_secret_and_lose_it(open_gateway: Running) -> None:
    made = await open_gateway.post(REGISTER, {**METADATA, "token_endpoint_auth_method": "none"})
    path, token = managed(made, open_gateway)
    body = {"client_id": made.json["client_id"], **METADATA}
    secret = (await open_gateway.send("PUT", path, token=token, json=body)).json["client_secret"]
    client = await found(open_gateway, made)
    assert client is not None
    assert client.has_secret(secret, open_gateway.gateway.clock.now())
    await open_gateway.send("PUT", path, token=token, json={**body, "token_endpoint_auth_method": "none"})
    client = await found(open_gateway, made)
    assert client is not None
    assert client.secrets == ()


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_only_the_client_manages_itself(open_gateway: Running, method: str) -> None:
    ones = await open_gateway.post(REGISTER, METADATA)
    others = await open_gateway.post(REGISTER, METADATA)
    path, token = managed(ones, open_gateway)
    stranger = managed(others, open_gateway)[1]
    body = {"client_id": ones.json["client_id"], **METADATA}
    for wrong in (stranger, ones.json["client_secret"], "x", "gwr_", token[:-1]):
        answer = await open_gateway.send(method, path, token=wrong, json=body)
        assert_refused(answer, 401, "invalid_token")
        assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    for header in ("", "Basic eDp5", "Bearer", f"Bearer {token} {token}", "Bearer \xff"):
        answer = await open_gateway.send(method, path, headers={"Authorization": header} if header else {}, json=body)
        assert_refused(answer, 401, "invalid_token")
    for nobody in (f"{REGISTER}/nobody", f"{REGISTER}/%00", f"{REGISTER}/{'x' * 300}", f"{REGISTER}/%F0%9F%98%80"):
        assert (await open_gateway.send(method, nobody, token=token, json=body)).status in {400, 401}
    assert (await open_gateway.get(path, token=token)).status == 200


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": None}, "invalid_request"),
        ({"client_id": "another"}, "invalid_request"),
        ({"client_id": 7}, "invalid_request"),
        ({"client_secret": "gws_wrong"}, "invalid_request"),
        ({"client_secret": ["x"]}, "invalid_request"),
        ({"registration_access_token": "x"}, "invalid_request"),
        ({"registration_client_uri": "x"}, "invalid_request"),
        ({"client_id_issued_at": 1}, "invalid_request"),
        ({"client_secret_expires_at": 0}, "invalid_request"),
        ({"redirect_uris": ["http://evil.example/"]}, "invalid_redirect_uri"),
        ({"grant_types": ["client_credentials"], "redirect_uris": None}, "invalid_client_metadata"),
    ],
    ids=lambda value: json.dumps(value)[:50] if isinstance(value, dict) else "",
)
async def test_what_may_not_be_replaced(open_gateway: Running, changes: dict[str, Any], error: str) -> None:
    made = await open_gateway.post(REGISTER, METADATA)
    path, token = managed(made, open_gateway)
    body = {"client_id": made.json["client_id"], **METADATA}
    assert (await open_gateway.send("PUT", path, token=token, json=body)).status == 200
    answer = await open_gateway.send("PUT", path, token=token, json={**body, **changes})
    assert_refused(answer, 400, error)


async def test_nobody_is_asked_for_consent_at_an_address_that_the_client_chose(open_gateway: Running) -> None:
    made = await open_gateway.post(REGISTER, METADATA)
    path, token = managed(made, open_gateway)
    registry = open_gateway.gateway.registry
    await registry.change(made.json["client_id"], rights=Rights(first_party=True))
    body = {"client_id": made.json["client_id"], **METADATA}
    assert (await open_gateway.send("PUT", path, token=token, json=body)).status == 200
    body["redirect_uris"] = [CALLBACK, "https://evil.example/"]
    assert_refused(await open_gateway.send("PUT", path, token=token, json=body), 400, "invalid_redirect_uri")
    client = await found(open_gateway, made)
    assert client is not None
    assert (client.first_party, client.redirect_uris) == (True, (CALLBACK,))


async def test_a_client_keeps_what_an_administrator_gave_it_and_takes_no_more(open_gateway: Running) -> None:
    made = await open_gateway.post(REGISTER, METADATA)
    path, token = managed(made, open_gateway)
    grants = ["authorization_code", "password"]
    given = {**METADATA, "grant_types": grants, "response_types": ["code"], "token_endpoint_auth_method": "none"}
    await open_gateway.gateway.registry.change(made.json["client_id"], metadata=given)
    body = {**given, "client_id": made.json["client_id"], "client_name": "Wiki 2"}
    answer = await open_gateway.send("PUT", path, token=token, json=body)
    assert (answer.status, answer.json["grant_types"], answer.json["client_name"]) == (200, grants, "Wiki 2")
    more = {**body, "grant_types": [*grants, "implicit"]}
    assert_refused(await open_gateway.send("PUT", path, token=token, json=more), 400, "invalid_client_metadata")


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "invalid_redirect_uri"),
        ({"redirect_uris": []}, "invalid_redirect_uri"),
        ({"redirect_uris": CALLBACK}, "invalid_redirect_uri"),
        ({"redirect_uris": [7]}, "invalid_redirect_uri"),
        ({"redirect_uris": {"a": 1}}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://*.example.com/"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://a.example/\ud800"]}, "invalid_redirect_uri"),
        ({"redirect_uris": ["https://a.example/\x00"]}, "invalid_redirect_uri"),
        ({"redirect_uris": [f"https://a.example/{number}" for number in range(60)]}, "invalid_redirect_uri"),
        ({**METADATA, "client_name": "\u202eikiW"}, "invalid_client_metadata"),
        ({**METADATA, "client_name": ["Wiki"]}, "invalid_client_metadata"),
        ({**METADATA, "client_name": "\ud800"}, "invalid_client_metadata"),
        ({**METADATA, "scope": 7}, "invalid_client_metadata"),
        ({**METADATA, "scope": "gateway"}, "invalid_client_metadata"),
        ({**METADATA, "grant_types": ["password"]}, "invalid_client_metadata"),
        ({**METADATA, "grant_types": ["magic"]}, "invalid_client_metadata"),
        ({"grant_types": ["client_credentials"]}, "invalid_client_metadata"),
        ({**METADATA, "token_endpoint_auth_method": "client_secret_jwt"}, "invalid_client_metadata"),
        ({**METADATA, "token_endpoint_auth_method": "private_key_jwt"}, "invalid_client_metadata"),
        ({**METADATA, "jwks": "keys"}, "invalid_client_metadata"),
        ({**METADATA, "default_max_age": 10**400}, "invalid_client_metadata"),
        ({**METADATA, "require_auth_time": "yes"}, "invalid_client_metadata"),
        ({**METADATA, "sector_identifier_uri": "https://a.example/x"}, "invalid_client_metadata"),
        ({**METADATA, "access_token_lifetime": 10}, "invalid_client_metadata"),
        ({**METADATA, "id_token_encrypted_response_alg": "RSA-OAEP"}, "invalid_client_metadata"),
        ([], "invalid_client_metadata"),
        ("text", "invalid_client_metadata"),
        (None, "invalid_client_metadata"),
        (b"", "invalid_client_metadata"),
        (b"{", "invalid_client_metadata"),
        (b"\xff\xfe{}", "invalid_client_metadata"),
        (b'{"redirect_uris": [], "redirect_uris": []}', "invalid_client_metadata"),
        (b'{"default_max_age": NaN}', "invalid_client_metadata"),
        (b'{"default_max_age": 1e999}', "invalid_redirect_uri"),
        (b"[" * 30_000, "invalid_client_metadata"),
        (b'{"default_max_age": ' + b"9" * 5000 + b"}", "invalid_client_metadata"),
    ],
    ids=lambda value: str(value)[:40] if not isinstance(value, str) else "",
)
async def test_bad_metadata_is_told_by_its_code(open_gateway: Running, body: Any, error: str) -> None:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = await open_gateway.post(REGISTER, data=data, headers={"Content-Type": "application/json"})
    assert answer.status == 400, answer.text
    assert answer.json["error"] in {error, "invalid_client_metadata"}
    if error == "invalid_redirect_uri" and b"1e999" not in data:
        assert answer.json["error"] == error
    assert await open_gateway.gateway.registry.count_registered() == 0


async def test_every_problem_is_named(open_gateway: Running) -> None:
    answer = await open_gateway.post(REGISTER, {"redirect_uris": ["http://a.example/"], "grant_types": ["implicit"]})
    assert_refused(answer, 400, "invalid_client_metadata")
    assert "redirect_uris" in answer.json["error_description"]
    assert "grant_types" in answer.json["error_description"]


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_only_json_is_read(open_gateway: Running, content_type: str) -> None:
    answer = await open_gateway.post(REGISTER, data=json.dumps(METADATA), headers={"Content-Type": content_type})
    assert_refused(answer, 415, "invalid_client_metadata")


async def test_a_huge_body_is_not_read_to_its_end(open_gateway: Running) -> None:
    body = json.dumps({**METADATA, "client_name": "x" * 200_000})
    answer = await open_gateway.post(REGISTER, data=body, headers={"Content-Type": "application/json"})
    assert_refused(answer, 413, "invalid_client_metadata")


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_other_methods_are_405(open_gateway: Running, method: str) -> None:
    assert (await open_gateway.send(method, REGISTER)).status == 405


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "DELETE"])
async def test_nobody_registers_where_it_is_off(gateway_factory: GatewayFactory, method: str) -> None:
    running = await gateway_factory()
    path = REGISTER if method == "POST" else f"{REGISTER}/some"
    assert_refused(await running.send(method, path, token="x", json=METADATA), 403, "access_denied")


async def test_with_a_token_the_client_is_its_owners(token_gateway: Running) -> None:
    ann = await token_gateway.user()
    _, text = await token_gateway.api_token(ann, "client:register")
    answer = await token_gateway.post(REGISTER, {"grant_types": ["client_credentials"]}, token=text)
    assert answer.status == 201, answer.text
    client = await found(token_gateway, answer)
    assert client is not None
    assert (client.owner_id, client.opens_routes) == (ann.id, False)
    path, token = managed(answer, token_gateway)
    assert (await token_gateway.get(path, token=token)).status == 200
    await token_gateway.gateway.accounts.users.change(ann.id, Changes(is_active=False))
    assert await found(token_gateway, answer) is None
    assert_refused(await token_gateway.get(path, token=token), 401, "invalid_token")
    assert_refused(await token_gateway.post(REGISTER, METADATA, token=text), 401, "invalid_token")


async def test_without_the_right_token_nothing_is_registered(token_gateway: Running) -> None:
    ann = await token_gateway.user()
    _, narrow = await token_gateway.api_token(ann, "wiki:read")
    _, wide = await token_gateway.api_token(ann)
    refused = await token_gateway.post(REGISTER, METADATA)
    assert_refused(refused, 401, "invalid_token")
    assert refused.headers["WWW-Authenticate"] == 'Bearer realm="gateway"'
    assert_refused(await token_gateway.post(REGISTER, METADATA, token="gwt_x"), 401, "invalid_token")
    for text in (narrow, wide):
        answer = await token_gateway.post(REGISTER, METADATA, token=text)
        assert_refused(answer, 403, "insufficient_scope")
        assert 'scope="client:register"' in answer.headers["WWW-Authenticate"]
    assert (await token_gateway.gateway.registry.page()).total == 0


async def test_a_token_that_is_kept_to_hosts_registers_nothing(token_gateway: Running) -> None:
    ann = await token_gateway.user()
    tokens, kept_to = token_gateway.gateway.accounts.api_tokens, KeptTo(hosts=("localhost",))
    _, text = await tokens.create(ann.id, "kept", ["client:register"], kept_to=kept_to)
    assert_refused(await token_gateway.post(REGISTER, METADATA, token=text), 401, "invalid_token")
    assert (await token_gateway.gateway.registry.page()).total == 0


async def test_a_token_counts_where_none_is_needed(open_gateway: Running) -> None:
    ann = await open_gateway.user()
    _, text = await open_gateway.api_token(ann, "client:register")
    client = await found(open_gateway, await open_gateway.post(REGISTER, METADATA, token=text))
    assert client is not None
    assert client.owner_id == ann.id
    assert_refused(await open_gateway.post(REGISTER, METADATA, token="gwt_wrong"), 401, "invalid_token")


async def test_one_address_registers_so_many(gateway_factory: GatewayFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = RunningClock()
    running = await gateway_factory("oauth: {registration: open}\nserver: {trusted_proxies: [127.0.0.1]}", clock=clock)
    one, other = {"X-Forwarded-For": "192.0.2.1"}, {"X-Forwarded-For": "192.0.2.2"}
    answers = [await running.post(REGISTER, METADATA, headers=one) for _ in range(21)]
    assert [answer.status for answer in answers] == [201] * 20 + [429]
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert (await running.post(REGISTER, METADATA, headers=other)).status == 201
    clock.advance(3600)
    assert (await running.post(REGISTER, METADATA, headers=one)).status == 201
    monkeypatch.setattr(registration, "MOST_OPEN", 22)
    assert_refused(await running.post(REGISTER, METADATA, headers=other), 503, "temporarily_unavailable")


async def test_an_unreadable_address_registers_nothing(gateway_factory: GatewayFactory) -> None:
    running = await gateway_factory("oauth: {registration: open}\nserver: {trusted_proxies: [127.0.0.1]}")
    answer = await running.post(REGISTER, METADATA, headers={"X-Forwarded-For": "nonsense"})
    assert answer.status == 400
    assert await running.gateway.registry.count_registered() == 0


async def test_below_a_prefix_the_addresses_are_below_it(gateway_factory: GatewayFactory) -> None:
    running = await gateway_factory("oauth: {registration: open}", SERVER__PREFIX="/auth")
    answer = await running.post(f"/auth{REGISTER}", METADATA)
    path, token = managed(answer, running)
    assert path.startswith("/auth/oauth/register/")
    assert (await running.get(path, token=token)).status == 200


async def test_scripts_of_every_origin_may_register(open_gateway: Running) -> None:
    script = {"Origin": "https://spa.example", "Access-Control-Request-Method": "POST"}
    made = await open_gateway.post(REGISTER, METADATA, headers=script)
    path, token = managed(made, open_gateway)
    for answer in (
        made,
        await open_gateway.post(REGISTER, {}, headers=script),
        await open_gateway.get(path, token=token, headers=script),
        await open_gateway.send("OPTIONS", REGISTER, headers=script),
        await open_gateway.send("OPTIONS", path, headers=script),
    ):
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
