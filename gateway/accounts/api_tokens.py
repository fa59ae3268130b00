"""API tokens: ``gwt_`` + id + 256-bit secret + checksum, so that secret scanners find them; stored as SHA-256."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from gateway.clock import Clock
from gateway.errors import FieldError, InvalidInput, NotFound, TargetRejected
from gateway.policy.host import parse_host
from gateway.storage.database import Database
from gateway.storage.events import EventFeed, publish
from gateway.storage.lookup import Lookup
from gateway.storage.statements import statements
from gateway.translation.words import later

PREFIX: Final = "gwt_"
_ALPHABET: Final = string.ascii_letters + string.digits
_ID_LENGTH: Final = 16
_SECRET_LENGTH: Final = 43  # 62**43 > 2**256
_TOKEN: Final = re.compile(r"gwt_([0-9A-Za-z]{16})([0-9A-Za-z]{43})([0-9a-f]{8})", re.ASCII)
# RFC 6749 section 3.3
_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,100}", re.ASCII)
_MOST_PER_ACCOUNT: Final = 500
_MOST_SCOPES: Final = 100
_MOST_KEPT_TO: Final = 100
_LONGEST_KEPT_TO: Final = 253  # of a host (RFC 1035 section 2.3.4, as text)
_NAME_LENGTH: Final = 100
_LONGEST: Final = timedelta(days=3650)
_SQL: Final = statements("api_token")


@dataclass(frozen=True, slots=True)
class KeptTo:
    """Where a token is good: on these routes (names) and hosts (exact, or ``*.`` and one). None is everywhere."""

    routes: tuple[str, ...] | None = None
    hosts: tuple[str, ...] | None = None


EVERYWHERE: Final = KeptTo()


@dataclass(frozen=True, slots=True)
class ApiToken:
    """What is known of a token once it has been shown: never its secret."""

    id: str
    account_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = None
    kept_to: KeptTo = EVERYWHERE

    def document(self) -> dict[str, Any]:
        """Return the token as the JSON API shows one."""
        return {
            "id": self.id,
            "name": self.name,
            "scopes": list(self.scopes),
            "routes": None if self.kept_to.routes is None else list(self.kept_to.routes),
            "hosts": None if self.kept_to.hosts is None else list(self.kept_to.hosts),
            "created_at": self.created_at.isoformat(),
            "expires_at": self.expires_at.isoformat() if self.expires_at else None,
            "last_used_at": self.last_used_at.isoformat() if self.last_used_at else None,
        }


@dataclass(frozen=True, slots=True)
class ApiTokenOwner:
    """A good token with the account it stands for."""

    token_id: str
    scopes: frozenset[str]
    created_at: datetime
    expires_at: datetime | None
    account_id: str
    username: str
    email: str
    name: str
    roles: tuple[str, ...]
    routes: frozenset[str] | None = None
    hosts: frozenset[str] | None = None

    @property
    def is_kept(self) -> bool:
        """Whether the token is kept to some routes or hosts; it opens nothing of the gateway's own."""
        return self.routes is not None or self.hosts is not None


