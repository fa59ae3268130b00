"""A key and tokens for those that verify a JWT of somebody else."""

from __future__ import annotations

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

from jwcrypto import jwk, jwt

ISSUER = "https://issuer.example.com"
AUDIENCE = "bench"


@dataclass(frozen=True)
class Issuer:
    """A signing key, a token by it, and the same token with another signature."""

    key: Any
    token: str
    name: str = ISSUER
    audience: str = AUDIENCE

    @classmethod
    def make(cls, algorithm: str = "ES256") -> Issuer:
        if algorithm == "ES256":
            key = jwk.JWK.generate(kty="EC", crv="P-256", kid="bench", use="sig", alg=algorithm)
        else:
            key = jwk.JWK.generate(kty="RSA", size=2048, kid="bench", use="sig", alg=algorithm)
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "5a1ce4b1-95b5-4b0a-8f5e-6a1b2c3d4e5f",
            "email": "ann@example.com",
            "email_verified": True,
            "roles": ["user"],
            "iat": now,
            "exp": now + 86400,
        }
        token = jwt.JWT(header={"alg": algorithm, "kid": "bench", "typ": "JWT"}, claims=claims)
        token.make_signed_token(key)
        return cls(key, token.serialize())

    @property
    def jwks(self) -> str:
        return json.dumps({"keys": [json.loads(self.key.export_public())]})

    @property
    def public_pem(self) -> bytes:
        pem: bytes = self.key.export_to_pem()
        return pem


def forged(token: str) -> str:
    """Return a JWT with a signature of the right length that is not right."""
    head, _, signature = token.rpartition(".")
    length = len(base64.urlsafe_b64decode(signature + "=="))
    return f"{head}.{base64.urlsafe_b64encode(bytes([7]) * length).rstrip(b'=').decode()}"
