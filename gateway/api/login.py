"""Signing in with name and password for tokens, and what follows: refresh and logout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from aiohttp import web

from gateway.accounts.factors.factors import OTP, SecondFactors, Step, methods_with
from gateway.accounts.factors.pending import PendingLogins
from gateway.accounts.login import PasswordLogin
from gateway.accounts.sessions import Sessions
from gateway.accounts.user import User
from gateway.accounts.users import Users
from gateway.api.caller import Callers
from gateway.api.fields import read_fields
from gateway.api.reply import reply
from gateway.errors import LoginRefused
from gateway.fields import Fields
from gateway.identity.identity import CredentialKind
from gateway.observability.metrics import Metrics
from gateway.policy.challenge import challenge_header
from gateway.policy.client import TrustedProxies
from gateway.problem import Problem
from gateway.refusal import Refused
from gateway.tokens.refresh import RefreshTokens, TokenPair

_CHALLENGE: Final = {"WWW-Authenticate": challenge_header(())}
_MFA_REQUIRED: Final = Problem(
    401, "mfa_required", "Send mfa_token with a code to /api/v1/users/login/mfa.", headers=_CHALLENGE
)
_WRONG_CODE: Final = Problem(401, "bad_code", "The code is not right, or was used before.", headers=_CHALLENGE)
_MFA_OVER: Final = Problem(401, "mfa_token_over", "That login is over: begin with the password.", headers=_CHALLENGE)
ENROLMENT_REQUIRED: Final = Problem(
    403, "enrolment_required", "A role of this account demands a second factor: sign in with a browser to set one up."
)


class LoginApi:
    """``/api/v1/users/login``, ``token-refresh``, and ``/api/v1/auth/token|refresh|logout``."""

    def __init__(
        self,
        *,
        login: PasswordLogin,
        second_factors: SecondFactors,
        pending_logins: PendingLogins,
        users: Users,
        refresh_tokens: RefreshTokens,
        sessions: Sessions,
        callers: Callers,
        trusted_proxies: TrustedProxies,
        metrics: Metrics,
    ) -> None:
        self._login = login
        self._second_factors = second_factors
        self._pending_logins = pending_logins
        self._users = users
        self._refresh_tokens = refresh_tokens
        self._sessions = sessions
        self._callers = callers
        self._trusted_proxies = trusted_proxies
        self._metrics = metrics

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.post(f"{prefix}/api/v1/users/login", self.login),
            web.post(f"{prefix}/api/v1/users/login/mfa", self.second_factor),
            web.post(f"{prefix}/api/v1/users/token-refresh", self.refresh),
            web.post(f"{prefix}/api/v1/auth/token", self.token),
            web.post(f"{prefix}/api/v1/auth/refresh", self.token_refresh),
            web.post(f"{prefix}/api/v1/auth/logout", self.logout),
        ]

    async def login(self, request: web.Request) -> web.Response:
        fields = await read_fields(request)
        user, pair = await self._signed_in(request, fields)
        return reply(tokens_and_user(pair, user))

    async def second_factor(self, request: web.Request) -> web.Response:
        """Take the code that `login` or `token` asked for."""
        fields = await read_fields(request)
        secret, code = fields.text("mfa_token"), fields.text("code")
        fields.done()
        pending = await self._pending_logins.find(secret, for_api=True)
        if pending is None:
            raise Refused(_MFA_OVER)
        if not await self._second_factors.verify(pending.account_id, code, self._address(request)):
            raise Refused(_WRONG_CODE if await self._pending_logins.fail(secret) else _MFA_OVER)
        done = await self._pending_logins.finish(secret, for_api=True)
        if done is None:
            raise Refused(_MFA_OVER)
        pair = await self._refresh_tokens.start_family(done.account_id, methods=methods_with(done.methods, OTP))
        self._metrics.tokens["password"] += 1
        return reply(tokens_and_user(pair, await self._users.get(done.account_id)))

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
        await self.require_nothing_more(user, self._address(request))
        pair = await self._refresh_tokens.start_family(user.id)
        self._metrics.tokens["password"] += 1
        return await self._users.get(user.id), pair

    async def require_nothing_more(self, user: User, address: str, methods: Sequence[str] = ("pwd",)) -> None:
        """Raise Refused when the first factor is not enough: what comes next is in the answer."""
        step = await self._second_factors.next_step(user)
        if step is Step.ENROL:
            raise Refused(ENROLMENT_REQUIRED)
        if step is Step.PROVE:
            secret = await self._pending_logins.begin(user, methods, must_enrol=False, for_api=True, address=address)
            if secret is None:  # changed while the password was checked
                raise LoginRefused("bad_credentials")
            raise Refused(replace(_MFA_REQUIRED, extra={"mfa_token": secret}))

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
