"""Browser sessions: an opaque 256-bit secret in a cookie, its SHA-256 in a row, good on one host.

The portal's session and those it handed to other hosts share a ``login_id``; ending the login ends them all.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from gateway.accounts.external import External, rest_on
from gateway.clock import Clock
from gateway.config.accounts import SessionSettings
from gateway.errors import LoginRefused
from gateway.storage.database import Connection, Database, Executor
from gateway.storage.events import EventFeed, publish
from gateway.storage.lookup import Lookup
from gateway.storage.statements import statements

SECRET_LENGTH: Final = 43
FRESH: Final = timedelta(minutes=15)  # of a sign-in: for what keeps an owner in, or out
TICKET_LIFETIME: Final = timedelta(seconds=60)
_SQL: Final = statements("session")
_LONGEST_USER_AGENT: Final = 400


def session_cookie_name(*, secure: bool) -> str:
    """Return the cookie's name; ``__Host-`` (RFC 6265bis section 4.1.3.2) needs TLS, so plain http goes without."""
    return "__Host-gateway" if secure else "gateway"


@dataclass(frozen=True, slots=True)
class Session:
    """One browser on one host. Times are in UTC."""

    id: str
    login_id: str
    host: str
    remembered: bool
    methods: tuple[str, ...]
    authenticated_at: datetime
    created_at: datetime
    seen_at: datetime
    idle_until: datetime
    expires_at: datetime
    address: str
    user_agent: str


@dataclass(frozen=True, slots=True)
class SessionOwner:
    """A good session with the account it stands for."""

    session: Session
    account_id: str
    username: str
    email: str
    name: str
    roles: tuple[str, ...]
    data: Mapping[str, Any] = field(repr=False)
    language: str = ""


@dataclass(frozen=True, slots=True)
class Login:
    """How somebody has just authenticated, and from where."""

    account_id: str
    host: str
    authenticated_at: datetime
    methods: Sequence[str] = ("pwd",)
    remembered: bool = False
    address: str = ""
    user_agent: str = ""
    revision: int | None = None  # of the account, when it was checked
    external: External | None = None  # what it rests on


