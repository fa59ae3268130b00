"""Tokens of other issuers: what is taken, and what the malicious send instead."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from jwcrypto.common import base64url_decode, base64url_encode
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from gateway.errors import TokenRejected
from gateway.federation.foreign import ACCESS_TYPES, ForeignExpected, unverified_issuer, verify
from gateway.federation.key_sets import KeySet
from gateway.federation.signatures import ALGORITHMS, ForeignKey
from tests.federation.signed import BY_ALGORITHM, EC, P521, RSA, assembled, public, sign

NOW = 1_800_000_000.0
ISSUER = "https://issuer.example"
CLAIMS = {"iss": ISSUER, "aud": "us", "sub": "ann", "iat": NOW - 10, "exp": NOW + 300}
EXPECTED = ForeignExpected(ISSUER, frozenset({"us", "us-too"}), frozenset({"RS256", "ES256"}))
STRANGER = JWK.generate(kty="EC", crv="P-256", kid="ec")


class Keys:
    """A published set, which notes what is asked of it."""

    def __init__(self, *published: dict[str, Any]) -> None:
        self._set = KeySet(published)
        self.asked: list[tuple[str | None, str]] = []

    async def __call__(self, kid: str | None, algorithm: str) -> ForeignKey | None:
        self.asked.append((kid, algorithm))
        return self._set.find(kid, algorithm)


def keys() -> Keys:
    return Keys(public(EC), public(RSA))


def es256(**changed: Any) -> str:
    return sign({**CLAIMS, **changed}, EC, "ES256")


def without(name: str) -> str:
    return sign({key: value for key, value in CLAIMS.items() if key != name}, EC, "ES256")


@pytest.mark.parametrize(
    "token",
    [
        es256(),
        es256(aud=["other", "us-too"]),
        es256(iat=NOW + 29),
        es256(exp=NOW - 29),
        es256(nbf=NOW + 29),
        without("iat"),
        sign(CLAIMS, RSA, "RS256"),
        sign(CLAIMS, EC, "ES256", typ="JWT"),
        sign(CLAIMS, EC, "ES256", typ="application/jwt"),
        sign(CLAIMS, EC, "ES256", x5t="abc", cty="json"),
        sign(CLAIMS, EC, "ES256", kid=None),
        es256(groups=[f"group-{number:032}" for number in range(400)]),
    ],
    ids=[
        "plain", "one-of-audiences", "clock-a-little-off", "just-expired", "just-not-yet", "no-iat", "rsa", "typ",
        "long-typ", "other-header-members", "no-kid-and-one-key", "many-groups",
    ],
)  # fmt: skip
async def test_a_token_that_is_what_is_expected_is_taken(token: str) -> None:
    claims = await verify(token, EXPECTED, keys(), NOW)
    assert claims["sub"] == "ann"


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
async def test_every_asymmetric_algorithm_verifies_and_fails(algorithm: str) -> None:
    key = BY_ALGORITHM[algorithm]
    expected = replace(EXPECTED, algorithms=ALGORITHMS)
    token = sign(CLAIMS, key, algorithm)
    assert await verify(token, expected, Keys(public(key)), NOW)
    head, _, signature = token.rpartition(".")
    broken = f"{head}.{'A' if signature[0] != 'A' else 'B'}{signature[1:]}"
    for bad in (broken, f"{head}.", f"{head}.{base64url_encode(bytes(64))}", f"{head}.{base64url_encode(bytes(256))}"):
        with pytest.raises(TokenRejected, match="bad_signature"):
            await verify(bad, expected, Keys(public(key)), NOW)


async def test_a_signature_has_one_spelling() -> None:
    """A half that begins with a zero would be the same number without it (RFC 7518 section 3.4)."""
    expected = replace(EXPECTED, algorithms=ALGORITHMS)
    while True:
        token = sign(CLAIMS, P521, "ES512")
        head, _, signature = token.rpartition(".")
        halves = base64url_decode(signature)
        if halves[66] == 0:
            break
    assert await verify(token, expected, Keys(public(P521)), NOW)
    with pytest.raises(TokenRejected, match="bad_signature"):
        shorter = base64url_encode(halves[:66] + halves[67:])
        await verify(f"{head}.{shorter}", expected, Keys(public(P521)), NOW)


def hmac_with_public_key(algorithm: str, digest: str) -> str:
    """Sign with the bytes that everybody knows, as if they were a secret (RFC 8725 section 2.1)."""
    head = assembled({"alg": algorithm, "kid": "rsa", "typ": "JWT"}, CLAIMS).rpartition(".")[0]
    secret = RSA.export_to_pem()
    return f"{head}.{base64url_encode(hmac.new(secret, head.encode(), getattr(hashlib, digest)).digest())}"


def unsecured(name: str) -> str:
    return assembled({"alg": name, "kid": "ec"}, CLAIMS)


def duplicated() -> str:
    """Sign a payload that says twice whose it is."""
    signature = JWS('{"sub": "ann", "sub": "bob"}')
    signature.add_signature(EC, None, json.dumps({"alg": "ES256", "kid": "ec"}), None)
    return str(signature.serialize(compact=True))


MALICIOUS: list[tuple[str, Callable[[], str], str]] = [
    ("alg-none", lambda: unsecured("none"), "wrong_algorithm"),
    ("alg-None", lambda: unsecured("None"), "wrong_algorithm"),
    ("alg-absent", lambda: assembled({"kid": "ec"}, CLAIMS), "wrong_algorithm"),
    ("alg-number", lambda: assembled({"alg": 7, "kid": "ec"}, CLAIMS), "wrong_algorithm"),
    ("alg-list", lambda: assembled({"alg": ["ES256"], "kid": "ec"}, CLAIMS), "wrong_algorithm"),
    ("hs256-by-public-key", lambda: hmac_with_public_key("HS256", "sha256"), "wrong_algorithm"),
    ("hs512-by-public-key", lambda: hmac_with_public_key("HS512", "sha512"), "wrong_algorithm"),
    ("algorithm-not-listed", lambda: sign(CLAIMS, RSA, "RS512"), "wrong_algorithm"),
    ("empty-signature", lambda: unsecured("ES256"), "bad_signature"),
    ("algorithm-of-another-key", lambda: sign(CLAIMS, RSA, "RS256", kid="ec"), "unknown_key"),
    ("key-of-another-issuer", lambda: sign(CLAIMS, STRANGER, "ES256"), "bad_signature"),
    ("unknown-kid", lambda: sign(CLAIMS, EC, "ES256", kid="new"), "unknown_key"),
    ("kid-as-a-path", lambda: sign(CLAIMS, EC, "ES256", kid="../../dev/null"), "unknown_key"),
    ("kid-number", lambda: assembled({"alg": "ES256", "kid": 1}, CLAIMS), "malformed"),
    ("kid-null", lambda: assembled({"alg": "ES256", "kid": None}, CLAIMS), "malformed"),
    ("kid-empty", lambda: assembled({"alg": "ES256", "kid": ""}, CLAIMS), "malformed"),
    ("kid-huge", lambda: assembled({"alg": "ES256", "kid": "k" * 513}, CLAIMS), "malformed"),
    ("embedded-jwk", lambda: sign(CLAIMS, STRANGER, "ES256", jwk=public(STRANGER)), "unexpected_header"),
    ("jku", lambda: sign(CLAIMS, STRANGER, "ES256", jku="https://evil.example/keys"), "unexpected_header"),
    ("x5u", lambda: sign(CLAIMS, STRANGER, "ES256", x5u="https://evil.example/keys"), "unexpected_header"),
    ("x5c", lambda: assembled({"alg": "ES256", "kid": "ec", "x5c": ["MII"]}, CLAIMS), "unexpected_header"),
    ("crit", lambda: assembled({"alg": "ES256", "kid": "ec", "crit": ["exp"]}, CLAIMS), "unexpected_header"),
    ("b64", lambda: assembled({"alg": "ES256", "kid": "ec", "b64": False}, CLAIMS), "unexpected_header"),
    ("access-token", lambda: sign(CLAIMS, EC, "ES256", typ="at+jwt"), "wrong_type"),
    ("logout-token", lambda: sign(CLAIMS, EC, "ES256", typ="logout+jwt"), "wrong_type"),
    ("typ-number", lambda: sign(CLAIMS, EC, "ES256", typ=1), "wrong_type"),
    ("wrong-issuer", lambda: es256(iss="https://evil.example"), "wrong_issuer"),
    ("issuer-with-slash", lambda: es256(iss=f"{ISSUER}/"), "wrong_issuer"),
    ("issuer-list", lambda: es256(iss=[ISSUER]), "wrong_issuer"),
    ("no-issuer", lambda: without("iss"), "wrong_issuer"),
    ("wrong-audience", lambda: es256(aud="others"), "wrong_audience"),
    ("audience-inside", lambda: es256(aud="us us-too"), "wrong_audience"),
    ("audience-of-odd-types", lambda: es256(aud=["us", 1]), "wrong_audience"),
    ("audience-object", lambda: es256(aud={"us": 1}), "wrong_audience"),
    ("no-audience", lambda: without("aud"), "wrong_audience"),
    ("empty-audience", lambda: es256(aud=[]), "wrong_audience"),
    ("expired", lambda: es256(exp=NOW - 30), "expired"),
    ("no-expiry", lambda: without("exp"), "bad_exp"),
    ("expiry-text", lambda: es256(exp=str(int(NOW + 60))), "bad_exp"),
    ("expiry-true", lambda: es256(exp=True), "bad_exp"),
    ("expiry-absurd", lambda: es256(exp=10**400), "bad_exp"),
    ("expiry-far", lambda: es256(exp=NOW + 10**10), "bad_expiry"),
    ("not-yet", lambda: es256(nbf=NOW + 31), "not_yet_valid"),
    ("issued-in-the-future", lambda: es256(iat=NOW + 31), "not_yet_valid"),
    ("iat-text", lambda: es256(iat="now"), "bad_iat"),
    ("no-subject", lambda: without("sub"), "no_subject"),
    ("subject-number", lambda: es256(sub=7), "no_subject"),
    ("subject-empty", lambda: es256(sub=""), "no_subject"),
    ("claims-list", lambda: sign([CLAIMS], EC, "ES256"), "malformed"),
    ("two-parts", lambda: "a.b", "malformed"),
    ("five-parts", lambda: "a.b.c.d.e", "malformed"),
    ("nothing", lambda: "", "malformed"),
    ("not-ascii", lambda: "é.é.é", "malformed"),
    ("giant", lambda: es256(pad="x" * 40_000), "malformed"),
    ("deep", lambda: f"{base64url_encode('[' * 8000)}.e30.AA", "malformed"),
    ("json-serialisation", lambda: json.dumps({"payload": "", "signatures": []}), "malformed"),
    ("padded", lambda: es256() + "=", "malformed"),
    ("duplicate-claim", duplicated, "malformed"),
]  # fmt: skip


@pytest.mark.parametrize(("token", "reason"), [row[1:] for row in MALICIOUS], ids=[row[0] for row in MALICIOUS])
async def test_any_other_token_is_refused(token: Callable[[], str], reason: str) -> None:
    with pytest.raises(TokenRejected) as refused:
        await verify(token(), EXPECTED, keys(), NOW)
    assert refused.value.reason == reason


async def test_keys_are_asked_for_by_algorithms_that_may_be_alone() -> None:
    for token in (unsecured("none"), hmac_with_public_key("HS256", "sha256"), sign(CLAIMS, RSA, "PS256")):
        asked = keys()
        with pytest.raises(TokenRejected):
            await verify(token, EXPECTED, asked, NOW)
        assert asked.asked == []


async def test_symmetric_algorithms_are_none_even_where_they_are_listed() -> None:
    expected = replace(EXPECTED, algorithms=frozenset({"HS256", "none"}))
    for token in (unsecured("none"), hmac_with_public_key("HS256", "sha256")):
        with pytest.raises(TokenRejected, match="wrong_algorithm"):
            await verify(token, expected, keys(), NOW)


async def test_types_are_those_that_are_expected() -> None:
    token = sign(CLAIMS, EC, "ES256", typ="application/at+JWT")
    assert await verify(token, replace(EXPECTED, types=ACCESS_TYPES), keys(), NOW)


async def test_a_logout_token_may_name_a_session_alone() -> None:
    expected = replace(EXPECTED, requires_subject=False)
    assert await verify(without("sub"), expected, keys(), NOW)
    with pytest.raises(TokenRejected, match="no_subject"):
        await verify(es256(sub=[]), expected, keys(), NOW)


TENANTED = replace(EXPECTED, issuer="https://login.example/{tenantid}/v2.0")
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"


async def test_the_issuer_of_many_tenants_is_that_of_the_tokens_own() -> None:
    assert await verify(es256(iss=f"https://login.example/{TENANT}/v2.0", tid=TENANT), TENANTED, keys(), NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": f"https://login.example/{TENANT}/v2.0"},
        {"iss": f"https://login.example/{TENANT}/v2.0", "tid": "9188040d-6c67-4c5b-b112-36a304b66dad"},
        {"iss": "https://login.example/{tenantid}/v2.0", "tid": "{tenantid}"},
        {"iss": "https://login.example/a/../b/v2.0", "tid": "a/../b"},
        {"iss": "https://login.example//v2.0", "tid": ""},
        {"iss": "https://login.example/7/v2.0", "tid": 7},
    ],
    ids=["no-tid", "other-tid", "template", "path", "empty", "number"],
)
async def test_a_tenant_is_a_number_and_the_same_twice(claims: dict[str, Any]) -> None:
    with pytest.raises(TokenRejected, match="wrong_issuer"):
        await verify(es256(**claims), TENANTED, keys(), NOW)


def test_the_issuer_that_a_token_names() -> None:
    assert unverified_issuer(es256()) == ISSUER
    for token in ("", "a.b.c", without("iss"), es256(iss=7), assembled({}, [])):
        with pytest.raises(TokenRejected):
            unverified_issuer(token)
