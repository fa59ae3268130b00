"""Signing out reaches across: from a provider to the sessions that rest on it, and from a session to its provider.

OpenID Connect Back-Channel Logout 1.0 section 2, RP-Initiated Logout 1.0.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from typing import Any, Final
from urllib.parse import urlencode
from uuid import UUID

from gateway.accounts.sessions import Sessions
from gateway.clock import Clock
from gateway.errors import TokenRejected
from gateway.federation.discovery import Discoveries, IssuerUnknown, Metadata
from gateway.federation.foreign import LOGOUT_TYPES, ForeignExpected, verify
from gateway.federation.key_sets import KeySets
from gateway.federation.profile import FederationRefused
from gateway.federation.provider import Provider
from gateway.storage.database import Database
from gateway.storage.statements import statements

_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
_LONGEST: Final = 255
_SQL: Final = statements("external_session")


class ExternalSessions:
    """Ends what rests on a login elsewhere, and tells where to end that."""

    def __init__(
        self, database: Database, sessions: Sessions, discoveries: Discoveries, key_sets: KeySets, clock: Clock
    ) -> None:
        self._database = database
        self._sessions = sessions
        self._discoveries = discoveries
        self._key_sets = key_sets
        self._clock = clock

    async def end_by(self, provider: Provider, unverified_token: str) -> int:
        """Take a logout token of a provider. Returns how many logins have ended. Raises FederationRefused."""
        metadata = await self._metadata(provider)
        find = partial(self._key_sets.find, metadata.jwks_uri or "", internal=provider.settings.allow_private)
        expected = ForeignExpected(
            metadata.issuer,
            frozenset({provider.settings.client_id}),
            metadata.algorithms,
            types=LOGOUT_TYPES,
            requires_subject=False,
        )
        try:
            claims = await verify(unverified_token, expected, find, self._clock.now().timestamp())
        except TokenRejected as error:
            raise FederationRefused("logout_token_refused", error.reason) from error
        subject, session = _whose(claims)
        await self._take_once(claims)
        rows = await self._database.fetch(_SQL["resting"], claims["iss"], subject, session)
        for row in rows:
            await self._sessions.revoke_login(str(row["login_id"]))
        return len(rows)

    async def provider_of(self, login_id: str) -> str | None:
        """Return the name of the provider that a login rests on."""
        name: str | None = await self._database.fetchval(_SQL["provider_of"], UUID(login_id))
        return name

    async def end_there(self, provider: Provider, back_to: str) -> str | None:
        """Return where a browser ends its login at a provider too, and comes back from; None where it cannot."""
        try:
            metadata = await self._metadata(provider)
        except FederationRefused:
            return None
        where = metadata.end_session_endpoint
        if not provider.settings.logout or where is None:
            return None
        asked = {"client_id": provider.settings.client_id, "post_logout_redirect_uri": back_to}
        return where + ("&" if "?" in where else "?") + urlencode(asked)

    async def forget_old(self) -> int:
        """Delete a batch of what is over. Returns how many."""
        return await self._database.execute(_SQL["forget"], self._clock.now())

    async def _metadata(self, provider: Provider) -> Metadata:
        facts = provider.facts
        if not facts.is_oidc:
            raise FederationRefused("logout_token_refused", "it does not speak OpenID Connect")
        try:
            return await self._discoveries.of(
                facts.issuer, internal=provider.settings.allow_private, url=facts.metadata_url or None
            )
        except IssuerUnknown as error:
            raise FederationRefused("provider_down", "its metadata cannot be had") from error

    async def _take_once(self, claims: Mapping[str, Any]) -> None:
        """Refuse a token that was taken before (section 2.6, step 8)."""
        token_id = claims.get("jti")
        if not isinstance(token_id, str) or not 0 < len(token_id) <= _LONGEST:
            raise FederationRefused("logout_token_refused", "no jti")
        digest = sha256(f"{claims['iss']}\0{token_id}".encode("utf-8", "surrogatepass")).digest()
        until = datetime.fromtimestamp(float(claims["exp"]) + 60, UTC)
        if await self._database.fetchval(_SQL["use_token"], digest, until) is None:
            raise FederationRefused("logout_token_refused", "taken before")


def _whose(claims: Mapping[str, Any]) -> tuple[str, str]:
    """Return subject and session of a logout token (section 2.4); one may be empty. Raises FederationRefused."""
    events = claims.get("events")
    if not isinstance(events, Mapping) or not isinstance(events.get(_EVENT), Mapping):
        raise FederationRefused("logout_token_refused", "no logout event")
    # Or an ID token could be one.
    if "nonce" in claims:
        raise FederationRefused("logout_token_refused", "it has a nonce")
    subject, session = claims.get("sub", ""), claims.get("sid", "")
    if not isinstance(subject, str) or not isinstance(session, str) or not (subject or session):
        raise FederationRefused("logout_token_refused", "neither subject nor session")
    return subject, session
