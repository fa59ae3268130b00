"""Clients that authenticate with a signature: ``private_key_jwt`` at the token endpoint (RFC 7523 section 3)."""

from __future__ import annotations

import asyncio
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from tests.gateways import Answer
from tests.oauth.op import Op
from tests.oauth.relying_party import RelyingParty

TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
KEYS = {
    "ES256": JWK.generate(kty="EC", crv="P-256", kid="es"),
    "RS256": JWK.generate(kty="RSA", size=2048, kid="rs"),
    "EdDSA": JWK.generate(kty="OKP", crv="Ed25519", kid="ed"),
}
OTHER = JWK.generate(kty="EC", crv="P-256", kid="es")
PUBLIC = {"keys": [key.export_public(as_dict=True) for key in KEYS.values()]}


@pytest.fixture
async def robot(op: Op) -> RelyingParty:
    """A client that stands for itself and signs."""
    return await signing(op, jwks=PUBLIC)


async def signing(op: Op, **metadata: Any) -> RelyingParty:
    grants = ("client_credentials",)
    return await op.client(
        auth_method="private_key_jwt", grants=grants, opens_routes=True, redirect_uris=(), **metadata
    )


def signed(claims: Any, algorithm: str = "ES256", key: JWK | None = None, **header: Any) -> str:
    """Sign ``claims``; a header member of None is left out."""
    key = key or KEYS[algorithm]
    given = {"alg": algorithm, "kid": key.get("kid"), **header}
    token = JWS(json.dumps(claims))
    token.allowed_algs = [algorithm]
    token.add_signature(key, None, json.dumps({name: value for name, value in given.items() if value is not None}))
    return str(token.serialize(compact=True))


def claims(robot: RelyingParty, **changes: Any) -> dict[str, Any]:
    """Return claims of a good assertion with ``changes``; None leaves one out."""
    now = int(robot.clock.now().timestamp())
    good = {
        "iss": robot.client_id,
        "sub": robot.client_id,
        "aud": robot.metadata["token_endpoint"],
        "iat": now,
        "exp": now + 60,
        "jti": secrets.token_hex(8),
    }
    return {name: value for name, value in {**good, **changes}.items() if value is not None}


async def send(robot: RelyingParty, assertion: str, **fields: str) -> Answer:
    form = {"grant_type": "client_credentials", "client_assertion_type": TYPE, "client_assertion": assertion, **fields}
    return await robot.running.post("/oauth/token", data={name: value for name, value in form.items() if value})


def assert_refused(answer: Answer, error: str = "invalid_client") -> None:
    assert answer.json["error"] == error, answer.text
    assert answer.status == (401 if error == "invalid_client" else 400)


@pytest.mark.parametrize("algorithm", list(KEYS))
async def test_each_algorithm_authenticates(robot: RelyingParty, algorithm: str) -> None:
    answer = await send(robot, signed(claims(robot), algorithm))
    assert answer.status == 200, answer.text
    assert answer.json["token_type"] == "Bearer"


@pytest.mark.parametrize("audience", ["issuer", "token_endpoint"])
async def test_the_server_has_two_names(robot: RelyingParty, audience: str) -> None:
    named = robot.metadata[audience]
    assert (await send(robot, signed(claims(robot, aud=named)))).status == 200
    assert (await send(robot, signed(claims(robot, aud=[named])))).status == 200


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": None},
        {"aud": "https://other.example/"},
        {"aud": []},
        {"aud": 7},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"iss": None},
        {"iss": "another"},
        {"sub": "another"},
        {"sub": "\ud800"},
        {"sub": "\x00"},
        {"sub": None},
        {"sub": 7},
        {"jti": None},
        {"jti": 7},
        {"jti": ""},
        {"jti": "x" * 300},
        {"nbf": 4102444800},
        {"iat": 4102444800},
        {"iat": 1},
    ],
    ids=lambda changes: json.dumps(changes)[:40],
)
async def test_every_claim_counts(robot: RelyingParty, changes: dict[str, Any]) -> None:
    assert_refused(await send(robot, signed(claims(robot, **changes))))


async def test_an_assertion_for_two_servers_is_for_neither(robot: RelyingParty) -> None:
    audience = [robot.metadata["issuer"], "https://other.example/"]
    assert_refused(await send(robot, signed(claims(robot, aud=audience))))