class Sessions:
    """Makes, finds and ends sessions; hands them to other hosts by ticket."""

    def __init__(
        self, database: Database, settings: SessionSettings, clock: Clock, feed: EventFeed | None = None
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._feed = feed
        self._owners = Lookup(database, _SQL["find"])

    async def create(
        self, login: Login, data: Mapping[str, Any] | None = None, continues: str | None = None
    ) -> tuple[str, Session]:
        """Begin a session for a new login. Returns the cookie's secret and the session.

        ``continues`` is the id of a login of the same account that goes on with it.
        Raises LoginRefused when the account has been disabled or deleted meanwhile, or changed since it was checked.
        """
        now = self._clock.now()
        lifetime = self._settings.remember_for if login.remembered else self._settings.lifetime
        async with self._database.transaction() as connection:
            account = (UUID(login.account_id), login.revision)
            if await connection.fetchval(_SQL["lock_active_account"], *account) is None:
                raise LoginRefused("inactive")
            login_id = UUID(continues) if continues is not None else None
            secret, session = await self._insert(connection, login, login_id, now + lifetime, data)
            if login.external is not None:
                await rest_on(connection, session.login_id, login.external)
            limit, kept = self._settings.max_per_user, UUID(session.login_id)
            gone = await connection.fetch(_SQL["trim"], UUID(login.account_id), limit, kept)
            await _publish_sessions(connection, gone)
        return secret, session

    async def find(self, secret: str, host: str) -> SessionOwner | None:
        """Return the good session with this secret on this host, with its account."""
        if len(secret) != SECRET_LENGTH:
            return None
        row = await self._owners.find(_hash(secret), host, self._clock.now())
        return _owner(row) if row is not None else None

    async def save_data(self, secret: str, data: Mapping[str, Any], *, remembered: bool, expires_at: datetime) -> bool:
        """Store what a page keeps in the session. Returns False when the session is over: it stays so."""
        now = self._clock.now()
        idle_until = self._idle_until(now, expires_at, remembered=remembered)
        return bool(await self._database.execute(_SQL["save_data"], _hash(secret), json.dumps(data), now, idle_until))

    async def touch(self, session_ids: Iterable[str]) -> None:
        """Note activity: moves the idle limit of sessions that are still good."""
        now = self._clock.now()
        identifiers = [UUID(session_id) for session_id in session_ids]
        await self._database.execute(_SQL["touch"], identifiers, now, now + self._settings.idle_timeout)

    async def list_for(self, account_id: str) -> list[Session]:
        """Return the good sessions of an account, the last seen first."""
        rows = await self._database.fetch(_SQL["list"], UUID(account_id), self._clock.now())
        return [_session(row) for row in rows]

    async def revoke(self, session_id: str) -> bool:
        """End one session. Returns False when there was none."""
        return bool(await self._revoke(_SQL["lock_account_of_session"], _SQL["revoke"], UUID(session_id)))

    async def revoke_login(self, login_id: str) -> int:
        """End the sessions of one login on all hosts. Returns how many there were."""
        return await self._revoke(_SQL["lock_account_of_login"], _SQL["revoke_login"], UUID(login_id))

    async def revoke_login_of(self, account_id: str, login_id: str) -> int:
        """End the sessions of one login, if it is this account's. Returns how many there were."""
        return await self._revoke(_SQL["lock_account"], _SQL["revoke_login_of"], UUID(account_id), UUID(login_id))

    async def revoke_account(self, account_id: str, except_login: str | None = None) -> int:
        """End an account's sessions, but for those of one login. Returns how many there were."""
        kept = UUID(except_login) if except_login else None
        return await self._revoke(_SQL["lock_account"], _SQL["revoke_account"], UUID(account_id), kept)

    async def issue_ticket(self, session_id: str, host: str, challenge: bytes) -> str:
        """Return a single-use ticket: whoever holds ``challenge``'s nonce gets a session on ``host`` for it."""
        ticket = secrets.token_urlsafe(32)
        expires_at = self._clock.now() + TICKET_LIFETIME
        await self._database.execute(
            _SQL["insert_ticket"], _hash(ticket), UUID(session_id), host, challenge, expires_at
        )
        return ticket

    async def redeem_ticket(
        self, ticket: str, host: str, nonce: str, *, address: str = "", user_agent: str = ""
    ) -> tuple[str, Session] | None:
        """Exchange a ticket for a session on ``host``; the first attempt consumes it, fitting or not. None: refused."""
        now = self._clock.now()
        async with self._database.transaction() as connection:
            await connection.execute(_SQL["lock_account_of_ticket"], _hash(ticket))
            row = await connection.fetchrow(_SQL["redeem_ticket"], _hash(ticket), host, _hash(nonce), now)
            if row is None:
                return None
            login = Login(
                account_id=str(row["account_id"]),
                host=host,
                authenticated_at=row["authenticated_at"],
                methods=row["methods"],
                remembered=row["remembered"],
                address=address,
                user_agent=user_agent,
            )
            return await self._insert(connection, login, row["login_id"], row["expires_at"], None)

    async def forget_expired(self) -> int:
        """Delete a batch of sessions and tickets that are over. Returns how many sessions.

        That is published, because WebSockets may still be open that a session opened before it fell idle.
        """
        now = self._clock.now()
        await self._database.execute(_SQL["forget_tickets"], now)
        async with self._database.transaction() as connection:
            locked = [row["id"] for row in await connection.fetch(_SQL["lock_accounts_of_expired"], now)]
            rows = await connection.fetch(_SQL["forget_expired"], now, locked)
            await _publish_sessions(connection, rows)
        return len(rows)

    def _idle_until(self, now: datetime, expires_at: datetime, *, remembered: bool) -> datetime:
        return expires_at if remembered else min(expires_at, now + self._settings.idle_timeout)

    async def _insert(
        self,
        connection: Connection,
        login: Login,
        login_id: UUID | None,
        expires_at: datetime,
        data: Mapping[str, Any] | None,
    ) -> tuple[str, Session]:
        now = self._clock.now()
        secret = secrets.token_urlsafe(32)
        idle_until = self._idle_until(now, expires_at, remembered=login.remembered)
        user_agent = _printable(login.user_agent)[:_LONGEST_USER_AGENT]
        row = await connection.fetchrow(
            _SQL["insert"],
            _hash(secret),
            UUID(login.account_id),
            login_id,
            login.host,
            json.dumps(dict(data or {})),
            login.remembered,
            list(login.methods),
            login.authenticated_at,
            now,
            idle_until,
            expires_at,
            login.address,
            user_agent,
        )
        if row is None:
            raise LookupError("insert returned no row")
        session = Session(
            id=str(row["id"]),
            login_id=str(row["login_id"]),
            host=login.host,
            remembered=login.remembered,
            methods=tuple(login.methods),
            authenticated_at=login.authenticated_at,
            created_at=now,
            seen_at=now,
            idle_until=idle_until,
            expires_at=expires_at,
            address=login.address,
            user_agent=user_agent,
        )
        return secret, session

    async def _revoke(self, lock: str, statement: str, identifier: UUID, *more: object) -> int:
        async with self._database.transaction() as connection:
            await connection.execute(lock, identifier)
            rows = await connection.fetch(statement, identifier, *more)
            await _publish_sessions(connection, rows)
        if self._feed is not None and rows:
            await self._feed.caught_up()
        return len(rows)


async def revoke_sessions(connection: Executor, account_id: str, keep_session_id: str | None = None) -> int:
    """End an account's sessions inside the caller's transaction, which has locked its row. Returns how many.

    Those of the login that ``keep_session_id`` belongs to go on.
    """
    kept = None
    if keep_session_id is not None:
        kept = await connection.fetchval(_SQL["login_of"], UUID(keep_session_id), UUID(account_id))
    rows = await connection.fetch(_SQL["revoke_account"], UUID(account_id), kept)
    await _publish_sessions(connection, rows)
    return len(rows)


async def _publish_sessions(connection: Executor, rows: Sequence[asyncpg.Record]) -> None:
    for row in rows:
        await publish(connection, "session", str(row["id"]))


def _session(row: asyncpg.Record) -> Session:
    return Session(
        id=str(row["id"]),
        login_id=str(row["login_id"]),
        host=row["host"],
        remembered=row["remembered"],
        methods=tuple(row["methods"]),
        authenticated_at=row["authenticated_at"],
        created_at=row["created_at"],
        seen_at=row["seen_at"],
        idle_until=row["idle_until"],
        expires_at=row["expires_at"],
        address=row["address"],
        user_agent=row["user_agent"],
    )


def _owner(row: asyncpg.Record) -> SessionOwner:
    return SessionOwner(
        session=_session(row),
        account_id=str(row["account_id"]),
        username=row["username"],
        email=row["email"],
        name=row["name"],
        roles=tuple(row["roles"]),
        data=json.loads(row["data"]),
        language=row["language"],
    )


def _hash(secret: str) -> bytes:
    # A cookie may hold any bytes: what is no text is no known secret either, and no error.
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _printable(text: str) -> str:
    return "".join(character for character in text if character.isprintable() and not "\ud800" <= character <= "\udfff")
