"""Project Wycheproof's vectors for JWS, against keys of other issuers."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import TokenRejected
from gateway.federation.key_sets import KeySet
from gateway.federation.signatures import ALGORITHMS, CURVES
from gateway.tokens.compact import decoded, parted
from gateway.tokens.public_keys import usable_keys
from tests.tokens.test_tokens_wycheproof import algorithm_of, cases

PUBLIC = {"kty", "crv", "x", "y", "n", "e", "kid", "alg", "use", "key_ops"}


def holds(key: dict[str, Any], token: Any, algorithm: str) -> bool:
    """Tell whether a published key holds a vector's signature to be good, by an algorithm that it may be for."""
    public = {name: value for name, value in key.items() if name in PUBLIC}
    found = KeySet(usable_keys({"keys": [public]}, CURVES)).find(public.get("kid"), algorithm)
    if found is None or not isinstance(token, str):
        return False
    try:
        part = parted(token)
        return found.holds(decoded(part.signature), part.signed)
    except TokenRejected:
        return False


GOOD = [case for case in cases("valid") if algorithm_of(case.values[1]) in ALGORITHMS]


@pytest.mark.parametrize(("key", "token"), GOOD)
def test_a_good_signature_holds_by_its_algorithm_and_no_other(key: dict[str, Any], token: str) -> None:
    algorithm = algorithm_of(token)
    is_bound_elsewhere = key.get("alg", algorithm) != algorithm or key.get("use", "sig") != "sig"
    assert holds(key, token, algorithm) is not is_bound_elsewhere
    assert not any(holds(key, token, other) for other in ALGORITHMS - {algorithm})


@pytest.mark.parametrize(("key", "token"), list(cases("invalid")))
def test_a_bad_signature_holds_by_none(key: dict[str, Any], token: Any) -> None:
    if key.get("alg", algorithm_of(token)) != algorithm_of(token):
        assert not holds(key, token, algorithm_of(token))
        return
    assert not any(holds(key, token, algorithm) for algorithm in ALGORITHMS)


def test_the_vectors_have_algorithms_that_are_not_ours() -> None:
    assert {algorithm_of(case.values[1]) for case in GOOD} >= {"RS256", "PS256", "ES256", "ES512"}
