"""Signatures of others: more algorithms than we sign with ourselves, all of them asymmetric (RFC 8725 section 3.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm
from jwcrypto.jwk import JWK

from gateway.tokens.signature import Holds, verifier

Make = Callable[[object, str], Holds]


@dataclass(frozen=True, slots=True)
class _Algorithm:
    """What a key has to be, and the hash. ``curve`` is None for RSA."""

    kty: str
    curve: str | None
    hashed: type[HashAlgorithm]


# RFC 7518 section 3.1, RFC 8037 section 3.1. Ours among them are judged by gateway.tokens.signature.
_TABLE: Final[Mapping[str, _Algorithm]] = {
    "RS256": _Algorithm("RSA", None, SHA256),
    "RS384": _Algorithm("RSA", None, SHA384),
    "RS512": _Algorithm("RSA", None, SHA512),
    "PS256": _Algorithm("RSA", None, SHA256),
    "PS384": _Algorithm("RSA", None, SHA384),
    "PS512": _Algorithm("RSA", None, SHA512),
    "ES256": _Algorithm("EC", "P-256", SHA256),
    "ES384": _Algorithm("EC", "P-384", SHA384),
    "ES512": _Algorithm("EC", "P-521", SHA512),
    "EdDSA": _Algorithm("OKP", "Ed25519", SHA512),
}
ALGORITHMS: Final = frozenset(_TABLE)
CURVES: Final = frozenset(each.curve for each in _TABLE.values() if each.curve is not None)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A public key that somebody else publishes, for one algorithm only. ``kid`` is "" where it has none."""

    kid: str
    algorithm: str
    holds: Holds = field(repr=False, compare=False)


def foreign_key(published: Mapping[str, str], algorithm: str) -> ForeignKey | None:
    """Return a key of a checked set for ``algorithm``; None when it is not for that one (RFC 7517 section 4.4)."""
    rule = _TABLE.get(algorithm)
    if rule is None or published.get("alg", algorithm) != algorithm:
        return None
    if published["kty"] != rule.kty or (rule.curve is not None and published.get("crv") != rule.curve):
        return None
    key = JWK(**{name: text for name, text in published.items() if name not in {"alg", "use"}})
    return ForeignKey(published.get("kid", ""), algorithm, _holds(key, algorithm, rule))


def _holds(key: JWK, algorithm: str, rule: _Algorithm) -> Holds:
    public = key.get_op_key("verify")
    if isinstance(public, RSAPublicKey) and algorithm != "RS256":
        return _rsa(public, algorithm, rule.hashed())
    if isinstance(public, ec.EllipticCurvePublicKey) and algorithm != "ES256":
        return _ecdsa(public, rule.hashed())
    return verifier(key, algorithm)


def _rsa(public: RSAPublicKey, algorithm: str, hashed: HashAlgorithm) -> Holds:
    # RFC 7518 section 3.5: the salt is as long as the hash.
    pss = padding.PSS(padding.MGF1(hashed), hashed.digest_size)
    scheme = pss if algorithm.startswith("PS") else padding.PKCS1v15()
    length = (public.key_size + 7) // 8

    def holds(signature: bytes, signed: bytes) -> bool:
        if len(signature) != length:
            return False
        try:
            public.verify(signature, signed, scheme, hashed)
        except InvalidSignature:
            return False
        return True

    return holds


def _ecdsa(public: ec.EllipticCurvePublicKey, hashed: HashAlgorithm) -> Holds:
    half = (public.key_size + 7) // 8  # RFC 7518 section 3.4
    scheme = ec.ECDSA(hashed)

    def holds(signature: bytes, signed: bytes) -> bool:
        if len(signature) != 2 * half:
            return False
        r, s = int.from_bytes(signature[:half], "big"), int.from_bytes(signature[half:], "big")
        try:
            public.verify(utils.encode_dss_signature(r, s), signed, scheme)
        except InvalidSignature:
            return False
        return True

    return holds
