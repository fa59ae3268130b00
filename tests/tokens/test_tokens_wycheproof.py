"""Project Wycheproof's vectors for JWS, against the one place that verifies signatures."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jwcrypto.jwk import JWK

from gateway.errors import TokenRejected
from gateway.tokens.compact import parted
from gateway.tokens.jwt import Expected, VerificationKey, _verified_payload, verify
from gateway.tokens.signature import ALGORITHMS

VECTORS = Path(__file__).parent.parent / "vectors" / "wycheproof_json_web_signature.json"
EXPECTED = Expected("JWT", "https://portal.example.com", "https://portal.example.com")


def cases(result: str) -> Iterator[Any]:
    for number, group in enumerate(json.loads(VECTORS.read_text(encoding="utf-8"))["testGroups"]):
        key = group.get("public") or group["private"]
        for test in group["tests"]:
            if test["result"] == result:
                name = f"{number}-{group['comment']}-{test['tcId']}-{test['comment']}"
                yield pytest.param(key, test["jws"], id=name)


def verification_key(key: dict[str, Any], algorithm: str) -> VerificationKey:
    return VerificationKey(key.get("kid", ""), algorithm, JWK(**key))


def algorithm_of(token: Any) -> str:
    """Return the algorithm that a vector asks for, empty where it has no compact header."""
    if not isinstance(token, str):
        return ""
    part = token.partition(".")[0]
    try:
        header = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except ValueError:
        return ""
    return str(header.get("alg", "")) if isinstance(header, dict) else ""


@pytest.mark.parametrize(("key", "token"), list(cases("valid")))
def test_a_good_signature_by_an_algorithm_of_ours_verifies_and_no_other(key: dict[str, Any], token: str) -> None:
    algorithm = algorithm_of(token)
    if algorithm in ALGORITHMS and key.get("alg", algorithm) == algorithm:
        part = token.split(".")[1]
        payload = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4))
        assert _verified_payload(parted(token), verification_key(key, algorithm)) == payload
        return
    for bound_to in (algorithm, *sorted(ALGORITHMS)):
        with pytest.raises(TokenRejected):
            verify(token, lambda _, bound_to=bound_to: verification_key(key, bound_to), EXPECTED, 0)  # type: ignore[misc]


@pytest.mark.parametrize(("key", "token"), list(cases("invalid")))
def test_a_bad_signature_does_not_verify(key: dict[str, Any], token: Any) -> None:
    text = token if isinstance(token, str) else json.dumps(token)
    for algorithm in sorted(ALGORITHMS):
        with pytest.raises(TokenRejected):
            verify(text, lambda _, algorithm=algorithm: verification_key(key, algorithm), EXPECTED, 0)  # type: ignore[misc]
    # The form of a header can hide a signature that is believed: asked by itself.
    if algorithm_of(token) in ALGORITHMS and key.get("alg", algorithm_of(token)) == algorithm_of(token):
        with pytest.raises(TokenRejected):
            _verified_payload(parted(text), verification_key(key, algorithm_of(token)))