@pytest.mark.parametrize(("seconds", "good"), [(-31, False), (-25, True), (3600, True), (3700, False)])
async def test_an_assertion_is_short_lived(robot: RelyingParty, seconds: int, good: bool) -> None:
    now = int(robot.clock.now().timestamp())
    answer = await send(robot, signed(claims(robot, iat=None, exp=now + seconds)))
    assert (answer.status == 200) == good, answer.text


async def test_an_assertion_is_good_once_also_at_once(robot: RelyingParty) -> None:
    assertion = signed(claims(robot))
    answers = await asyncio.gather(*(send(robot, assertion) for _ in range(10)))
    assert sorted(answer.status for answer in answers) == [200] + [401] * 9
    assert_refused(await send(robot, assertion))


def unsigned(robot: RelyingParty, algorithm: str) -> str:
    parts = ({"alg": algorithm}, claims(robot))
    return ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + "."


async def test_only_the_clients_own_keys_sign(robot: RelyingParty) -> None:
    secret = JWK(kty="oct", k=urlsafe_b64encode(KEYS["RS256"].export_to_pem()).decode().rstrip("="), kid="rs")
    own = OTHER.export_public(as_dict=True)
    for assertion in (
        signed(claims(robot), key=OTHER),
        signed(claims(robot), key=OTHER, kid=None),
        signed(claims(robot), key=OTHER, jwk=own),
        signed(claims(robot), key=OTHER, jku="http://127.0.0.1:1/keys"),
        signed(claims(robot), "HS256", key=secret),
        unsigned(robot, "none"),
        unsigned(robot, "ES256"),
        signed(claims(robot), kid="rs"),
        signed(claims(robot))[:-4] + "AAAA",
    ):
        assert_refused(await send(robot, assertion))
    assert (await send(robot, signed(claims(robot), kid=None))).status == 200


@pytest.mark.parametrize("text", ["x", "a.b.c", "..", "e30.e30.e30", "\xff", "." * 5000, "a" * 7000, "", "W10.W10.W10"])
async def test_what_is_no_assertion_is_refused(robot: RelyingParty, text: str) -> None:
    answer = await send(robot, text)
    assert answer.status in {400, 401}
    assert answer.json["error"] in {"invalid_client", "invalid_request"}


async def test_other_ways_to_authenticate_are_not_taken(op: Op, robot: RelyingParty) -> None:
    with_secret = await op.client("Secret", grants=("client_credentials",), redirect_uris=(), jwks=PUBLIC)
    assert_refused(await send(with_secret, signed(claims(with_secret))))
    good = signed(claims(robot))
    assert_refused(await send(robot, good, client_secret="x"), "invalid_request")
    assert_refused(await send(robot, good, client_id="another"), "invalid_request")
    assert_refused(await send(robot, good, client_assertion_type="urn:x"), "invalid_request")
    assert_refused(await send(robot, good, client_assertion_type=""), "invalid_request")
    assert (await send(robot, good, client_id=robot.client_id)).status == 200


async def test_a_registered_algorithm_is_the_only_one(op: Op) -> None:
    robot = await signing(op, jwks=PUBLIC, token_endpoint_auth_signing_alg="RS256")
    assert_refused(await send(robot, signed(claims(robot), "ES256")))
    assert (await send(robot, signed(claims(robot), "RS256"))).status == 200


@pytest.fixture
async def publisher() -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Publish keys that a test may change. Gives their address and the document."""
    document = json.loads(json.dumps(PUBLIC))

    async def answer(_request: web.Request) -> web.Response:
        return web.json_response(document)

    application = web.Application()
    application.router.add_get("/keys", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/keys", document
    await runner.cleanup()


async def test_keys_that_a_client_publishes_are_read_and_read_again(
    op: Op, publisher: tuple[str, dict[str, Any]]
) -> None:
    url, document = publisher
    robot = await signing(op, jwks_uri=url)
    assert (await send(robot, signed(claims(robot)))).status == 200
    document["keys"] = [OTHER.export_public(as_dict=True)]
    assert_refused(await send(robot, signed(claims(robot), key=OTHER)))
    op.clock.advance(60)
    assert (await send(robot, signed(claims(robot), key=OTHER))).status == 200
    assert_refused(await send(robot, signed(claims(robot))))


async def test_what_somebody_published_inside_is_not_read(op: Op, publisher: tuple[str, dict[str, Any]]) -> None:
    robot = await signing(op, jwks_uri=publisher[0])
    ann = await op.person()
    await op.sql("update oauth_client set owner_id = $1::text::uuid", ann.id)
    assert_refused(await send(robot, signed(claims(robot))))
