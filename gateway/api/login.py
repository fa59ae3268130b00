"""Signing in with name and password for tokens, and what follows: refresh and logout."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.accounts.login import PasswordLogin
from gateway.accounts.sessions import Sessions
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.api.caller import Callers
from gateway.api.fields import read_fields
from gateway.api.reply import reply
from gateway.fields import Fields
from gateway.identity.identity import CredentialKind
from gateway.observability.metrics import Metrics
from gateway.policy.client import TrustedProxies
from gateway.tokens.refresh import RefreshTokens, TokenPair


class LoginApi:
    """``/api/v1/users/login``, ``token-refresh``, and ``/api/v1/auth/token|refresh|logout``."""

    def __init__(
        self,
        *,
        login: PasswordLogin,
        users: Users,
        refresh_tokens: RefreshTokens,
        sessions: Sessions,
        callers: Callers,
        trusted_proxies: TrustedProxies,
        metrics: Metrics,
    ) -> None:
        self._login = login
        self._users = users
        self._refresh_tokens = refresh_tokens
        self._sessions = sessions
        self._callers = callers
        self._trusted_proxies = trusted_proxies
        self._metrics = metrics

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.post(f"{prefix}/api/v1/users/login", self.login),
            web.post(f"{prefix}/api/v1/users/token-refresh", self.refresh),
            web.post(f"{prefix}/api/v1/auth/token", self.token),
            web.post(f"{prefix}/api/v1/auth/refresh", self.token_refresh),
            web.post(f"{prefix}/api/v1/auth/logout", self.logout),
        ]

    async def login(self, request: web.Request) -> web.Response:
        fields = await read_fields(request)
        user, pair = await self._signed_in(request, fields)
        return reply(tokens_and_user(pair, user))

    async def refresh(self, request: web.Request) -> web.Response:
        fields = await read_fields(request)
        pair = await self._rotated(fields)
        return reply({"token": pair.access_token, "refresh_token": pair.refresh_token})

    async def token(self, request: web.Request) -> web.Response:
        fields = await read_fields(request)
        _require_grant(fields, "password")
        _, pair = await self._signed_in(request, fields)
        return reply(oauth_tokens(pair))

    async def token_refresh(self, request: web.Request) -> web.Response:
        fields = await read_fields(request)
        _require_grant(fields, "refresh_token")
        return reply(oauth_tokens(await self._rotated(fields)))

    async def logout(self, request: web.Request) -> web.Response:
        """End every token family of the caller, and the login that a session belongs to."""
        verified = await self._callers.verified(request)
        if verified.kind is CredentialKind.SESSION and verified.login_id is not None:
            await self._sessions.revoke_login(verified.login_id)
        count = await self._refresh_tokens.revoke_account(verified.identity.user_id, "logout")
        return reply({"message": "signed out", "invalidated_tokens": count})

    async def _signed_in(self, request: web.Request, fields: Fields) -> tuple[User, TokenPair]:
        username, password = fields.text("username"), fields.text("password")
        fields.done()
        user = await self._login.authenticate(username, password, self._address(request))
        pair = await self._refresh_tokens.start_family(user.id)
        self._metrics.tokens["password"] += 1
        return await self._users.get(user.id), pair

    async def _rotated(self, fields: Fields) -> TokenPair:
        unverified_token = fields.text("refresh_token")
        fields.done()
        pair = await self._refresh_tokens.rotate(unverified_token)
        self._metrics.tokens["refresh_token"] += 1
        return pair

    def _address(self, request: web.Request) -> str:
        return self._trusted_proxies.client_of(request.remote, request.headers).address


def _require_grant(fields: Fields, expected: str) -> None:
    if fields.text("grant_type", required=False) not in {"", expected}:
        fields.refuse("grant_type", f"must be {expected!r} here")
        fields.done()


def tokens_and_user(pair: TokenPair, user: User) -> dict[str, Any]:
    return {"token": pair.access_token, "refresh_token": pair.refresh_token, "user": user.document()}


def oauth_tokens(pair: TokenPair) -> dict[str, Any]:
    """Return the members of RFC 6749 section 5.1; ``expires_in`` is in seconds."""
    return {
        "access_token": pair.access_token,
        "refresh_token": pair.refresh_token,
        "token_type": "Bearer",
        "expires_in": pair.expires_in_seconds,
    }
