"""Sets of public keys that others register or publish (RFC 7517): clients, providers, issuers."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

_MOST_KEYS: Final = 20
_MOST_PUBLISHED: Final = 100
_LONGEST_MEMBER: Final = 1500  # the modulus of an RSA key of 8192 bits, and room
_SMALLEST_RSA_BITS: Final = 2048
_LARGEST_EXPONENT: Final = 65537  # everybody's; with a large one each look at a signature takes a hundred times as long
_PRIVATE: Final = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_KEPT: Final = ("kty", "crv", "x", "y", "n", "e", "kid", "alg", "use")
CURVES: Final = frozenset({"P-256", "Ed25519"})


class UnusableKeys(ValueError):
    """The set of keys cannot be taken; the message says why."""


def checked_keys(value: object) -> dict[str, Any]:
    """Return the set of keys with nothing in it but what verifies signatures. Raises UnusableKeys."""
    keys = value.get("keys") if isinstance(value, Mapping) else None
    if not isinstance(keys, list) or not 0 < len(keys) <= _MOST_KEYS:
        raise UnusableKeys(f'must be a JSON Web Key Set with 1 to {_MOST_KEYS} keys in "keys"')
    checked = [_checked(key, CURVES) for key in keys]
    kids = [key["kid"] for key in checked if "kid" in key]
    if len(set(kids)) != len(kids):
        raise UnusableKeys("has two keys with the same kid")
    if len(checked) > 1 and len(kids) != len(checked):
        raise UnusableKeys("has several keys: each needs a kid of its own")
    return {"keys": checked}


def usable_keys(document: object, curves: frozenset[str] = CURVES) -> list[dict[str, str]]:
    """Return those keys of a set that somebody publishes which can be used here; it may hold others beside them.

    Raises UnusableKeys when it is no set of keys.
    """
    keys = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(keys, list):
        raise UnusableKeys("must be a JSON Web Key Set")
    usable = []
    for key in keys[:_MOST_PUBLISHED]:
        with suppress(UnusableKeys):
            usable.append(_checked(key, curves))
    return usable[:_MOST_KEYS]


def _checked(key: object, curves: frozenset[str]) -> dict[str, str]:
    if not isinstance(key, Mapping):
        raise UnusableKeys("has a key that is no JSON object")
    if _PRIVATE & set(key):
        # Whoever sent it has shown it to somebody: it must not be taken as if it were still a secret.
        raise UnusableKeys("holds a private or symmetric key: register the public part only, and make a new key")
    operations = key.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise UnusableKeys('has a key that is not for signatures: its "key_ops" must hold "verify" or be absent')
    kept = {name: key[name] for name in _KEPT if key.get(name) is not None}
    if any(not isinstance(text, str) or not _plain(text) for text in kept.values()):
        raise UnusableKeys("has a key with a member that is no text")
    if kept.get("use", "sig") != "sig":
        raise UnusableKeys('has a key that is not for signatures: its "use" must be "sig" or absent')
    _check_strength(kept, curves)
    return kept


def _check_strength(key: Mapping[str, str], curves: frozenset[str]) -> None:
    if key.get("kty") not in {"RSA", "EC", "OKP"}:
        raise UnusableKeys("has a key that is not of kty RSA, EC or OKP")
    if key["kty"] != "RSA" and key.get("crv") not in curves:
        raise UnusableKeys(f"has a key on another curve than {' and '.join(sorted(curves, reverse=True))}")
    try:
        public = JWK(**key).get_op_key("verify")
    except (JWException, ValueError, TypeError, KeyError) as error:
        raise UnusableKeys("has a key that cannot be read") from error
    if not isinstance(public, RSAPublicKey):
        return
    if public.key_size < _SMALLEST_RSA_BITS:
        raise UnusableKeys(f"has an RSA key of less than {_SMALLEST_RSA_BITS} bits")
    if public.public_numbers().e > _LARGEST_EXPONENT:
        raise UnusableKeys(f"has an RSA key with an exponent above {_LARGEST_EXPONENT}")


def _plain(text: str) -> bool:
    return 0 < len(text) <= _LONGEST_MEMBER and text.isascii() and text.isprintable()
