"""Clients that authenticate with a signature: ``private_key_jwt`` (RFC 7523 section 3, OpenID Connect Core 9)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, Protocol

from jwcrypto.common import JWException
from jwcrypto.jwk import JWK

from gateway.clock import Clock
from gateway.errors import TokenRejected
from gateway.oauth.state.client import Client
from gateway.oauth.state.families import token_hash
from gateway.storage.database import Database
from gateway.storage.statements import statements
from gateway.tokens.compact import Compact, decoded, json_object, parted
from gateway.tokens.signature import ALGORITHMS, verifier

ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LONGEST_LIFETIME: Final = timedelta(hours=1)  # what Authlib's clients make theirs good for
_LEEWAY_SECONDS: Final = 30  # the client's clock is not ours
_MOST_KEYS: Final = 20
_LONGEST_JTI: Final = 255
_KEY_TYPES: Final = {"ES256": "EC", "RS256": "RSA", "EdDSA": "OKP"}
_SQL: Final = statements("client_assertion")


class ClientKeys(Protocol):
    """Finds the public keys of a client."""

    async def of(self, client: Client) -> Iterable[Mapping[str, Any]]:
        """Return its JWKs; none when they cannot be had."""
        ...


class ClientAssertions:
    """Verifies assertions. ``audiences`` are the names under which a client may know this server."""

    def __init__(self, database: Database, keys: ClientKeys, audiences: Collection[str], clock: Clock) -> None:
        self._database = database
        self._keys = keys
        self._audiences = frozenset(audiences)
        self._clock = clock

    def unverified_client_id(self, unverified: str) -> str:
        """Return whom an assertion claims to be from; empty when it says nothing that can be read."""
        try:
            subject = json_object(decoded(parted(unverified).payload)).get("sub")
        except TokenRejected:
            return ""
        return subject if isinstance(subject, str) else ""

    async def holds(self, client: Client, unverified: str) -> bool:
        """Tell whether an assertion is the client's, for us, of now, and new. Raises StorageError."""
        try:
            token = parted(unverified)
            header = json_object(decoded(token.header))
            # OpenID Connect Registration 1.0 section 2: by the one algorithm that it is registered for, if any.
            expected = client.metadata.get("token_endpoint_auth_signing_alg", header.get("alg"))
            if header.get("alg") != expected or not _is_signed(token, header, await self._keys.of(client)):
                return False
            claims = json_object(decoded(token.payload))
        except TokenRejected:
            return False
        now = self._clock.now()
        if not self._fits(client, claims, now.timestamp()):
            return False
        # Until after the time at which it is refused for its age.
        kept_until = now + _LONGEST_LIFETIME + timedelta(seconds=2 * _LEEWAY_SECONDS)
        key = token_hash(f"{client.id}\0{claims['jti']}")
        return await self._database.fetchval(_SQL["use"], key, kept_until) is not None

    async def forget_expired(self) -> int:
        """Delete a batch of assertions that are too old to come again. Returns how many."""
        return await self._database.execute(_SQL["forget_expired"], self._clock.now())

    def _fits(self, client: Client, claims: Mapping[str, Any], now: float) -> bool:
        audience = claims.get("aud")
        audiences = audience if isinstance(audience, list) else [audience]
        jti, longest = claims.get("jti"), _LONGEST_LIFETIME.total_seconds() + _LEEWAY_SECONDS
        return (
            claims.get("iss") == client.id
            and claims.get("sub") == client.id
            # One audience: an assertion that is good for another server, too, could come from there (RFC 7523bis).
            and len(audiences) == 1
            and isinstance(audiences[0], str)
            and audiences[0] in self._audiences
            and isinstance(jti, str)
            and 0 < len(jti) <= _LONGEST_JTI
            and _within(claims.get("exp"), now - _LEEWAY_SECONDS, now + longest)
            and ("nbf" not in claims or _within(claims["nbf"], 0, now + _LEEWAY_SECONDS))
            and ("iat" not in claims or _within(claims["iat"], now - longest, now + _LEEWAY_SECONDS))
        )


def _is_signed(token: Compact, header: Mapping[str, Any], keys: Iterable[Mapping[str, Any]]) -> bool:
    """Tell whether one of the client's keys has signed. Nothing in the header brings a key of its own."""
    algorithm, kid = header.get("alg"), header.get("kid")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS or "crit" in header:
        return False
    fitting = [key for key in keys if _may_sign(key, algorithm, kid)][:_MOST_KEYS]
    signature = decoded(token.signature)
    return any(_holds(key, algorithm, signature, token.signed) for key in fitting)


def _may_sign(key: Mapping[str, Any], algorithm: str, kid: object) -> bool:
    return (
        key.get("kty") == _KEY_TYPES[algorithm]
        and key.get("alg", algorithm) == algorithm
        and key.get("use", "sig") == "sig"
        and (kid is None or "kid" not in key or key["kid"] == kid)
    )


def _holds(key: Mapping[str, Any], algorithm: str, signature: bytes, signed: bytes) -> bool:
    try:
        return verifier(JWK(**key), algorithm)(signature, signed)
    except (JWException, ValueError, TypeError):
        return False


def _within(value: object, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
