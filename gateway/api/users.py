"""Users over JSON: registration, one's own account, and everybody's for administrators."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from uuid import uuid4

from aiohttp import web

from gateway.accounts.changes import Changes
from gateway.accounts.factors.factors import SecondFactors
from gateway.accounts.recovery.email_change import EmailChanges
from gateway.accounts.recovery.registering import Registering
from gateway.accounts.user import ADMIN, User, sorted_roles, spelled
from gateway.accounts.users import SORTS, Users
from gateway.api.caller import NOT_ALLOWED, Callers
from gateway.api.fields import read_fields
from gateway.api.login import tokens_and_user
from gateway.api.reply import reply
from gateway.api.revision import expected_revision, user_reply
from gateway.clock import Clock
from gateway.config.accounts import Registration
from gateway.errors import CredentialRejected, FieldError, InvalidInput
from gateway.fields import Fields
from gateway.policy.client import TrustedProxies
from gateway.refusal import Refused
from gateway.tokens.refresh import RefreshTokens

_MOST_ON_A_PAGE: Final = 200
_ADMIN_ONLY: Final = ("roles", "is_active", "is_verified", "is_admin")


class UsersApi:
    """``/api/v1/users/...``."""

    def __init__(
        self,
        *,
        callers: Callers,
        users: Users,
        second_factors: SecondFactors,
        registering: Registering,
        email_changes: EmailChanges,
        refresh_tokens: RefreshTokens,
        registration: Registration,
        trusted_proxies: TrustedProxies,
        clock: Clock,
    ) -> None:
        self._callers = callers
        self._users = users
        self._second_factors = second_factors
        self._registering = registering
        self._email_changes = email_changes
        self._refresh_tokens = refresh_tokens
        self._registration = registration
        self._trusted_proxies = trusted_proxies
        self._clock = clock

    def routes(self, prefix: str) -> list[web.RouteDef]:
        users = f"{prefix}/api/v1/users"
        return [
            web.post(f"{users}/register", self.register),
            web.get(f"{users}/roles", self.roles),
            web.post(f"{users}/", self.create),
            web.get(f"{users}/", self.page),
            web.get(f"{users}/{{user}}", self.show),
            web.put(f"{users}/{{user}}", self.update),
            web.delete(f"{users}/{{user}}", self.delete),
            web.put(f"{users}/{{user}}/verify", self.verify),
        ]

    async def register(self, request: web.Request) -> web.Response:
        """Make an account and sign it in; the tokens are null while its address, or a second factor, is missing."""
        user = await self._created(request)
        unverified = self._registration.require_verified_email and not user.is_verified
        if unverified or self._second_factors.required_of(user):
            return reply({"user": user.document(), "token": None, "refresh_token": None}, 201)
        pair = await self._refresh_tokens.start_family(user.id)
        return reply(tokens_and_user(pair, user), 201)

    async def create(self, request: web.Request) -> web.Response:
        return user_reply(await self._created(request), 201)

    async def roles(self, request: web.Request) -> web.Response:
        await self._callers.identity(request)
        return reply(await self._users.roles())

    async def page(self, request: web.Request) -> web.Response:
        await self._callers.admin(request)
        limit = _number(request, "limit", 50, _MOST_ON_A_PAGE)
        offset = _number(request, "offset", 0, 10**9)
        found = await self._users.page(
            limit=limit, offset=offset, search=request.query.get("search", "")[:200], sort=_sort(request)
        )
        items = [user.document() for user in found.items]
        return reply({"items": items, "total": found.total, "limit": limit, "offset": offset})

    async def show(self, request: web.Request) -> web.Response:
        _, user = await self._callers.owner_of(request, request.match_info["user"])
        return user_reply(user)

    async def update(self, request: web.Request) -> web.Response:
        """Change any of username, email, name, password; an administrator also roles and the flags.

        Where mail is sent, one's own new address counts once it was confirmed there and agreed to at the old one.
        """
        verified, user = await self._callers.named(request, request.match_info["user"])
        identity = verified.identity
        revision = expected_revision(request, user)
        fields = await read_fields(request)
        changes = _changes(fields, user)
        if not identity.is_admin and any(name in fields for name in _ADMIN_ONLY):
            raise Refused(NOT_ALLOWED)
        if any(name in fields for name in ("email", "password", *_ADMIN_ONLY)):
            self._callers.require_fresh(verified)
        wanted = None if identity.is_admin or changes.email in {None, user.email} else changes.email
        if wanted is not None:
            if self._email_changes.possible:
                self._email_changes.check(user, wanted)
                changes = replace(changes, email=None)
            else:
                # Verified was the old address; applications are told the new one, and may go by it.
                changes = replace(changes, is_verified=False)
        changed = await self._users.change(user.id, changes, revision=revision)
        if wanted is not None and self._email_changes.possible:
            # Afterwards: a new password ends a change of address that waits.
            await self._email_changes.begin(changed, wanted)
        return user_reply(changed)

    async def delete(self, request: web.Request) -> web.Response:
        verified, user = await self._callers.named(request, request.match_info["user"])
        self._callers.require_fresh(verified)
        await self._users.delete(user.id, revision=expected_revision(request, user))
        return web.Response(status=204)

    async def verify(self, request: web.Request) -> web.Response:
        """Mark an account's e-mail address as verified."""
        await self._callers.admin(request)
        user = await self._users.get(request.match_info["user"])
        revision = expected_revision(request, user)
        return user_reply(await self._users.change(user.id, Changes(is_verified=True), revision=revision))

    async def _created(self, request: web.Request) -> User:
        is_admin = False
        if not self._registration.enabled:
            await self._callers.admin(request)
            is_admin = True
        fields = await read_fields(request)
        username, email, password = fields.text("username"), fields.text("email"), fields.text("password")
        name = fields.text("name", required=False)
        roles = fields.texts("roles")
        fields.done()
        if roles is not None and not is_admin:
            # Open registration gives nobody a choice of roles; an administrator may still make such an account here.
            await self._require_admin(request)
            is_admin = True
        address = self._trusted_proxies.client_of(request.remote, request.headers).address if not is_admin else ""
        made = await self._registering.register(username, email, password, name=name, roles=roles, address=address)
        return made or self._as_if_made(username, email, name)

    def _as_if_made(self, username: str, email: str, name: str) -> User:
        """Return what an address that has an account already is answered with: nobody learns who has one."""
        now = self._clock.now()
        return User(
            id=str(uuid4()),
            username=spelled(username),
            email=email,
            name=name,
            roles=tuple(sorted_roles(self._registration.default_roles)),
            is_active=True,
            is_verified=False,
            created_at=now,
            updated_at=now,
            last_login=None,
        )

    async def _require_admin(self, request: web.Request) -> None:
        try:
            await self._callers.admin(request)
        except (CredentialRejected, Refused) as error:
            raise Refused(NOT_ALLOWED) from error


def _changes(fields: Fields, user: User) -> Changes:
    texts = {name: fields.text(name) if name in fields else None for name in ("username", "email", "name", "password")}
    flags = {name: fields.flag(name) for name in ("is_active", "is_verified")}
    roles, is_admin = fields.texts("roles"), fields.flag("is_admin")
    fields.done()
    if is_admin is not None:
        kept = {role for role in (user.roles if roles is None else roles) if role != ADMIN}
        roles = sorted(kept | {ADMIN} if is_admin else kept)
    values: dict[str, Any] = {**texts, **flags, "roles": roles}
    return Changes(**values)


def _sort(request: web.Request) -> str:
    given = request.query.get("sort", SORTS[0])
    if given.removeprefix("-") not in SORTS:
        raise InvalidInput([FieldError("sort", f"must be one of {', '.join(SORTS)}, or that after '-'")])
    return given


def _number(request: web.Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 10 or not 0 <= int(text) <= most:  # noqa: PLR2004
        raise InvalidInput([FieldError(name, f"must be a whole number from 0 to {most}")])
    return int(text)
