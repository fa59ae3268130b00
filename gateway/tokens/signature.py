"""Signatures, made and judged by `cryptography` directly: RFC 7515 section 5.1 step 5 and section 5.2 step 8.

jwcrypto spends more around the primitive than the primitive costs. What a key may do is still read by jwcrypto, once
for each key; `tests/tokens/test_tokens_differential.py` holds both to the same answers.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, utils
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from jwcrypto.jwk import JWK

# Takes the signature and the bytes that were signed.
Holds = Callable[[bytes, bytes], bool]
# Takes the bytes to sign.
Signs = Callable[[bytes], bytes]

_HALF: Final = 32
_ECDSA_BYTES: Final = 64  # RFC 7518 section 3.4
_EDDSA_BYTES: Final = 64  # RFC 8037 section 3.1, for Ed25519
# hashlib's SHA-256 is begun faster than the one inside `cryptography`.
_PREHASHED: Final = utils.Prehashed(SHA256())
_ECDSA: Final = ec.ECDSA(_PREHASHED)
_PKCS1: Final = padding.PKCS1v15()


def verifier(key: JWK, algorithm: str) -> Holds:
    """Return what tells whether a signature by ``key`` is good, for this algorithm and no other.

    A key that is not of the algorithm's type and curve, or not meant for signatures (RFC 7517 sections 4.2 and 4.3),
    holds for nothing.
    """
    make = _MAKERS.get(algorithm)
    if make is None:
        return _never
    try:
        public = key.get_op_key("verify")
    except Exception:  # jwcrypto raises whatever its parts raise; such a key verifies nothing
        return _never
    return make(public)


def signer(key: JWK, algorithm: str) -> Signs:
    """Return what signs with ``key``, by this algorithm and no other.

    Raises TypeError or KeyError for a key that is not the private one of the algorithm's type and curve, and what
    jwcrypto raises for one that is not meant for signing: such keys never come from the vault.
    """
    return _SIGNERS[algorithm](key.get_op_key("sign"))


def _never(_signature: bytes, _signed: bytes) -> bool:
    return False


def _es256(key: object) -> Holds:
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        return _never
    check = key.verify

    def holds(signature: bytes, signed: bytes) -> bool:
        # Exactly two halves: zeros before r and s would be another spelling of the same signature.
        if len(signature) != _ECDSA_BYTES:
            return False
        r, s = int.from_bytes(signature[:_HALF], "big"), int.from_bytes(signature[_HALF:], "big")
        try:
            check(utils.encode_dss_signature(r, s), sha256(signed).digest(), _ECDSA)
        except InvalidSignature:
            return False
        return True

    return holds


def _rs256(key: object) -> Holds:
    if not isinstance(key, RSAPublicKey):
        return _never
    check, length = key.verify, (key.key_size + 7) // 8

    def holds(signature: bytes, signed: bytes) -> bool:
        if len(signature) != length:  # RFC 8017 section 8.2.2 step 1
            return False
        try:
            check(signature, sha256(signed).digest(), _PKCS1, _PREHASHED)
        except InvalidSignature:
            return False
        return True

    return holds


def _eddsa(key: object) -> Holds:
    if not isinstance(key, Ed25519PublicKey):
        return _never
    check = key.verify

    def holds(signature: bytes, signed: bytes) -> bool:
        if len(signature) != _EDDSA_BYTES:
            return False
        try:
            check(signature, signed)
        except InvalidSignature:
            return False
        return True

    return holds


# RFC 8725 section 3.1: asymmetric algorithms only; nothing here ever verifies with a shared secret.
_MAKERS: Final[dict[str, Callable[[object], Holds]]] = {"ES256": _es256, "RS256": _rs256, "EdDSA": _eddsa}
ALGORITHMS: Final = frozenset(_MAKERS)


def _sign_es256(key: object) -> Signs:
    if not isinstance(key, ec.EllipticCurvePrivateKey) or not isinstance(key.curve, ec.SECP256R1):
        raise TypeError("ES256 signs with a private key on P-256")
    make = key.sign

    def signs(content: bytes) -> bytes:
        r, s = utils.decode_dss_signature(make(sha256(content).digest(), _ECDSA))
        return r.to_bytes(_HALF, "big") + s.to_bytes(_HALF, "big")

    return signs


def _sign_rs256(key: object) -> Signs:
    if not isinstance(key, RSAPrivateKey):
        raise TypeError("RS256 signs with an RSA private key")
    make = key.sign

    def signs(content: bytes) -> bytes:
        return make(sha256(content).digest(), _PKCS1, _PREHASHED)

    return signs


def _sign_eddsa(key: object) -> Signs:
    if not isinstance(key, Ed25519PrivateKey):
        raise TypeError("EdDSA signs with an Ed25519 private key")
    return key.sign


_SIGNERS: Final[dict[str, Callable[[object], Signs]]] = {
    "ES256": _sign_es256,
    "RS256": _sign_rs256,
    "EdDSA": _sign_eddsa,
}
