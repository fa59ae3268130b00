"""What nobody should register, and how the registration endpoint says so (RFC 7591 section 3.2.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from tests.gateways import Answer, GatewayFactory, Running

HUGE = 100 * 1024
REGISTRATION: dict[str, Any] = {
    "redirect_uris": ["https://rp.example.com/callback"],
    "client_name": "Wiki",
    "grant_types": ["authorization_code"],
    "response_types": ["code"],
    "token_endpoint_auth_method": "client_secret_basic",
    "scope": "openid",
    "contacts": ["ops@example.com"],
    "client_uri": "https://rp.example.com/",
    "jwks": {"keys": []},
    "default_max_age": 100,
    "post_logout_redirect_uris": ["https://rp.example.com/"],
    "id_token_signed_response_alg": "RS256",
    "subject_type": "public",
}
WRONG: dict[str, Any] = {
    "null": None,
    "number": 1,
    "negative": -1,
    "float": 1e308,
    "big": 10**30,
    "true": True,
    "text": "bogus",
    "empty": "",
    "list": [],
    "list-of-lists": [[["x"]]],
    "list-of-null": [None],
    "list-of-numbers": [1, 2],
    "list-of-text": ["bogus", "bogus"],
    "object": {"a": {"b": 1}},
    "nul": "a\0b",
    "nul-in-list": ["https://rp.example.com/\0"],
    "half-a-surrogate": "\ud800",
    "half-a-surrogate-in-list": ["\ud800"],
    "emoji": "🙂",
    "control": "a\r\nb",
    "huge": "a" * HUGE,
    "huge-list": ["https://rp.example.com/callback"] * 5000,
}
BAD_JSON = {
    "nothing": b"",
    "text": b'"text"',
    "null": b"null",
    "list": b"[]",
    "number": b"1",
    "broken": b'{"a": ',
    "not-utf-8": b'{"client_name": "\xff"}',
    "deep": b"[" * 50_000,
    "deep-object": b'{"a":' * 50_000,
    "nan": b'{"default_max_age": NaN}',
    "infinity": b'{"default_max_age": Infinity}',
    "doubled": b'{"redirect_uris": ["https://a.example/"], "redirect_uris": ["https://b.example/"]}',
    "big-number": b'{"default_max_age": ' + b"9" * 10_000 + b"}",
    "form": b"redirect_uris=https://rp.example.com/",
    "huge": b'{"client_name": "' + b"a" * 10 * HUGE + b'"}',
    "utf-16": '{"client_name": "x"}'.encode("utf-16"),
}


ERRORS = {"invalid_client_metadata", "invalid_redirect_uri"}


@dataclass
class Door:
    """The registration endpoint, open, and for who holds a token of ann's: strangers are soon told to wait."""

    running: Running
    token: str

    async def register(self, body: bytes, kind: str = "application/json", *, as_stranger: bool = False) -> Answer:
        token = "" if as_stranger else self.token
        return await self.running.post("/oauth/register", data=body, headers={"Content-Type": kind}, token=token)

    async def forget(self, document: dict[str, Any]) -> None:
        """Delete a registration: one account may have a hundred."""
        path = urlsplit(document["registration_client_uri"]).path
        answer = await self.running.send("DELETE", path, token=document["registration_access_token"])
        assert answer.status == 204, answer.text


@pytest.fixture
async def door(gateway_factory: GatewayFactory) -> Door:
    running = await gateway_factory("oauth: {registration: open}")
    _, token = await running.api_token(await running.user(), "client:register")
    return Door(running, token)


def assert_refused(answer: Answer) -> None:
    assert answer.status in {400, 413, 415}, (answer.status, answer.body[:300])
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["error"] in ERRORS | {"invalid_request"}
    assert answer.json.get("error_description", "").isprintable()


