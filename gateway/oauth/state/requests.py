"""Authorization requests that wait: pushed by their client (RFC 9126), or until somebody has signed in or agreed."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from gateway.clock import Clock
from gateway.oauth.state.families import token_hash
from gateway.storage.database import Database
from gateway.storage.statements import statements

URN: Final = "urn:ietf:params:oauth:request_uri:"  # RFC 9126 section 2.2
PUSHED_LIFETIME: Final = timedelta(seconds=90)
WAITING_LIFETIME: Final = timedelta(minutes=30)
_RANDOM_LENGTH: Final = 43
_SQL: Final = statements("authorization_request")

Values = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class WaitingRequest:
    """A request as its client made it. ``consented_by`` is the account that has agreed to it."""

    request_uri: str = field(repr=False)
    client_id: str
    parameters: Values = field(repr=False)
    pushed: bool
    consented_by: str | None
    created_at: datetime


class AuthorizationRequests:
    """Keeps requests that wait, each under a random address that only its holder can guess."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def keep(self, client_id: str, parameters: Values, *, pushed: bool) -> str:
        """Store a request that has been checked. Returns its ``request_uri``."""
        random = secrets.token_urlsafe(32)
        now = self._clock.now()
        expires_at = now + (PUSHED_LIFETIME if pushed else WAITING_LIFETIME)
        await self._database.execute(
            _SQL["insert"], token_hash(random), client_id, json.dumps(dict(parameters)), pushed, now, expires_at
        )
        return f"{URN}{random}"

    async def find(self, request_uri: str) -> WaitingRequest | None:
        """Return the request that waits under this address, or None."""
        key = _key(request_uri)
        if key is None:
            return None
        row = await self._database.fetchrow(_SQL["find"], key, self._clock.now())
        if row is None:
            return None
        return WaitingRequest(
            request_uri=request_uri,
            client_id=row["client_id"],
            parameters=json.loads(row["parameters"]),
            pushed=row["pushed"],
            consented_by=None if row["consented_by"] is None else str(row["consented_by"]),
            created_at=row["created_at"],
        )

    async def consent(self, request_uri: str, account_id: str) -> bool:
        """Note who has agreed. False: the request does not wait any more."""
        key = _key(request_uri)
        if key is None:
            return False
        return bool(await self._database.execute(_SQL["consent"], key, UUID(account_id), self._clock.now()))

    async def take(self, request_uri: str) -> bool:
        """End the wait. Of many at once one is told True: a request is answered once."""
        key = _key(request_uri)
        return key is not None and await self._database.fetchval(_SQL["take"], key) is not None

    async def forget_expired(self) -> int:
        """Delete a batch of requests that nobody came back to. Returns how many."""
        return await self._database.execute(_SQL["forget_expired"], self._clock.now())


def _key(request_uri: str) -> bytes | None:
    random = request_uri.removeprefix(URN)
    if random == request_uri or len(random) != _RANDOM_LENGTH:
        return None
    return token_hash(random)
