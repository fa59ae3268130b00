"""An authenticator in software: makes passkeys and signs with them, right or wrong in one thing as a test says."""

from __future__ import annotations

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256

PRESENT, VERIFIED, ELIGIBLE, BACKED_UP, ATTESTED = 0x01, 0x04, 0x08, 0x10, 0x40
PrivateKey = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def b64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def unb64(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def new_key(algorithm: int = -7) -> PrivateKey:
    if algorithm == -8:
        return ed25519.Ed25519PrivateKey.generate()
    if algorithm == -257:
        return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class Wrong:
    """What an answer says instead of the truth."""

    origin: str | None = None
    rp_id: str | None = None
    challenge: bytes | None = None
    kind: str | None = None
    flags: int | None = None
    count: int | None = None
    handle: bytes | None = None
    no_handle: bool = False
    client_data: dict[str, Any] = field(default_factory=dict)
    tampered: bool = False


@dataclass
class SoftPasskey:
    """One passkey. ``flags`` are what it says of itself, beside being attested."""

    origin: str
    rp_id: str = "localhost"
    algorithm: int = -7
    flags: int = PRESENT | VERIFIED
    count: int = 0
    credential_id: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    handle: bytes = b""

    def __post_init__(self) -> None:
        self.key = new_key(self.algorithm)

    def create(self, options: dict[str, Any], wrong: Wrong | None = None) -> dict[str, Any]:
        """Answer ``navigator.credentials.create``."""
        wrong = wrong or Wrong()
        self.handle = unb64(options["user"]["id"])
        attested = (
            bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + cbor2.dumps(self._cose())
        )
        data = self._data(wrong, ATTESTED) + attested
        said = self._client_data("webauthn.create", options, wrong)
        attestation = cbor2.dumps({"fmt": "none", "attStmt": {}, "authData": data})
        response = {
            "clientDataJSON": b64(said),
            "attestationObject": b64(attestation),
            "transports": ["internal", "odd"],
        }
        return self._answer(response) | {"clientExtensionResults": {"credProps": {"rk": True}}}

    def get(self, options: dict[str, Any], wrong: Wrong | None = None) -> dict[str, Any]:
        """Answer ``navigator.credentials.get``."""
        wrong = wrong or Wrong()
        data = self._data(wrong, 0)
        said = self._client_data("webauthn.get", options, wrong)
        signature = self._sign(data + sha256(said).digest())
        if wrong.tampered:
            signature = signature[:-1] + bytes([signature[-1] ^ 1])
        handle = None if wrong.no_handle else b64(wrong.handle or self.handle)
        return self._answer(
            {
                "clientDataJSON": b64(said),
                "authenticatorData": b64(data),
                "signature": b64(signature),
                "userHandle": handle,
            }
        )

    def _answer(self, response: dict[str, Any]) -> dict[str, Any]:
        name = b64(self.credential_id)
        return {"id": name, "rawId": name, "type": "public-key", "response": response, "clientExtensionResults": {}}

    def _data(self, wrong: Wrong, more: int) -> bytes:
        flags = self.flags if wrong.flags is None else wrong.flags
        count = self.count if wrong.count is None else wrong.count
        rp_id = wrong.rp_id or self.rp_id
        return sha256(rp_id.encode()).digest() + bytes([flags | more]) + count.to_bytes(4, "big")

    def _client_data(self, kind: str, options: dict[str, Any], wrong: Wrong) -> bytes:
        challenge = options["challenge"] if wrong.challenge is None else b64(wrong.challenge)
        said = {"type": wrong.kind or kind, "challenge": challenge, "origin": wrong.origin or self.origin}
        return json.dumps({**said, "crossOrigin": False, **wrong.client_data}).encode()

    def _sign(self, message: bytes) -> bytes:
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            return self.key.sign(message, ec.ECDSA(SHA256()))
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(message, padding.PKCS1v15(), SHA256())
        return self.key.sign(message)

    def _cose(self) -> dict[int, Any]:
        if isinstance(self.key, ec.EllipticCurvePrivateKey):
            point = self.key.public_key().public_numbers()
            return {1: 2, 3: self.algorithm, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}
        if isinstance(self.key, rsa.RSAPrivateKey):
            numbers = self.key.public_key().public_numbers()
            return {1: 3, 3: self.algorithm, -1: numbers.n.to_bytes(256, "big"), -2: numbers.e.to_bytes(3, "big")}
        return {1: 1, 3: self.algorithm, -1: 6, -2: self.key.public_key().public_bytes_raw()}
