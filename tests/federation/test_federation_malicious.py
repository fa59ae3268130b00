"""A provider, or whoever poses as one, that lies in one thing: nobody is let in, and the log says why."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web
from jwcrypto.jwk import JWK

from tests.federation.provider import CLIENT, ProviderServer, configured, provider_served
from tests.federation.signed import EC, P384, RSA, assembled, public, sign
from tests.federation.test_federation_login import Person, person
from tests.gateways import Answer, GatewayFactory

Lie = Callable[[ProviderServer], None]
OTHER = JWK.generate(kty="EC", crv="P-256", kid="ec")
UNKNOWN = JWK.generate(kty="EC", crv="P-256", kid="unknown")


@pytest.fixture
async def provider() -> AsyncIterator[ProviderServer]:
    async with provider_served() as served:
        yield served


def claims(**more: Any) -> Lie:
    """Let the ID token say something else; None leaves a claim out."""

    def lie(provider: ProviderServer) -> None:
        provider.tamper = lambda said: {**said, **more}

    return lie


def signed(how: Callable[[dict[str, Any]], str]) -> Lie:
    def lie(provider: ProviderServer) -> None:
        provider.signs = how

    return lie


def said(**answer: str | None) -> Lie:
    """Let the browser bring back something else."""

    def lie(provider: ProviderServer) -> None:
        provider.answer = dict(answer)

    return lie


def published(**metadata: Any) -> Lie:
    def lie(provider: ProviderServer) -> None:
        provider.metadata = metadata

    return lie


def instead(path: str, answer: Callable[[web.Request], Any]) -> Lie:
    def lie(provider: ProviderServer) -> None:
        provider.instead[path] = answer

    return lie


def by_public_key(said: dict[str, Any]) -> str:
    """The key that everybody knows, used as a secret (RFC 8725 section 2.1)."""
    secret = base64.urlsafe_b64encode(EC.export_to_pem()).rstrip(b"=").decode()
    return sign(said, JWK(kty="oct", k=secret), "HS256", kid="ec")


def with_own_key(said: dict[str, Any]) -> str:
    return sign(said, OTHER, "ES256", jwk=public(OTHER))


def somebody_else(provider: ProviderServer) -> None:
    provider.claims.pop("email")
    provider.userinfo = {"sub": "u-2", "email": "ann@example.com"}


def big(_request: web.Request) -> web.Response:
    return web.Response(body=b'{"a": "' + b"a" * 10**6 + b'"}', content_type="application/json")


async def slow(_request: web.Request) -> web.Response:
    await asyncio.sleep(30)
    return web.Response()


def to_inside(_request: web.Request) -> web.Response:
    return web.Response(status=307, headers={"Location": "http://169.254.169.254/latest/meta-data/"})


def json_of(document: Any, status: int = 200) -> Callable[[web.Request], web.Response]:
    return lambda _request: web.json_response(document, status=status)


WRONG_HASH = base64.urlsafe_b64encode(hashlib.sha256(b"another").digest()[:16]).rstrip(b"=").decode()
LIES: dict[str, tuple[Lie, str]] = {
    "another issuer": (claims(iss="https://evil.example"), "wrong_issuer"),
    "the issuer with a slash": (claims(iss="http://127.0.0.1/"), "wrong_issuer"),
    "no issuer": (claims(iss=None), "wrong_issuer"),
    "another audience": (claims(aud="other"), "wrong_audience"),
    "no audience": (claims(aud=None), "wrong_audience"),
    "one of several, without azp": (claims(aud=[CLIENT, "other"]), "wrong_party"),
    "another party": (claims(azp="other"), "wrong_party"),
    "several and another party": (claims(aud=[CLIENT, "other"], azp="other"), "wrong_party"),
    "another nonce": (claims(nonce="another"), "wrong_nonce"),
    "no nonce": (claims(nonce=None), "wrong_nonce"),
    "a nonce that is no text": (claims(nonce=7), "wrong_nonce"),
    "the hash of another access token": (claims(at_hash=WRONG_HASH), "wrong_at_hash"),
    "a hash that is no text": (claims(at_hash=True), "wrong_at_hash"),
    "expired": (claims(exp=int(time.time()) - 120), "expired"),
    "no end": (claims(exp=None), ""),
    "an end that is no number": (claims(exp="tomorrow"), ""),
    "not yet": (claims(nbf=int(time.time()) + 3600), "not_yet_valid"),
    "from the future": (claims(iat=int(time.time()) + 3600), "not_yet_valid"),
    "nobody": (claims(sub=None), "no_subject"),
    "unsigned": (signed(lambda said: assembled({"alg": "none"}, said)), "wrong_algorithm"),
    "unsigned, spelt otherwise": (signed(lambda said: assembled({"alg": "nOnE"}, said)), "wrong_algorithm"),
    "signed by the public key": (signed(by_public_key), "wrong_algorithm"),
    "signed by another key of that name": (signed(lambda said: sign(said, OTHER, "ES256")), "bad_signature"),
    "a key in the token": (signed(with_own_key), "unexpected_header"),
    "an unknown key": (signed(lambda said: sign(said, UNKNOWN, "ES256")), "unknown_key"),
    "an algorithm that was not announced": (signed(lambda said: sign(said, P384, "ES384")), "wrong_algorithm"),
    "a signature of another algorithm": (signed(lambda said: sign(said, RSA, "RS256", kid="ec")), "unknown_key"),
    "the signature cut off": (signed(lambda said: sign(said, EC, "ES256").rpartition(".")[0] + "."), ""),
    "no token at all": (signed(lambda said: ""), ""),
    "the answer of another provider": (said(iss="https://evil.example"), "mix_up"),
    "no iss though it is announced": (published(authorization_response_iss_parameter_supported=True), "mix_up"),
    "an error": (said(error="server_error", code=None), "provider_error"),
    "no code": (said(code=None), "provider_error"),
    "another code": (said(code="made-up"), "code_refused"),
    "user-info about somebody else": (somebody_else, "userinfo_refused"),
    "metadata of another issuer": (published(issuer="https://evil.example"), "provider_down"),
    "metadata without keys": (published(jwks_uri=None), "provider_down"),
    "keys that are none": (instead("/keys", json_of({"keys": "none"})), "unknown_key"),
    "a giant set of keys": (instead("/keys", big), "unknown_key"),
    "keys elsewhere": (instead("/keys", to_inside), "unknown_key"),
    "a giant answer": (instead("/token", big), "provider_down"),
    "a token endpoint elsewhere": (instead("/token", to_inside), "code_refused"),
    "tokens that are a list": (instead("/token", json_of([])), "code_refused"),
    "an ID token that is a number": (
        instead("/token", json_of({"access_token": "at-1", "id_token": 7})),
        "no_id_token",
    ),
    "no ID token": (instead("/token", json_of({"access_token": "at-1"})), "no_id_token"),
    "no access token": (instead("/token", json_of({"id_token": "a.b.c"})), "code_refused"),
    "an error with 200": (instead("/token", json_of({"access_token": "at-1", "error": "no"})), "code_refused"),
}


async def lied_to(ann: Person) -> Answer:
    begun = await ann.go("/login/with/corp")
    return begun if begun.status != 303 else await ann.come_back(await ann.at_provider(begun.location))


@pytest.mark.parametrize(("lie", "reason"), LIES.values(), ids=LIES)
async def test_nobody_is_let_in_by_a_lie(
    gateway_factory: GatewayFactory,
    provider: ProviderServer,
    capfd: pytest.CaptureFixture[str],
    lie: Lie,
    reason: str,
) -> None:
    running = await gateway_factory(configured(provider, "trust_email: true"))
    await running.user("ann")
    lie(provider)
    ann = await person(running)
    refused = await lied_to(ann)
    assert refused.status in {403, 502}
    assert refused.headers["Content-Type"].startswith("text/html")
    assert "reference" in refused.text
    assert await ann.who() is None
    log = capfd.readouterr().err
    (logged,) = (line for line in log.splitlines() if "a sign-in with corp was refused" in line)
    assert reason in logged
    assert "at-" not in log


async def test_the_truth_lets_in(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    """The twin of all of the above, with everything said that may be said."""

    def whole(said: dict[str, Any]) -> dict[str, Any]:
        return {**said, "aud": [CLIENT, "other"], "azp": CLIENT, "nbf": said["iat"], "auth_time": said["iat"]}

    running = await gateway_factory(configured(provider))
    provider.tamper = whole
    provider.metadata = {"authorization_response_iss_parameter_supported": True}
    provider.answer = {"iss": provider.url}
    ann = await person(running)
    assert (await ann.sign_in()).status == 303
    assert await ann.who() is not None


async def test_a_slow_provider_keeps_nobody_else_waiting(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    running = await gateway_factory(configured(provider))
    ann = await person(running)
    back = await ann.at_provider((await ann.go("/login/with/corp")).location)
    provider.instead["/token"] = slow
    waiting = asyncio.create_task(ann.come_back(back))
    while not provider.asked["/token"]:
        await asyncio.sleep(0.01)
    assert (await running.get("/login")).status == 200
    assert not waiting.done()
    assert (await waiting).status == 502


async def test_unknown_keys_fetch_the_set_once_a_cool_down(
    gateway_factory: GatewayFactory, provider: ProviderServer
) -> None:
    running = await gateway_factory(configured(provider))
    find = running.gateway.federation.exchange._key_sets.find
    for number in range(10_000):
        assert await find(f"{provider.url}/keys", f"kid-{number}", "ES256", internal=True) is None
    # The first for what was not known at all, the second for a kid that the set has not.
    assert provider.asked["/keys"] <= 2


async def test_metadata_may_not_lead_inside(gateway_factory: GatewayFactory, provider: ProviderServer) -> None:
    """Without `allow_private`, what an issuer publishes cannot make the gateway ask its own network."""
    with pytest.raises(Exception, match="must begin with https"):
        await gateway_factory(configured(provider).replace("allow_private: true", "allow_private: false"))