class ApiTokens:
    """Makes, finds, lists and deletes API tokens."""

    def __init__(self, database: Database, clock: Clock, feed: EventFeed | None = None) -> None:
        self._database = database
        self._clock = clock
        self._feed = feed
        self._owners = Lookup(database, _SQL["find"])

    async def create(
        self,
        account_id: str,
        name: str,
        scopes: Iterable[str] = (),
        expires_in: timedelta | None = None,
        kept_to: KeptTo = EVERYWHERE,
    ) -> tuple[ApiToken, str]:
        """Make a token. Returns it and, this once, its text. Raises InvalidInput."""
        chosen = sorted(set(scopes))
        _check(name, chosen, expires_in)
        kept = checked_reach(kept_to)
        if await self._database.fetchval(_SQL["count"], UUID(account_id)) >= _MOST_PER_ACCOUNT:
            raise InvalidInput([FieldError("name", f"there are {_MOST_PER_ACCOUNT} tokens already: delete some first")])
        now = self._clock.now()
        expires_at = now + expires_in if expires_in else None
        token_id, secret = _random(_ID_LENGTH), _random(_SECRET_LENGTH)
        values = (UUID(account_id), name, chosen, now, expires_at, kept.routes, kept.hosts)
        await self._database.execute(_SQL["insert"], token_id, _hash(secret), *values)
        token = ApiToken(token_id, account_id, name, tuple(chosen), now, expires_at, kept_to=kept)
        return token, f"{PREFIX}{token_id}{secret}{_checksum(token_id + secret)}"

    async def find(self, unverified_token: str) -> ApiTokenOwner | None:
        """Return the account that a token stands for, while both are good."""
        match = _TOKEN.fullmatch(unverified_token)
        if match is None or _checksum(match[1] + match[2]) != match[3]:
            return None
        row = await self._owners.find(match[1], self._clock.now())
        if row is None or not hmac.compare_digest(row["secret_hash"], _hash(match[2])):
            return None
        return ApiTokenOwner(
            token_id=row["id"],
            scopes=frozenset(row["scopes"]),
            created_at=row["created_at"],
            expires_at=row["expires_at"],
            account_id=str(row["account_id"]),
            username=row["username"],
            email=row["email"],
            name=row["name"],
            roles=tuple(row["roles"]),
            routes=None if row["routes"] is None else frozenset(row["routes"]),
            hosts=None if row["hosts"] is None else frozenset(row["hosts"]),
        )

    async def list_for(self, account_id: str) -> list[ApiToken]:
        """Return an account's tokens, oldest first."""
        rows = await self._database.fetch(_SQL["list"], UUID(account_id))
        return [
            ApiToken(
                id=row["id"],
                account_id=account_id,
                name=row["name"],
                scopes=tuple(row["scopes"]),
                created_at=row["created_at"],
                expires_at=row["expires_at"],
                last_used_at=row["last_used_at"],
                kept_to=KeptTo(_listed(row["routes"]), _listed(row["hosts"])),
            )
            for row in rows
        ]

    async def revoke(self, account_id: str, token_id: str) -> None:
        """Delete an account's token; it is refused when this returns. Raises NotFound."""
        if not token_id.isascii() or not token_id.isalnum():
            raise NotFound("no such token")
        async with self._database.transaction() as connection:
            if not await connection.execute(_SQL["delete"], token_id, UUID(account_id)):
                raise NotFound("no such token")
            await publish(connection, "api_token", token_id)
        if self._feed is not None:
            await self._feed.caught_up()

    async def record_use(self, token_ids: Iterable[str]) -> None:
        """Note when tokens were last used; called in batches, not per request."""
        await self._database.execute(_SQL["used"], list(token_ids), self._clock.now())


def looks_like_api_token(text: str) -> bool:
    """Say whether a bearer is one of ours by its form alone."""
    return text.startswith(PREFIX)


def _check(name: str, scopes: Sequence[str], expires_in: timedelta | None) -> None:
    errors = []
    if not 1 <= len(name.strip()) <= _NAME_LENGTH or not name.isprintable():
        errors.append(FieldError("name", f"must be 1 to {_NAME_LENGTH} printable characters"))
    if len(scopes) > _MOST_SCOPES or any(not _SCOPE.fullmatch(scope) for scope in scopes):
        errors.append(FieldError("scopes", f"must be at most {_MOST_SCOPES} words of printable ASCII without spaces"))
    if expires_in is not None and not timedelta(0) < expires_in <= _LONGEST:
        errors.append(FieldError("expires_in", "must be from 1 second to 10 years"))
    if errors:
        raise InvalidInput(errors)


def checked_reach(kept_to: KeptTo) -> KeptTo:
    """Return what a token is kept to in its one spelling. Raises InvalidInput; an empty list would open nothing."""
    errors = []
    routes, hosts = kept_to.routes, kept_to.hosts
    if routes is not None and not _is_list(routes):
        errors.append(FieldError("routes", later("must be names of routes, at least one and at most 100")))
    if hosts is not None:
        try:
            hosts = tuple(_host(each) for each in hosts)
        except TargetRejected:
            hosts = ()
        if not _is_list(hosts):
            errors.append(
                FieldError("hosts", later("must be written as in wiki.example.com or *.example.com, without ports"))
            )
    if errors:
        raise InvalidInput(errors)
    return KeptTo(_once(routes), _once(hosts))


def _is_list(names: Sequence[str]) -> bool:
    return 1 <= len(names) <= _MOST_KEPT_TO and all(
        1 <= len(name) <= _LONGEST_KEPT_TO and name.isprintable() for name in names
    )


def _host(text: str) -> str:
    wildcard = text.startswith("*.")
    return ("*." if wildcard else "") + parse_host(text.removeprefix("*."))


def _once(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(sorted(set(names)))


def _listed(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def _checksum(text: str) -> str:
    return f"{zlib.crc32(text.encode()):08x}"
