"""Tokens for clients: access tokens (RFC 9068), refresh tokens and ID tokens (OpenID Connect Core 1.0 section 2)."""

from __future__ import annotations

import hashlib
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from gateway.clock import Clock
from gateway.oauth.audience import Audiences
from gateway.oauth.claims import claims_of
from gateway.oauth.scopes import OPENID
from gateway.oauth.state.client import Client
from gateway.oauth.state.families import Family
from gateway.oauth.subject import Subjects, sid
from gateway.policy.challenge import ONE_FACTOR, TWO_FACTORS, acr_of
from gateway.tokens.access import ACCESS_TYPE
from gateway.tokens.keys import SigningKeys
from gateway.tokens.sealed import SealedTokens

ID_TOKEN_TYPE: Final = "JWT"  # noqa: S105 - the name of a type, not a secret
ID_TOKEN_LIFETIME: Final = timedelta(minutes=15)
DEFAULT_ID_TOKEN_ALGORITHM: Final = "RS256"  # noqa: S105 - OpenID Connect Registration 1.0 section 2
ACR_VALUES: Final = frozenset({ONE_FACTOR, TWO_FACTORS})


@dataclass(frozen=True, slots=True)
class Issue:
    """What tokens are made of. ``refresh_jti`` names the refresh token that has been noted, when there is one."""

    client: Client
    scopes: tuple[str, ...]
    resources: tuple[str, ...]
    family: Family | None = None
    nonce: str | None = field(default=None, repr=False)
    refresh_jti: str | None = field(default=None, repr=False)
    code: str | None = field(default=None, repr=False)


class Issuing:
    """Signs what grants give out."""

    def __init__(
        self,
        keys: SigningKeys,
        refresh_tokens: SealedTokens,
        audiences: Audiences,
        subjects: Subjects,
        *,
        issuer: str,
        access_lifetime: timedelta,
        clock: Clock,
    ) -> None:
        self._keys = keys
        self._refresh_tokens = refresh_tokens
        self._audiences = audiences
        self._subjects = subjects
        self._issuer = issuer
        self._access_lifetime = access_lifetime
        self._clock = clock

    async def tokens(self, issue: Issue) -> dict[str, Any]:
        """Return the members of a successful answer (RFC 6749 section 5.1)."""
        answer = self.access_answer(issue)
        if issue.refresh_jti is not None and issue.family is not None:
            answer["refresh_token"] = self._refresh_token(issue.family, issue.refresh_jti)
        if OPENID in issue.scopes and issue.family is not None:
            answer["id_token"] = await self.id_token(issue, answer["access_token"])
        return answer

    def access_answer(self, issue: Issue) -> dict[str, Any]:
        """Return the members that tell about an access token."""
        access_token, expires_in = self.access_token(issue)
        return {
            "access_token": access_token,
            "token_type": "Bearer",
            "expires_in": expires_in,
            "scope": " ".join(issue.scopes),
        }

    def access_token(self, issue: Issue) -> tuple[str, int]:
        """Return an access token and for how many seconds it is good (RFC 9068 section 2.2)."""
        now, client = int(self._clock.now().timestamp()), issue.client
        lifetime = client.seconds("access_token_lifetime", self._access_lifetime)
        audiences = self._audiences.of(client, issue.scopes, issue.resources)
        claims: dict[str, Any] = {
            "iss": self._issuer,
            "aud": audiences[0] if len(audiences) == 1 else audiences,
            "sub": client.id if issue.family is None else self._subjects.sub(client, issue.family.user.id),
            "client_id": client.id,
            "iat": now,
            "exp": now + lifetime,
            "jti": secrets.token_urlsafe(16),
            "scope": " ".join(issue.scopes),
        }
        if issue.family is not None:
            claims |= {"sid": issue.family.id, **_authenticated(issue.family)}
        return self._keys.sign(claims, ACCESS_TYPE), lifetime

    async def id_token(self, issue: Issue, access_token: str | None = None) -> str:
        """Return an ID token for the client, signed as it expects."""
        client, family = issue.client, issue.family
        if family is None:
            raise ValueError("an ID token speaks of a person")
        algorithm = id_token_algorithm(client)
        now = int(self._clock.now().timestamp())
        requested = (family.granted.claims or {}).get("id_token")
        claims: dict[str, Any] = {
            # Also what userinfo would say (section 5.4): many applications look nowhere else.
            **claims_of(family.user, issue.scopes, requested),
            "iss": self._issuer,
            "sub": self._subjects.sub(client, family.user.id),
            "aud": client.id,
            "azp": client.id,
            "iat": now,
            "exp": now + int(ID_TOKEN_LIFETIME.total_seconds()),
            **_authenticated(family),
        }
        if issue.nonce is not None:
            claims["nonce"] = issue.nonce
        if family.granted.login_id is not None:
            claims["sid"] = sid(family.granted.login_id, client.id)
        for name, value in (("at_hash", access_token), ("c_hash", issue.code)):
            if value is not None:
                claims[name] = half_hash(value, algorithm)
        await self._keys.prepare(algorithm)
        return self._keys.sign(claims, ID_TOKEN_TYPE, algorithm)

    def _refresh_token(self, family: Family, jti: str) -> str:
        claims = {
            "sub": family.id,  # the family: the client may not know the account by more than one name
            "client_id": family.granted.client_id,
            "iat": int(self._clock.now().timestamp()),
            "exp": int(family.granted.expires_at.timestamp()),
            "jti": jti,
        }
        return self._refresh_tokens.seal(claims)


def id_token_algorithm(client: Client) -> str:
    """Return how tokens that only the client reads are signed."""
    return str(client.metadata.get("id_token_signed_response_alg", DEFAULT_ID_TOKEN_ALGORITHM))


def half_hash(value: str, algorithm: str) -> str:
    """Return the left half of a value's hash (section 3.1.3.6). Ed25519 signs with SHA-512, the others with SHA-256."""
    digest = hashlib.new("sha512" if algorithm == "EdDSA" else "sha256", value.encode("ascii")).digest()
    return urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=").decode()


def _authenticated(family: Family) -> Mapping[str, str | int | Sequence[str]]:
    granted = family.granted
    return {
        "auth_time": int(granted.authenticated_at.timestamp()),
        "amr": list(granted.methods),
        "acr": granted.acr or acr_of(granted.methods),
    }
