"""One authenticator for each kind of credential: from what is presented to who it stands for."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

from gateway.accounts.api_tokens import ApiTokens
from gateway.accounts.sessions import Session, Sessions
from gateway.accounts.users import Users
from gateway.clock import Clock
from gateway.config.server import ClientCertificates
from gateway.errors import CredentialRejected
from gateway.identity.basic import BasicLogins
from gateway.identity.bearers import Bearers
from gateway.identity.certificate import certified_name
from gateway.identity.foreigners import Foreigners
from gateway.identity.identity import CredentialKind, Identity
from gateway.identity.memory import Memory
from gateway.identity.presented import Presented
from gateway.identity.verified import KEPT_SECONDS, Verified, roles_of
from gateway.oauth.state.client_tokens import ClientTokens
from gateway.tokens.access import AccessTokens
from gateway.tokens.refresh import RefreshTokens

# Activity is noted at a verification, so a session is verified this many times before it would end by idleness.
_NOTED_PER_IDLE_TIME: Final = 10

_PROVEN_BY_KEY: Final = ("swk",)  # RFC 8176 section 2; that it is in hardware cannot be told

Authenticate = Callable[[Presented, str], Awaitable[Verified]]


@dataclass(frozen=True, slots=True)
class Authenticators:
    """Asks the part of the program that knows about each kind."""

    sessions: Sessions
    access_tokens: AccessTokens
    refresh_tokens: RefreshTokens
    client_tokens: ClientTokens
    api_tokens: ApiTokens
    users: Users
    client_certificates: ClientCertificates
    clock: Clock
    foreigners: Foreigners | None = None
    basic: BasicLogins | None = None

    def table(self, memory: Memory) -> Mapping[CredentialKind, Authenticate]:
        """Return who answers for each kind. A kind without an answer is never accepted."""
        basic = {} if self.basic is None else {CredentialKind.BASIC: self.basic}
        bearers = Bearers(self.access_tokens, self.refresh_tokens, self.client_tokens, memory, self.clock)
        return {
            CredentialKind.SESSION: self._session,
            CredentialKind.BEARER: partial(self._bearer, bearers),
            CredentialKind.API_TOKEN: self._api_token,
            CredentialKind.CLIENT_CERTIFICATE: self._client_certificate,
            **basic,
        }

    async def _bearer(self, bearers: Bearers, presented: Presented, host: str) -> Verified:
        if self.foreigners is not None:
            foreigner = await self.foreigners.authenticate(presented)
            if foreigner is not None:
                return foreigner
        return await bearers.authenticate(presented, host)

    async def _session(self, presented: Presented, host: str) -> Verified:
        owner = await self.sessions.find(presented.unverified, host)
        if owner is None:
            raise CredentialRejected("session_ended")
        session = owner.session
        identity = Identity(
            user_id=owner.account_id,
            username=owner.username,
            email=owner.email,
            name=owner.name,
            roles=roles_of(owner.roles),
            kind=CredentialKind.SESSION,
            authenticated_at=session.authenticated_at,
            methods=session.methods,
        )
        return Verified(
            identity=identity,
            depends_on=frozenset({("account", owner.account_id), ("session", session.id)}),
            expires_at=self._session_expires_at(session),
            # Requests put its idle end off; when that comes, housekeeping deletes and revokes the session.
            ends_at=self._ends_at(session.expires_at),
            consumed=frozenset({presented.header}),
            session_id=session.id,
            login_id=session.login_id,
        )

    async def _api_token(self, presented: Presented, _host: str) -> Verified:
        owner = await self.api_tokens.find(presented.unverified)
        if owner is None:
            raise CredentialRejected("api_token_invalid")
        identity = Identity(
            user_id=owner.account_id,
            username=owner.username,
            email=owner.email,
            name=owner.name,
            roles=roles_of(owner.roles),
            kind=CredentialKind.API_TOKEN,
            authenticated_at=owner.created_at,
            scopes=owner.scopes,
            routes=owner.routes,
            hosts=owner.hosts,
            methods=(),
        )
        return Verified(
            identity=identity,
            depends_on=frozenset({("account", owner.account_id), ("api_token", owner.token_id)}),
            expires_at=self._expires_at(owner.expires_at),
            ends_at=self._ends_at(owner.expires_at),
            consumed=frozenset({presented.header}),
        )

    async def _client_certificate(self, presented: Presented, _host: str) -> Verified:
        if presented.certificate is None:
            raise CredentialRejected("malformed")
        certified = certified_name(presented.certificate, self.client_certificates)
        by_email = self.client_certificates.user_from == "san_email"
        user = await self.users.certified(certified.name, by_email=by_email)
        if user is None:
            raise CredentialRejected("certificate_names_nobody")
        identity = Identity(
            user_id=user.id,
            username=user.username,
            email=user.email,
            name=user.name,
            roles=roles_of(user.roles),
            kind=CredentialKind.CLIENT_CERTIFICATE,
            authenticated_at=self.clock.now(),
            methods=_PROVEN_BY_KEY,
        )
        return Verified(
            identity=identity,
            depends_on=frozenset({("account", user.id)}),
            expires_at=self._expires_at(certified.expires_at),
            ends_at=self._ends_at(certified.expires_at),
        )

    def _session_expires_at(self, session: Session) -> float:
        now = self.clock.now()
        noted_by = now + (session.idle_until - now) / _NOTED_PER_IDLE_TIME
        return self._expires_at(min(noted_by, session.expires_at))

    def _ends_at(self, moment: datetime | None) -> float:
        """Return ``moment`` in monotonic seconds."""
        return math.inf if moment is None else self.clock.monotonic() + (moment - self.clock.now()).total_seconds()

    def _expires_at(self, moment: datetime | None) -> float:
        """Return ``moment`` in monotonic seconds, no later than a cached credential is kept."""
        left = KEPT_SECONDS
        if moment is not None:
            left = min(left, (moment - self.clock.now()).total_seconds())
        return self.clock.monotonic() + left
