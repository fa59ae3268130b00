"""Tokens as other issuers sign them, and as attackers write them."""

from __future__ import annotations

import json
from typing import Any

from jwcrypto.common import base64url_encode
from jwcrypto.jwk import JWK
from jwcrypto.jws import JWS

EC = JWK.generate(kty="EC", crv="P-256", kid="ec")
P384 = JWK.generate(kty="EC", crv="P-384", kid="p384")
P521 = JWK.generate(kty="EC", crv="P-521", kid="p521")
RSA = JWK.generate(kty="RSA", size=2048, kid="rsa")
ED = JWK.generate(kty="OKP", crv="Ed25519", kid="ed")
BY_ALGORITHM = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), RSA),
    "ES256": EC,
    "ES384": P384,
    "ES512": P521,
    "EdDSA": ED,
}


def public(key: JWK, **more: Any) -> dict[str, Any]:
    return {**key.export_public(as_dict=True), **more}


def sign(claims: Any, key: JWK, algorithm: str, *, kid: str | None = "", **header: Any) -> str:
    """Return a compact JWS. ``kid`` is the key's own unless given; None leaves it out."""
    named = {} if kid is None else {"kid": kid or key["kid"]}
    signature = JWS(json.dumps(claims))
    signature.allowed_algs = [algorithm]
    protected = {"alg": algorithm, **named, **{name: value for name, value in header.items() if name != "crit"}}
    signature.add_signature(key, None, json.dumps(protected), None)
    return str(signature.serialize(compact=True))


def assembled(header: Any, claims: Any, signature: bytes = b"") -> str:
    """Return a token of these parts, whatever they are."""
    return ".".join(
        (base64url_encode(json.dumps(header)), base64url_encode(json.dumps(claims)), base64url_encode(signature))
    )
