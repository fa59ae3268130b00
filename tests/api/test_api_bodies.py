"""Bodies that are wrong in every way: each is told so, and none is a 500."""

from __future__ import annotations

import json
from collections.abc import Mapping
from io import BytesIO

import pytest

from tests.gateways import GatewayFactory, Running

JSON = {"Content-Type": "application/json"}
GOOD = '"email": "bob@example.com", "password": "a long enough one"'
BODIES: Mapping[str, tuple[bytes, int]] = {
    "empty": (b"", 400),
    "no JSON": (b"username=bob", 400),
    "cut off": (b'{"username": "bob', 400),
    "two values": (b"{} {}", 400),
    "list": (b"[]", 400),
    "null": (b"null", 400),
    "text": (b'"bob"', 400),
    "number": (b"1", 400),
    "NaN": (b'{"username": NaN}', 400),
    "NaN where nobody looks": (f'{{"x": NaN, "username": "bob", {GOOD}}}'.encode(), 400),
    "huge number": (b'{"username": 1' + b"0" * 5000 + b"}", 400),
    "infinite": (b'{"username": 1e999}', 400),
    "single quotes": (b"{'username': 'bob'}", 400),
    "BOM": (b"\xef\xbb\xbf{}", 400),
    "UTF-16": ('{"username": "bob"}'.encode("utf-16"), 400),
    "bad UTF-8": (b'{"username": "\xff"}', 400),
    "UTF-8 surrogate": (b'{"username": "\xed\xa0\x80"}', 400),
    "deep": (b'{"username": ' + b"[" * 30000 + b"]" * 30000 + b"}", 400),
    "twice": (f'{{"username": "bob", "username": "root", {GOOD}}}'.encode(), 400),
    "twice by escape": (f'{{"username": "bob", "user\\u006eame": "root", {GOOD}}}'.encode(), 400),
    "wrong type": (f'{{"username": 7, {GOOD}}}'.encode(), 400),
    "object": (f'{{"username": {{"$ne": ""}}, {GOOD}}}'.encode(), 400),
    "true": (f'{{"username": true, {GOOD}}}'.encode(), 400),
    "NUL": (f'{{"username": "bo\\u0000b", {GOOD}}}'.encode(), 400),
    "raw NUL": (b'{"username": "bo\x00b"}', 400),
    "lone surrogate": (f'{{"username": "bo\\ud800", {GOOD}}}'.encode(), 400),
    "other surrogate": (f'{{"username": "bob\\udfff", {GOOD}}}'.encode(), 400),
    "surrogate as a member": (f'{{"\\ud800": 1, {GOOD}}}'.encode(), 400),
    "surrogate password": (
        b'{"username": "bob", "email": "bob@example.com", "password": "\\ud83d long enough \\ud83d"}',
        400,
    ),
    "surrogate role": (f'{{"username": "bob", "roles": ["\\ud800"], {GOOD}}}'.encode(), 400),
    "roles as text": (f'{{"username": "bob", "roles": "admin", {GOOD}}}'.encode(), 400),
    "line break": (f'{{"username": "bo\\r\\nb", {GOOD}}}'.encode(), 400),
    "direction override": (f'{{"username": "bo\\u202eb", {GOOD}}}'.encode(), 400),
    "long": (json.dumps({"username": "b" * 5000}).encode(), 400),
    "a megabyte": (json.dumps({"username": "b" * 2**20}).encode(), 413),
}


@pytest.fixture
async def gateway(gateway_factory: GatewayFactory) -> Running:
    return await gateway_factory()


OPEN_TO_ALL = (
    "/api/v1/users/register",
    "/api/v1/users/",
    "/api/v1/users/login",
    "/api/v1/users/token-refresh",
    "/api/v1/auth/token",
    "/api/v1/auth/refresh",
)


async def test_wrong_bodies_are_told_so(gateway: Running) -> None:
    for path in OPEN_TO_ALL:
        await _send_wrong_bodies(gateway, path)
    assert (await gateway.gateway.accounts.users.page()).total == 0


