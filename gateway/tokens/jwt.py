"""Signed JWTs, strictly: written here, and what is presented is read and verified here.

jwcrypto reads the keys, and no more. Its verification tries every key without a kid, does not hold a key to its
``alg``, allows 60 s of leeway, and lets TypeError, KeyError and OverflowError out on bad input; around a signature it
spends more than the signature costs. Here each choice is explicit and one exception leaves.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final, NewType

from jwcrypto.jwk import JWK

from gateway.errors import TokenRejected
from gateway.tokens.compact import Compact, decoded, encoded, json_object, parted
from gateway.tokens.signature import ALGORITHMS, Holds, Signs, signer, verifier

VerifiedClaims = NewType("VerifiedClaims", Mapping[str, Any])

_LONGEST_LIFETIME_SECONDS: Final = 3651 * 86400  # a day over the longest that can be configured
_LAST_SECOND: Final = 10**12
_HEADER_MEMBERS: Final = frozenset({"alg", "kid", "typ"})
# Tokens by one key begin alike: headers by their encoded bytes, of tokens that were good. Bounded by emptying.
_known_headers: dict[bytes, dict[str, str]] = {}
_MOST_HEADERS: Final = 64
_to_json: Final = json.JSONEncoder(separators=(",", ":")).encode


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key that is good for one algorithm only (RFC 8725 section 3.1)."""

    kid: str
    algorithm: str
    jwk: JWK
    holds: Holds = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "holds", verifier(self.jwk, self.algorithm))


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A private key that signs by one algorithm only."""

    kid: str
    algorithm: str
    jwk: JWK = field(repr=False)
    signs: Signs = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "signs", signer(self.jwk, self.algorithm))

    def sign(self, claims: Mapping[str, Any], typ: str) -> str:
        """Return a compact JWS (RFC 7515 section 3.1) over ``claims``."""
        signed = _written_header(self.algorithm, self.kid, typ) + b"." + encoded(_to_json(claims).encode())
        return (signed + b"." + encoded(self.signs(signed))).decode("ascii")


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must say. ``leeway_seconds`` applies to exp, nbf and iat.

    ``audience`` must be among ``aud``. None: whoever takes the token judges it by the audiences that it names.
    """

    typ: str
    issuer: str
    audience: str | None
    leeway_seconds: int = 0


def verify(
    unverified_token: str,
    find_key: Callable[[str], VerificationKey | None],
    expected: Expected,
    now_seconds: float,
) -> VerifiedClaims:
    """Return the claims of a token that is exactly what is expected. Raises TokenRejected, and nothing else."""
    token = parted(unverified_token)
    header = _known_headers.get(token.header) or _header(token.header)
    key = find_key(header["kid"])
    if key is None:
        raise TokenRejected("unknown_key")
    if key.algorithm not in ALGORITHMS or header["alg"] != key.algorithm:
        raise TokenRejected("wrong_algorithm")
    # RFC 8725 section 3.11: the type keeps one kind of token from passing as another.
    if header["typ"] != expected.typ:
        raise TokenRejected("wrong_type")
    claims = json_object(_verified_payload(token, key))
    _keep_header(token.header, header)
    check_claims(claims, expected, now_seconds)
    return VerifiedClaims(claims)


def audiences_of(claims: Mapping[str, Any]) -> Sequence[Any]:
    """Return whom a token is for: ``aud`` is one or a list (RFC 7519 section 4.1.3)."""
    audience = claims.get("aud")
    return audience if isinstance(audience, list) else [audience]


def key_id(verified_token: str) -> str:
    """Return the ``kid`` of a token that has been verified."""
    part = verified_token.partition(".")[0].encode("ascii")
    return (_known_headers.get(part) or _header(part))["kid"]


def _header(part: bytes) -> dict[str, str]:
    header = json_object(decoded(part))
    if not header.keys() >= _HEADER_MEMBERS or any(type(header[name]) is not str for name in _HEADER_MEMBERS):
        raise TokenRejected("malformed")
    # jwk, jku, x5u, x5c, crit, b64 and what comes after them: no member steers verification but these three.
    if header.keys() - _HEADER_MEMBERS:
        raise TokenRejected("unexpected_header")
    return header


@lru_cache(_MOST_HEADERS)
def _written_header(algorithm: str, kid: str, typ: str) -> bytes:
    return encoded(_to_json({"alg": algorithm, "kid": kid, "typ": typ}).encode())


def _keep_header(part: bytes, header: dict[str, str]) -> None:
    if part in _known_headers:
        return
    if len(_known_headers) >= _MOST_HEADERS:
        _known_headers.clear()
    _known_headers[part] = header


def _verified_payload(token: Compact, key: VerificationKey) -> bytes:
    if not key.holds(decoded(token.signature), token.signed):
        raise TokenRejected("bad_signature")
    return decoded(token.payload)


def check_claims(claims: Mapping[str, Any], expected: Expected, now_seconds: float) -> None:
    """Hold claims to what is expected. Raises TokenRejected."""
    check_times(claims, expected.leeway_seconds, now_seconds)
    if claims.get("iss") != expected.issuer:
        raise TokenRejected("wrong_issuer")
    audiences = audiences_of(claims)
    if not audiences or not all(isinstance(each, str) for each in audiences):
        raise TokenRejected("wrong_audience")
    if expected.audience is not None and expected.audience not in audiences:
        raise TokenRejected("wrong_audience")
    if not isinstance(claims.get("sub"), str) or not claims["sub"]:
        raise TokenRejected("no_subject")


def check_times(claims: Mapping[str, Any], leeway_seconds: int, now_seconds: float) -> None:
    """Hold exp, which has to be there, and nbf to the time of day. Raises TokenRejected."""
    expires = numeric_date(claims, "exp")
    if expires + leeway_seconds <= now_seconds:
        raise TokenRejected("expired")
    if expires > now_seconds + _LONGEST_LIFETIME_SECONDS:
        raise TokenRejected("bad_expiry")
    if "nbf" in claims and numeric_date(claims, "nbf") > now_seconds + leeway_seconds:
        raise TokenRejected("not_yet_valid")


def numeric_date(claims: Mapping[str, Any], name: str) -> float:
    """Return a NumericDate (RFC 7519 section 2) that is a sane number."""
    value: Any = claims.get(name)
    # Compared, not converted: an integer of 400 digits has no float. NaN is within no bounds.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not -_LAST_SECOND <= value <= _LAST_SECOND:
        raise TokenRejected(f"bad_{name}")
    return float(value)
