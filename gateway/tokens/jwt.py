"""Signed JWTs, strictly: the only file that speaks to jwcrypto about signatures.

jwcrypto by itself tries every key without a kid, does not hold a key to its ``alg``, allows 60 s of leeway and lets
TypeError, KeyError and OverflowError out on bad input. Here each choice is explicit and one exception leaves.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NewType

from jwcrypto import jws
from jwcrypto.jwk import JWK

from gateway.errors import TokenRejected

VerifiedClaims = NewType("VerifiedClaims", Mapping[str, Any])

MAX_TOKEN_BYTES: Final = 8192
# RFC 8725 section 3.1: asymmetric algorithms only; nothing here ever verifies with a shared secret.
ALGORITHMS: Final = frozenset({"ES256", "RS256", "EdDSA"})
_LONGEST_LIFETIME_SECONDS: Final = 3651 * 86400  # a day over the longest that can be configured
_LAST_SECOND: Final = 10**12
# RFC 7518 section 3.4, RFC 8037 section 3.1; an RSA signature is measured against its key.
_SIGNATURE_BYTES: Final[Mapping[str, int]] = {"ES256": 64, "EdDSA": 64}
_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key that is good for one algorithm only (RFC 8725 section 3.1)."""

    kid: str
    algorithm: str
    jwk: JWK


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say. ``audience`` must be among ``aud``; ``leeway_seconds`` applies to exp, nbf and iat."""

    typ: str
    issuer: str
    audience: str
    leeway_seconds: int = 0


def sign(key: JWK, kid: str, algorithm: str, claims: Mapping[str, Any], typ: str) -> str:
    """Return a compact JWS (RFC 7515 section 3.1) over ``claims``."""
    token = jws.JWS(json.dumps(claims, separators=(",", ":")))
    token.allowed_algs = [algorithm]
    token.add_signature(key, None, json.dumps({"alg": algorithm, "kid": kid, "typ": typ}))
    serialized: str = token.serialize(compact=True)
    return serialized


def verify(
    unverified_token: str,
    find_key: Callable[[str], VerificationKey | None],
    expected: Expected,
    now_seconds: float,
) -> VerifiedClaims:
    """Return the claims of a token that is exactly what is expected. Raises TokenRejected, and nothing else."""
    header = _header(unverified_token)
    key = find_key(header["kid"])
    if key is None:
        raise TokenRejected("unknown_key")
    if key.algorithm not in ALGORITHMS or header["alg"] != key.algorithm:
        raise TokenRejected("wrong_algorithm")
    # RFC 8725 section 3.11: the type keeps one kind of token from passing as another.
    if header["typ"] != expected.typ:
        raise TokenRejected("wrong_type")
    claims = _claims(_verified_payload(unverified_token, key))
    _check_claims(claims, expected, now_seconds)
    return VerifiedClaims(claims)


def _header(unverified_token: str) -> dict[str, str]:
    if len(unverified_token) > MAX_TOKEN_BYTES or not unverified_token.isascii():
        raise TokenRejected("malformed")
    if unverified_token.count(".") != 2:  # noqa: PLR2004 - header, payload, signature
        raise TokenRejected("malformed")
    header = _json_object(_decoded(unverified_token.partition(".")[0]))
    if not header.keys() >= _HEADER_MEMBERS or any(type(header[name]) is not str for name in _HEADER_MEMBERS):
        raise TokenRejected("malformed")
    # jwk, jku, x5u, x5c, crit, b64 and what comes after them: no member steers verification but these three.
    if header.keys() - _HEADER_MEMBERS:
        raise TokenRejected("unexpected_header")
    return header


def _decoded(part: str) -> bytes:
    try:
        value = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise TokenRejected("malformed") from error
    # One token, one spelling: padding, "+/" and stray bits in the last character are other spellings.
    if base64.urlsafe_b64encode(value).rstrip(b"=").decode() != part:
        raise TokenRejected("malformed")
    return value


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise TokenRejected("malformed")
    return members


def _refuse_constant(_name: str) -> Any:
    raise TokenRejected("malformed")  # NaN and Infinity are not JSON


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(
            content.decode("utf-8"),
            object_pairs_hook=_refuse_duplicates,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise TokenRejected("malformed") from error
    if not isinstance(value, dict):
        raise TokenRejected("malformed")
    return value


def _verified_payload(unverified_token: str, key: VerificationKey) -> bytes:
    signature = _decoded(unverified_token.rpartition(".")[2])
    # jwcrypto halves what it gets: zeros before r and s would be another spelling of the same signature.
    if len(signature) != _SIGNATURE_BYTES.get(key.algorithm, len(signature)):
        raise TokenRejected("bad_signature")
    token = jws.JWS()
    token.allowed_algs = [key.algorithm]
    try:
        token.deserialize(unverified_token)
        token.verify(key.jwk, alg=key.algorithm)
        payload: bytes = token.payload
    except Exception as error:  # jwcrypto leaks whatever its parts raise on bad input
        raise TokenRejected("bad_signature") from error
    return payload


def _claims(payload: bytes) -> dict[str, Any]:
    return _json_object(payload)


def _check_claims(claims: Mapping[str, Any], expected: Expected, now_seconds: float) -> None:
    leeway = expected.leeway_seconds
    expires = _time(claims, "exp")
    if expires + leeway <= now_seconds:
        raise TokenRejected("expired")
    if expires > now_seconds + _LONGEST_LIFETIME_SECONDS:
        raise TokenRejected("bad_expiry")
    if "nbf" in claims and _time(claims, "nbf") > now_seconds + leeway:
        raise TokenRejected("not_yet_valid")
    if claims.get("iss") != expected.issuer:
        raise TokenRejected("wrong_issuer")
    audience = claims.get("aud")
    audiences = audience if isinstance(audience, list) else [audience]
    if expected.audience not in audiences or not all(isinstance(each, str) for each in audiences):
        raise TokenRejected("wrong_audience")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise TokenRejected("no_subject")


def _time(claims: Mapping[str, Any], name: str) -> float:
    """Return a NumericDate (RFC 7519 section 2) that is a sane number."""
    value: Any = claims.get(name)
    # Compared, not converted: an integer of 400 digits has no float. NaN is within no bounds.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -_LAST_SECOND <= value <= _LAST_SECOND:
        raise TokenRejected(f"bad_{name}")
    return float(value)
