"""Whatever is presented or published, one exception leaves, and nobody is let in."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from jwcrypto.common import base64url_encode

from gateway.config.role_rules import RoleRule
from gateway.errors import TokenRejected
from gateway.federation.claims import email_of, names_at, roles_by, scopes_of, text_at
from gateway.federation.discovery import read_metadata
from gateway.federation.foreign import ForeignExpected, verify
from gateway.federation.kept import Unreadable
from gateway.federation.key_sets import KeySet
from gateway.federation.signatures import ALGORITHMS, ForeignKey
from gateway.tokens.public_keys import UnusableKeys, usable_keys
from tests.federation.signed import EC, RSA, public, sign

NOW = 1_800_000_000.0
CLAIMS = {"iss": "https://a", "aud": "us", "sub": "ann", "exp": NOW + 60}
EXPECTED = ForeignExpected("https://a", frozenset({"us"}), ALGORITHMS)
GOOD = sign(CLAIMS, EC, "ES256")
KEYS = KeySet([public(EC), public(RSA)])

scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
)
names = st.sampled_from(["alg", "kid", "typ", "jwk", "crit", "iss", "aud", "sub", "exp", "nbf", "iat", "tid"])
members = st.dictionaries(names, values | st.sampled_from(["ES256", "RS256", "ec", "none", "HS256"]), max_size=8)


async def _find(kid: str | None, algorithm: str) -> ForeignKey | None:
    return KEYS.find(kid, algorithm)


def is_refused(token: str) -> bool:
    try:
        asyncio.run(verify(token, EXPECTED, _find, NOW))
    except TokenRejected:
        return True
    return False


@settings(max_examples=200, deadline=None)
@given(header=members, claims=members, signature=st.binary(max_size=300))
def test_tokens_that_nobody_signed(header: dict[str, Any], claims: dict[str, Any], signature: bytes) -> None:
    parts = (json.dumps(header).encode(), json.dumps(claims).encode(), signature)
    assert is_refused(".".join(base64url_encode(part) for part in parts))


@settings(max_examples=200, deadline=None)
@given(at=st.integers(0, len(GOOD) - 1), what=st.characters())
def test_a_good_token_with_one_other_character(at: int, what: str) -> None:
    changed = GOOD[:at] + what + GOOD[at + 1 :]
    assert is_refused(changed) is (changed != GOOD)


@settings(max_examples=200, deadline=None)
@given(token=st.text(max_size=200))
def test_any_text(token: str) -> None:
    assert is_refused(token)


@settings(max_examples=200, deadline=None)
@given(claims=st.dictionaries(st.sampled_from(["sub", "aud", "exp", "nbf", "iat", "tid"]), values, min_size=1))
def test_claims_of_any_shape_that_the_issuer_signed(claims: dict[str, Any]) -> None:
    is_refused(sign({**CLAIMS, **claims}, EC, "ES256"))


@settings(max_examples=200, deadline=None)
@given(document=values | st.dictionaries(st.just("keys"), st.lists(members | st.just(public(EC)), max_size=4)))
def test_sets_of_keys_of_any_shape(document: Any) -> None:
    try:
        found = KeySet(usable_keys(document))
    except UnusableKeys:
        return
    for algorithm in ALGORITHMS:
        found.find(None, algorithm)
        found.find("ec", algorithm)


ENDPOINTS = st.sampled_from(["jwks_uri", "token_endpoint", "id_token_signing_alg_values_supported", "x"])


@settings(max_examples=200, deadline=None)
@given(document=values | st.dictionaries(ENDPOINTS, values | st.text().map("https://".__add__)))
def test_metadata_of_any_shape(document: Any) -> None:
    if isinstance(document, dict):
        document["issuer"] = "https://a"
    try:
        metadata = read_metadata(document, "https://a", internal=False)
    except Unreadable:
        return
    for address in (metadata.jwks_uri, metadata.token_endpoint):
        assert address is None or address.startswith("https://")


@settings(max_examples=200, deadline=None)
@given(claims=st.dictionaries(st.sampled_from(["a", "a.b", "email", "email_verified"]), values))
def test_what_claims_say_is_text(claims: dict[str, Any]) -> None:
    rule = RoleRule.model_validate({"claim": "a.b", "equals": "x", "role": "r"})
    assert roles_by([rule], claims) <= {"r"}
    said = [email_of(claims, "email"), text_at(claims, "a.b"), *names_at(claims, "a"), *scopes_of(claims, ["a"])]
    assert all(isinstance(each, str) for each in said)
