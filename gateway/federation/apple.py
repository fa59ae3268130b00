"""Apple's client secret: a JWT that we sign with the key that Apple gave us, good for minutes."""

from __future__ import annotations

from typing import Final

from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from gateway.federation.profile import FederationRefused
from gateway.federation.provider import Provider
from gateway.tokens.jwt import PrivateKey

_LIFETIME_SECONDS: Final = 300


def apple_secret(provider: Provider, now_seconds: float) -> str:
    """Return a secret for the token endpoint. Raises FederationRefused when the key is none."""
    try:
        key = JWK.from_pem(provider.secret.encode())
        signing = PrivateKey(provider.settings.key_id or "", "ES256", key)
    except (JWException, ValueError, TypeError) as error:
        raise FederationRefused("misconfigured", "client_secret_file is no private key of Apple's") from error
    claims = {
        "iss": provider.settings.team_id,
        "iat": int(now_seconds),
        "exp": int(now_seconds) + _LIFETIME_SECONDS,
        "aud": provider.facts.issuer,
        "sub": provider.settings.client_id,
    }
    return signing.sign(claims, "JWT")
