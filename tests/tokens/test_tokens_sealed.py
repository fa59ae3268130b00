"""Tokens from us to us: what is opened is what was sealed for this purpose, and nothing that a signature stands for."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

from gateway.errors import TokenRejected
from gateway.tokens.jwt import Expected, PrivateKey, VerificationKey, verify
from gateway.tokens.master_key import MasterKey
from gateway.tokens.sealed import SealedTokens
from tests.fake_clock import FakeClock

ISSUER = "https://portal.example.com"
MASTER = MasterKey(b"m" * 32)
CLOCK = FakeClock()
NOW = int(CLOCK.now().timestamp())
CLAIMS = {"sub": "f1", "jti": "j1", "exp": NOW + 60}
SEALED = SealedTokens(MASTER, "a test", "refresh+jwt", ISSUER, CLOCK)
TOKEN = SEALED.seal(CLAIMS)


def encoded(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def refusal(token: str, sealed: SealedTokens = SEALED) -> str:
    with pytest.raises(TokenRejected) as caught:
        sealed.open(token)
    return caught.value.reason


def with_mac(header: dict[str, Any], claims: dict[str, Any]) -> str:
    """Return a token with a true MAC over any header and claims at all."""
    content = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(claims).encode())}"
    return f"{content}.{encoded(hmac.digest(MASTER.derive('a test'), content.encode(), hashlib.sha256))}"


def test_what_was_sealed_is_opened() -> None:
    assert SEALED.open(TOKEN) == {"iss": ISSUER, "aud": ISSUER, **CLAIMS}


def test_jwcrypto_writes_and_reads_the_same() -> None:
    key = JWK(kty="oct", k=encoded(MASTER.derive("a test")))
    theirs = JWS(json.dumps({"iss": ISSUER, "aud": ISSUER, **CLAIMS}, separators=(",", ":")))
    theirs.add_signature(key, None, json.dumps({"alg": "HS256", "typ": "refresh+jwt"}, separators=(",", ":")))
    assert theirs.serialize(compact=True) == TOKEN


@pytest.mark.parametrize(
    ("sealed", "reason"),
    [
        (SealedTokens(MASTER, "another", "refresh+jwt", ISSUER, CLOCK), "bad_signature"),
        (SealedTokens(MasterKey(b"n" * 32), "a test", "refresh+jwt", ISSUER, CLOCK), "bad_signature"),
        (SealedTokens(MASTER, "a test", "code+jwt", ISSUER, CLOCK), "wrong_type"),
        (SealedTokens(MASTER, "a test", "refresh+jwt", "https://other.example.com", CLOCK), "wrong_issuer"),
    ],
    ids=["purpose", "master-key", "type", "issuer"],
)
def test_it_is_opened_for_its_own_purpose_only(sealed: SealedTokens, reason: str) -> None:
    assert refusal(TOKEN, sealed) == reason


@pytest.mark.parametrize(
    "claims", [{}, {"exp": NOW}, {"exp": NOW + 1e13}, {"exp": True}, {"exp": NOW + 9, "nbf": NOW + 1}]
)
def test_its_time_is_looked_at(claims: dict[str, Any]) -> None:
    unlimited = {name: value for name, value in CLAIMS.items() if name != "exp"}
    assert refusal(SEALED.seal({**unlimited, **claims})) in {"bad_exp", "bad_expiry", "expired", "not_yet_valid"}


@pytest.mark.parametrize(
    "header",
    [
        {"alg": "none", "typ": "refresh+jwt"},
        {"typ": "refresh+jwt", "alg": "HS256"},
        {"alg": "HS256", "typ": "refresh+jwt", "kid": "k1"},
        {"alg": "ES256", "typ": "refresh+jwt"},
        {},
    ],
    ids=["none", "another-order", "with-kid", "another-algorithm", "empty"],
)
def test_the_header_has_one_spelling(header: dict[str, Any]) -> None:
    assert refusal(with_mac(header, {"iss": ISSUER, "aud": ISSUER, **CLAIMS})) == "wrong_type"


def test_signatures_and_seals_never_stand_for_each_other() -> None:
    pair = JWK.generate(kty="EC", crv="P-256", kid="k1")
    public = VerificationKey("k1", "ES256", JWK(**json.loads(pair.export_public())))
    own = {"iss": ISSUER, "aud": ISSUER, **CLAIMS}
    assert refusal(PrivateKey("k1", "ES256", pair).sign(own, "refresh+jwt")) == "wrong_type"
    with pytest.raises(TokenRejected):
        verify(TOKEN, lambda _: public, Expected("refresh+jwt", ISSUER, ISSUER), NOW)


@given(st.integers(0, len(TOKEN) - 1), st.sampled_from("ABab01-_=. \u00e9"))
def test_no_letter_can_be_another(at: int, letter: str) -> None:
    changed = f"{TOKEN[:at]}{letter}{TOKEN[at + 1 :]}"
    if changed != TOKEN:
        assert refusal(changed)
    assert refusal(f"{TOKEN[:at]}{TOKEN[at + 1 :]}")