async def _send_wrong_bodies(gateway: Running, path: str) -> None:
    found = {}
    for name, (body, _) in BODIES.items():
        answer = await gateway.send("POST", path, data=BytesIO(body), headers=JSON)
        assert answer.headers["Content-Type"] == "application/problem+json", name
        assert "Traceback" not in answer.text
        if answer.status == 400:
            assert all(set(error) == {"field", "detail"} for error in answer.json["errors"]), name
        found[name] = answer.status
    if "login" in path or path.endswith("/token"):
        # Nobody is called that, which is no fault of the body's.
        odd = {"line break", "direction override"}
        assert {found.pop(name) for name in odd} == {401}
        wrong_role = {name: found.pop(name) for name in ("surrogate role", "roles as text")}
        assert set(wrong_role.values()) == {401}
    assert found == {name: status for name, (_, status) in BODIES.items() if name in found}, path


async def test_wrong_bodies_of_those_signed_in_are_told_so(gateway: Running) -> None:
    ann = await gateway.user("ann", "admin")
    shapes = {
        ("PUT", f"/api/v1/users/{ann.id}"): ("username", "email", "name", "password", "roles", "is_active", "is_admin"),
        ("POST", f"/api/v1/users/{ann.id}/api-tokens"): ("name", "scopes", "expires_in"),
    }
    values = ['"\\ud800"', '"\\u0000"', "[null]", '["\\u0000"]', '["\\ud800"]', "{}", "7.5", "[[]]", f'"{"b" * 9000}"']
    for (method, path), names in shapes.items():
        token = await gateway.token(ann)
        for name in names:
            for value in values:
                others = ', "name": "ci"' if path.endswith("tokens") and name != "name" else ""
                body = f'{{"{name}": {value}{others}}}'
                answer = await gateway.send(method, path, data=body, headers=JSON, token=token)
                assert answer.status == 400, body[:60]
                assert [error["field"] for error in answer.json["errors"]] == [name], body[:60]
        for name, (body_bytes, _) in BODIES.items():
            answer = await gateway.send(method, path, data=BytesIO(body_bytes), headers=JSON, token=token)
            assert 200 <= answer.status < 500, name


CONTENT_TYPES = {
    "application/json": 401,
    "application/json; charset=utf-8": 401,
    "APPLICATION/JSON": 401,
    "text/plain": 415,
    "application/x-www-form-urlencoded": 415,
    "multipart/form-data; boundary=x": 415,
    "application/problem+json": 415,
    "application/jsonp": 415,
    "text/json": 415,
    "nonsense": 415,
    "": 415,
}


async def test_only_json_is_read(gateway: Running) -> None:
    for number, (content_type, status) in enumerate(CONTENT_TYPES.items()):
        body = f'{{"username": "ann{number}", "password": "whatever it is"}}'.encode()
        headers = {"Content-Type": content_type}
        answer = await gateway.send("POST", "/api/v1/users/login", data=body, headers=headers)
        assert (answer.status, answer.headers["Content-Type"]) == (status, "application/problem+json"), content_type


async def test_a_packed_body_is_not_unpacked(gateway: Running) -> None:
    headers = {**JSON, "Content-Encoding": "gzip"}
    bomb = b"\x1f\x8b\x08" + b"\x00" * 64
    answer = await gateway.send("POST", "/api/v1/users/login", data=bomb, headers=headers)
    assert answer.status in {400, 415}


async def test_other_methods_and_addresses_are_problems_too(gateway: Running) -> None:
    wrong_method = await gateway.get("/api/v1/auth/token")
    assert (wrong_method.status, wrong_method.headers["Allow"]) == (405, "POST")
    assert wrong_method.json["code"] == "method_not_allowed"
    nothing = await gateway.get("/api/v1/nothing")
    assert (nothing.status, nothing.headers["Content-Type"]) == (404, "application/problem+json")


async def test_the_api_stands_below_the_prefix(gateway_factory: GatewayFactory) -> None:
    gateway = await gateway_factory(SERVER__PREFIX="/auth")
    ann = await gateway.user("ann")
    token = await gateway.token(ann)
    assert (await gateway.get("/auth/api/me", token=token)).json["username"] == "ann"
    assert (await gateway.get("/api/me", token=token)).status == 404
    assert (await gateway.get("/.well-known/jwks.json")).status == 200
