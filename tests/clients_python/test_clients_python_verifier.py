"""What an application believes, and everything else, which it does not."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway_client import AssertionRejected, KeysUnavailable, Verifier
from gateway_client.keys import Keys, keys_of
from tests.clients_python.signing import (
    AUDIENCE,
    ISSUER,
    PRIVATE,
    STRANGER,
    Published,
    assertion,
    claims,
    key_set,
    public_jwk,
    verifier,
)

FORGED: dict[str, tuple[Callable[[], str], str]] = {}


def forged(reason: str) -> Callable[[Callable[[], str]], Callable[[], str]]:
    def keep(make: Callable[[], str]) -> Callable[[], str]:
        FORGED[make.__name__] = (make, reason)
        return make

    return keep


def compact(header: dict[str, Any], payload: dict[str, Any], signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(payload).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


HEADER = {"alg": "EdDSA", "kid": "EdDSA", "typ": "gateway-assertion+jwt"}


@forged("wrong_algorithm")
def algorithm_none() -> str:
    return compact({**HEADER, "alg": "none"}, claims())


@forged("wrong_algorithm")
def algorithm_none_and_no_key_of_ours() -> str:
    return compact({**HEADER, "alg": "none", "kid": "stranger"}, claims())


@forged("wrong_algorithm")
def hmac_by_the_public_key() -> str:
    pem = PRIVATE["RS256"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    algorithm = jwt.get_algorithm_by_name("HS256")
    unsigned = compact({**HEADER, "alg": "HS256", "kid": "RS256"}, claims()).rpartition(".")[0]
    signature = base64.urlsafe_b64encode(algorithm.sign(unsigned.encode(), pem)).rstrip(b"=").decode()
    return f"{unsigned}.{signature}"


@forged("wrong_algorithm")
def another_keys_algorithm() -> str:
    return assertion("ES256", header={"kid": "EdDSA"})


@forged("bad_signature")
def a_strangers_key_under_our_kid() -> str:
    return assertion(key=STRANGER)


@forged("unknown_key")
def a_strangers_key_under_its_own_kid() -> str:
    return assertion(key=STRANGER, header={"kid": "stranger"})


@forged("unexpected_header")
def a_key_that_comes_along() -> str:
    return assertion(key=STRANGER, header={"jwk": public_jwk("EdDSA")})


@forged("unexpected_header")
def an_address_of_keys_that_comes_along() -> str:
    return assertion(header={"jku": "https://evil.example/keys"})


@forged("unexpected_header")
def a_certificate_that_comes_along() -> str:
    return assertion(header={"x5c": ["MIIB"]})


@forged("malformed")
def a_rule_that_must_be_understood() -> str:
    return compact({**HEADER, "crit": ["exp"]}, claims(), b"x" * 64)


@forged("unexpected_header")
def no_kid() -> str:
    return compact({name: value for name, value in HEADER.items() if name != "kid"}, claims(), b"x" * 64)


@forged("malformed")
def a_kid_that_is_a_number() -> str:
    return compact({**HEADER, "kid": 7}, claims(), b"x" * 64)


@forged("bad_signature")
def another_payload() -> str:
    header, _, signature = assertion().split(".")
    return f"{header}.{compact({}, claims(roles=['admin'])).split('.')[1]}.{signature}"


@forged("wrong_type")
def an_access_token_of_the_same_gateway() -> str:
    return assertion(header={"typ": "at+jwt"})


@forged("wrong_audience")
def for_another_application() -> str:
    return assertion(aud="mail")


@forged("wrong_audience")
def for_several_applications() -> str:
    return assertion(aud=["mail", AUDIENCE])


@forged("missing_claim")
def for_nobody() -> str:
    return assertion(aud=None)


@forged("wrong_issuer")
def of_another_gateway() -> str:
    return assertion(iss="https://auth.example.org")


@forged("wrong_issuer")
def of_a_gateway_with_a_slash() -> str:
    return assertion(iss=f"{ISSUER}/")


@forged("expired")
def expired() -> str:
    return assertion(exp=int(time.time()) - 60)


@forged("missing_claim")
def without_an_end() -> str:
    return assertion(exp=None)


@forged("not_yet_valid")
def from_the_future() -> str:
    return assertion(iat=int(time.time()) + 120)


@forged("not_yet_valid")
def not_yet() -> str:
    return assertion(nbf=int(time.time()) + 120)


@forged("missing_claim")
def without_a_subject() -> str:
    return assertion(sub=None)


@forged("bad_sub")
def an_empty_subject() -> str:
    return assertion(sub="")


@forged("bad_roles")
def roles_that_are_a_text() -> str:
    return assertion(roles="admin")


@forged("bad_roles")
def no_roles() -> str:
    return assertion(roles=None)


@forged("bad_scope")
def scopes_that_are_a_list() -> str:
    return assertion(scope=["read"])


@forged("malformed")
def nothing() -> str:
    return ""


@forged("malformed")
def no_token() -> str:
    return "ann"


@forged("malformed")
def several_in_one_field() -> str:
    return f"{assertion()}, {assertion()}"


@forged("malformed")
def giant() -> str:
    return assertion(email="x" * 20_000)


@forged("malformed")
def bytes_that_are_no_text() -> str:
    return "\udcff.\x00.é"


@forged("malformed")
def deep() -> str:
    return base64.urlsafe_b64encode(b"[" * 9000).decode() + ".e30.e30"


@pytest.mark.parametrize("name", FORGED)
def test_what_is_not_the_gateways_word_to_this_application_is_refused(name: str) -> None:
    make, reason = FORGED[name]
    with pytest.raises(AssertionRejected) as refused:
        verifier().verify(make())
    assert refused.value.reason == reason


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_an_assertion_tells_who_asks(algorithm: str) -> None:
    user = verifier().verify(assertion(algorithm, scope="read write"))
    assert (user.id, user.username, user.email) == ("acc_1", "ann", "ann@example.com")
    assert (user.roles, user.scopes, user.methods) == (
        frozenset({"staff", "user"}),
        frozenset({"read", "write"}),
        ("pwd",),
    )
    assert 50 < time.time() - user.authenticated_at.timestamp() < 90
    assert user.claims["jti"] == "x"
    assert "jti" not in repr(user)


def test_without_scopes_nothing_is_limited() -> None:
    assert verifier().verify(assertion()).scopes is None
    assert verifier().verify(assertion(scope="")).scopes == frozenset()


def test_clocks_may_be_a_little_apart() -> None:
    now = int(time.time())
    assert verifier().verify(assertion(iat=now + 20, exp=now + 320)).username == "ann"
    assert verifier().verify(assertion(exp=now - 20)).username == "ann"


@pytest.mark.parametrize(
    ("issuer", "audience", "more"),
    [
        pytest.param("", AUDIENCE, {}, id="no issuer"),
        pytest.param(ISSUER, "", {}, id="no audience"),
        pytest.param("http://auth.example.com", AUDIENCE, {}, id="keys in the clear"),
        pytest.param(ISSUER, AUDIENCE, {"keys_url": "http://10.0.0.5/keys"}, id="keys of a network in the clear"),
        pytest.param(
            ISSUER, AUDIENCE, {"keys_url": "http://localhost.evil.example/"}, id="a name that looks like ours"
        ),
        pytest.param(ISSUER, AUDIENCE, {"keys_url": "file:///etc/keys.json"}, id="a file"),
        pytest.param(ISSUER, AUDIENCE, {"keys_url": "https://"}, id="no host"),
    ],
)
def test_what_would_believe_anybody_cannot_be_configured(issuer: str, audience: str, more: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"required|neither https"):
        Verifier(issuer, audience, **more)


@pytest.mark.parametrize(
    ("issuer", "more"),
    [
        pytest.param(ISSUER, {}, id="https"),
        pytest.param("http://localhost:8080", {}, id="this machine"),
        pytest.param("http://auth.localhost:8080", {}, id="a name of this machine"),
        pytest.param(ISSUER, {"keys_url": "http://127.0.0.1:8080/keys"}, id="its address"),
        pytest.param(ISSUER, {"keys_url": "http://[::1]:8080/keys"}, id="its other address"),
        pytest.param(ISSUER, {"keys_url": "http://gateway/keys", "allow_http": True}, id="allowed"),
    ],
)
def test_keys_come_by_a_way_that_nobody_else_is_on(issuer: str, more: dict[str, Any]) -> None:
    assert Verifier(issuer, AUDIENCE, **more).audience == AUDIENCE


def test_a_key_that_only_looks_like_one_for_its_algorithm_is_not_used() -> None:
    secret = {"kty": "oct", "k": "c2VjcmV0", "kid": "EdDSA", "alg": "HS256"}
    wrong_kind = {**public_jwk("RS256"), "alg": "ES256"}
    broken = {**public_jwk("ES256", "broken"), "x": "!"}
    for_encryption = {**public_jwk("EdDSA"), "use": "enc"}
    other_curve = {"kty": "OKP", "crv": "Ed448", "x": "A" * 76, "kid": "Ed448", "alg": "EdDSA"}
    odd = (secret, wrong_kind, broken, for_encryption, other_curve)
    with pytest.raises(KeysUnavailable, match="no key that can be used"):
        keys_of(key_set(*odd))
    published = Published(key_set(*odd, public_jwk("ES256", "good")))
    strict = Verifier(ISSUER, AUDIENCE, keys=Keys(published))
    assert strict.verify(assertion("ES256", header={"kid": "good"})).username == "ann"
    for kid, algorithm in {"EdDSA": "EdDSA", "RS256": "RS256", "broken": "ES256"}.items():
        with pytest.raises(AssertionRejected, match="unknown_key"):
            strict.verify(assertion(algorithm, header={"kid": kid}))
