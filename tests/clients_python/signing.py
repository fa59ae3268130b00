"""What a gateway signs, and what somebody signs who would be taken for one."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import generate_private_key as ec_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as rsa_key

from gateway_client import KeysUnavailable, Verifier
from gateway_client.keys import Keys

ISSUER = "https://auth.example.com"
AUDIENCE = "wiki"
PRIVATE: dict[str, Any] = {
    "EdDSA": Ed25519PrivateKey.generate(),
    "ES256": ec_key(SECP256R1()),
    "RS256": rsa_key(65537, 2048),
}
STRANGER = Ed25519PrivateKey.generate()


def public_jwk(algorithm: str, kid: str = "") -> dict[str, Any]:
    public = PRIVATE[algorithm].public_key()
    jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)
    return {**jwk, "kid": kid or algorithm, "alg": algorithm, "use": "sig"}


def key_set(*keys: dict[str, Any]) -> bytes:
    return json.dumps({"keys": keys or [public_jwk(each) for each in PRIVATE]}).encode()


def claims(**changes: Any) -> dict[str, Any]:
    """Return what a gateway says; a change to None leaves a claim out."""
    now = int(time.time())
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "acc_1",
        "preferred_username": "ann",
        "email": "ann@example.com",
        "roles": ["staff", "user"],
        "iat": now,
        "exp": now + 300,
        "jti": "x",
        "auth_time": now - 60,
        "amr": ["pwd"],
        **changes,
    }
    return {name: value for name, value in usual.items() if value is not None}


def assertion(
    algorithm: str = "EdDSA", *, key: Any = None, header: dict[str, Any] | None = None, **changes: Any
) -> str:
    fields = {"kid": algorithm, "typ": "gateway-assertion+jwt", **(header or {})}
    return jwt.encode(claims(**changes), PRIVATE[algorithm] if key is None else key, algorithm, headers=fields)


@dataclass
class Published:
    """The gateway's address of its keys; it counts who asks."""

    content: bytes = field(default_factory=key_set)
    asked: int = 0
    down: bool = False

    def __call__(self) -> bytes:
        self.asked += 1
        if self.down:
            raise KeysUnavailable("down")
        return self.content


@dataclass
class Seconds:
    """A clock that a test sets."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


def verifier(published: Published | None = None, clock: Seconds | None = None) -> Verifier:
    return Verifier(ISSUER, AUDIENCE, keys=Keys(published or Published(), clock or Seconds()))
