"""A token that a client shows us: what it is, whose, and whether it is still good."""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.clock import Clock
from gateway.errors import TokenRejected
from gateway.oauth.audience import opens_routes
from gateway.oauth.state.client import Client
from gateway.oauth.state.client_tokens import would_get
from gateway.oauth.state.clients import Clients
from gateway.oauth.state.families import Families, Family
from gateway.oauth.state.revoked import RevokedTokens
from gateway.tokens.access import ACCESS_TYPE
from gateway.tokens.compact import decoded, json_object, parted
from gateway.tokens.jwt import Expected, VerifiedClaims, verify
from gateway.tokens.keys import SigningKeys
from gateway.tokens.refresh import REFRESH_TYPE
from gateway.tokens.sealed import SealedTokens


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A token of a client, signed by us and not expired. ``family`` is None where no person granted it."""

    typ: str
    client_id: str
    claims: VerifiedClaims = field(repr=False)
    family_id: str | None
    family: Family | None = field(repr=False)
    is_active: bool

    @property
    def is_refresh(self) -> bool:
        return self.typ == REFRESH_TYPE


class PresentedTokens:
    """Reads tokens, whoever they are for: only their clients are told anything about them."""

    def __init__(
        self,
        keys: SigningKeys,
        refresh_tokens: SealedTokens,
        clients: Clients,
        families: Families,
        revoked: RevokedTokens,
        *,
        issuer: str,
        clock: Clock,
    ) -> None:
        self._keys = keys
        self._refresh_tokens = refresh_tokens
        self._clients = clients
        self._families = families
        self._revoked = revoked
        self._issuer = issuer
        self._clock = clock

    async def find(self, unverified: str) -> PresentedToken | None:
        """Return a client's token; None for what is not one, or has expired. Raises StorageError."""
        found = self._verified(unverified)
        if found is None:
            return None
        typ, claims = found
        client_id, jti = claims.get("client_id"), claims.get("jti")
        if not isinstance(client_id, str) or not isinstance(jti, str):
            return None
        named = claims["sub"] if typ == REFRESH_TYPE else claims.get("sid")
        family_id = named if isinstance(named, str) else None
        client = await self._clients.find(client_id)
        if family_id is None:
            active, family = client is not None and _would_get(client, claims), None
            active = active and not await self._revoked.knows(jti)
        else:
            family = await self._families.find(family_id)
            active = family is not None and family.granted.client_id == client_id
            if typ == REFRESH_TYPE and active:
                current = await self._families.of_refresh_token(jti, client_id)
                active = current is not None and not current[1]
        return PresentedToken(typ, client_id, claims, family_id, family, active and client is not None)

    def _verified(self, unverified: str) -> tuple[str, VerifiedClaims] | None:
        try:
            return REFRESH_TYPE, self._refresh_tokens.open(unverified)
        except TokenRejected as error:
            if error.reason != "wrong_type":
                return None
        now = self._clock.now().timestamp()
        try:
            audience = json_object(decoded(parted(unverified).payload)).get("aud")
            # Its own word: whom it is for is the business of those who take it.
            first = audience[0] if isinstance(audience, list) and audience else audience
            if not isinstance(first, str):
                return None
            return ACCESS_TYPE, verify(unverified, self._keys.find, Expected(ACCESS_TYPE, self._issuer, first), now)
        except TokenRejected:
            return None


def _would_get(client: Client, claims: VerifiedClaims) -> bool:
    itself = "client_credentials" in client.grant_types
    return would_get(claims, client.scopes, itself=itself, routes=opens_routes(client))