async def test_the_registration_that_is_changed_is_right_itself(door: Door) -> None:
    answer = await door.register(json.dumps(REGISTRATION | {"jwks": None}).encode())
    if answer.status == 400:  # a key set without keys, or null, may be refused
        sent = {name: value for name, value in REGISTRATION.items() if name != "jwks"}
        answer = await door.register(json.dumps(sent).encode())
    assert answer.status == 201, answer.text
    assert answer.json["client_id"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("names", [list(REGISTRATION)[:7], list(REGISTRATION)[7:]], ids=["some", "others"])
async def test_a_member_of_another_kind_is_refused_or_left_out(door: Door, names: list[str]) -> None:
    """What is registered is what was meant, and never something else."""
    right = {name: value for name, value in REGISTRATION.items() if name != "jwks"}
    for member in names:
        for change, value in WRONG.items():
            answer = await door.register(json.dumps({**right, member: value}).encode())
            what = (member, change, answer.status, answer.body[:200])
            if answer.status == 201:
                document = answer.json
                assert type(document.get(member, REGISTRATION[member])) is type(REGISTRATION[member]), what
                assert document["redirect_uris"] == right["redirect_uris"], what
                await door.forget(document)
            else:
                assert_refused(answer)


async def test_a_body_that_is_no_object_is_refused(door: Door) -> None:
    for body in BAD_JSON.values():
        assert_refused(await door.register(body))


async def test_a_body_of_another_type_is_refused(door: Door) -> None:
    body = json.dumps({"redirect_uris": ["https://rp.example.com/callback"]}).encode()
    for kind in ("application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "a/b/c"):
        assert_refused(await door.register(body, kind))


BAD_REDIRECT_URIS = {
    "fragment": "https://rp.example.com/#a",
    "empty-fragment": "https://rp.example.com/#",
    "relative": "/callback",
    "no-scheme": "rp.example.com/callback",
    "scheme-relative": "//rp.example.com/callback",
    "http": "http://rp.example.com/callback",
    "javascript": "javascript:alert(1)",
    "javascript-authority": "javascript://rp.example.com/%0aalert(1)",
    "data": "data:text/html,<script>",
    "vbscript": "vbscript:x",
    "file": "file:///etc/passwd",
    "blob": "blob:https://rp.example.com/1",
    "about": "about:blank",
    "userinfo": "https://user:pass@rp.example.com/callback",
    "userinfo-confusion": "https://rp.example.com@evil.example/",
    "wildcard-host": "https://*.example.com/callback",
    "wildcard": "*",
    "space": "https://rp.example.com/a b",
    "leading-space": " https://rp.example.com/callback",
    "backslash": "https://rp.example.com\\@evil.example/",
    "newline": "https://rp.example.com/\n",
    "nul": "https://rp.example.com/\0",
    "no-host": "https:///callback",
    "no-slashes": "https:rp.example.com",
    "bad-port": "https://rp.example.com:99999/",
    "word-port": "https://rp.example.com:a/",
    "not-ascii": "https://rp.exämple.com/callback",
    "bad-ipv6": "https://[::1/callback",
    "huge": "https://rp.example.com/" + "a" * 10_000,
    "empty": "",
}


async def test_an_address_that_could_lead_elsewhere_is_not_registered(door: Door) -> None:
    for name, uri in BAD_REDIRECT_URIS.items():
        for uris in ([uri], ["https://rp.example.com/callback", uri]):
            answer = await door.register(json.dumps({"redirect_uris": uris}).encode())
            assert answer.status in {400, 413}, (name, answer.body)
            assert answer.json["error"] in ERRORS


GOOD_REDIRECT_URIS = {
    "https": "https://rp.example.com/callback",
    "port-and-query": "https://rp.example.com:8443/callback?tenant=a",
    "loopback": "http://127.0.0.1/callback",
    "loopback-v6": "http://[::1]/callback",
    "private-use": "com.example.app:/callback",
}


async def test_an_address_of_web_and_native_applications_is_registered(door: Door) -> None:
    for uri in GOOD_REDIRECT_URIS.values():
        sent = {"redirect_uris": [uri], "application_type": "web" if uri.startswith("https") else "native"}
        answer = await door.register(json.dumps({**sent, "token_endpoint_auth_method": "none"}).encode())
        assert answer.status == 201, answer.text
        assert answer.json["redirect_uris"] == [uri]


async def test_a_registration_is_managed_with_its_own_token_alone(door: Door) -> None:
    one, two = [
        (await door.register(json.dumps({"redirect_uris": ["https://rp.example.com/callback"]}).encode())).json
        for _ in range(2)
    ]
    path = urlsplit(one["registration_client_uri"])
    target = path.path + (f"?{path.query}" if path.query else "")
    others = ("Bearer x", "Bearer ", "Basic eDp5", "Bearer a.b.c", "Token x", f"Bearer {door.token}")
    for method in ("GET", "PUT", "DELETE"):
        for authorization in ("", *others, f"Bearer {two['registration_access_token']}"):
            headers = {"Authorization": authorization} if authorization else {}
            answer = await door.running.send(method, target, headers=headers, data=b"{}")
            assert answer.status == 401, (method, answer.body)
    good = {"Authorization": f"Bearer {one['registration_access_token']}"}
    answer = await door.running.get(target, headers=good)
    assert answer.status == 200
    assert answer.json["client_id"] == one["client_id"]


async def test_nobody_registers_what_only_an_administrator_may_give(
    gateway_factory: GatewayFactory, door: Door
) -> None:
    sent = {
        "redirect_uris": ["https://rp.example.com/callback"],
        "first_party": True,
        "may_introspect": True,
        "opens_routes": True,
        "requires_pkce": False,
        "client_id": "chosen",
        "client_secret": "chosen",
        "owner_id": "1",
    }
    for name in ("access_token_lifetime", "refresh_token_lifetime"):
        refused = await door.register(json.dumps({**sent, name: 10**8}).encode())
        assert refused.status == 400
    answer = await door.register(json.dumps(sent).encode(), as_stranger=True)
    assert answer.status == 201, answer.text
    assert answer.json["client_id"] != "chosen"
    assert answer.json.get("client_secret") != "chosen"
    (row,) = await rows(gateway_factory, "select * from oauth_client where id = $1", answer.json["client_id"])
    given = (row["first_party"], row["may_introspect"], row["opens_routes"], row["requires_pkce"], row["owner_id"])
    assert given == (False, False, False, True, None)
    assert set(json.loads(row["metadata"])) & set(sent) == {"redirect_uris"}


async def test_nobody_registers_a_grant_that_is_for_old_clients(door: Door) -> None:
    for grant in ("password", "implicit", "bogus"):
        sent = {"redirect_uris": ["https://rp.example.com/callback"], "grant_types": [grant]}
        answer = await door.register(json.dumps(sent).encode())
        assert answer.status == 400, answer.text


async def test_registration_is_off_unless_it_is_turned_on(gateway_factory: GatewayFactory) -> None:
    running = await gateway_factory()
    answer = await running.post("/oauth/register", {"redirect_uris": ["https://rp.example.com/callback"]})
    assert answer.status in {403, 404}
    assert not await rows(gateway_factory, "select 1 from oauth_client")


async def test_with_a_token_only_its_scope_registers(gateway_factory: GatewayFactory) -> None:
    running = await gateway_factory("oauth: {registration: token}")
    ann = await running.user()
    body = {"redirect_uris": ["https://rp.example.com/callback"]}
    _, good = await running.api_token(ann, "client:register")
    _, other = await running.api_token(ann, "read")
    own_login = await running.token(ann)
    for token, status in (("", 401), (other, 403), (own_login, 401), (f"{good}x", 401), (good, 201)):
        answer = await running.post("/oauth/register", body, token=token)
        assert answer.status == status, (status, answer.text)
    (row,) = await rows(gateway_factory, "select owner_id from oauth_client")
    assert str(row["owner_id"]) == ann.id


async def rows(factory: GatewayFactory, statement: str, *values: Any) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(**factory.dsn_args)
    try:
        found: list[asyncpg.Record] = await connection.fetch(statement, *values)
        return found
    finally:
        await connection.close()
