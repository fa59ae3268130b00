"""Signing in with another identity provider for tokens: ``/api/v1/users/login/oauth`` and its callback.

For pages of one's own on the portal's origin: the browser that asks for the address is the one that must come back.
"""

from __future__ import annotations

import logging
import re
import secrets
from typing import Final
from urllib.parse import quote

from aiohttp import web

from gateway.accounts.sessions import session_cookie_name
from gateway.accounts.users import Users
from gateway.api.fields import read_fields
from gateway.api.login import LoginApi, tokens_and_user
from gateway.api.reply import reply
from gateway.config.settings import Settings
from gateway.errors import FieldError, InvalidInput, LoginRefused
from gateway.federation.exchange import Answer
from gateway.federation.federation import Federation
from gateway.federation.profile import FederationRefused
from gateway.federation.starts import LIFETIME
from gateway.policy.client import TrustedProxies
from gateway.problem import Problem
from gateway.refusal import Refused
from gateway.tokens.refresh import RefreshTokens

_PURPOSE: Final = "api"
_FEDERATED: Final = ("fed",)
_MFA: Final = "mfa"
_DOWN: Final = Problem(502, "provider_down", "The provider gives no usable answer. Try again in a moment.")
_log: Final = logging.getLogger(__name__)


class ProviderLoginApi:
    """Begins a sign-in elsewhere and takes it back."""

    def __init__(
        self,
        *,
        settings: Settings,
        federation: Federation,
        login: LoginApi,
        users: Users,
        refresh_tokens: RefreshTokens,
        proxies: TrustedProxies,
    ) -> None:
        self._settings = settings
        self._federation = federation
        self._login = login
        self._users = users
        self._refresh_tokens = refresh_tokens
        self._proxies = proxies
        self._cookie = f"{session_cookie_name(secure=settings.server.secure)}-provider"

    def routes(self, prefix: str) -> list[web.RouteDef]:
        self._path = f"{prefix}/api/v1/users/login/oauth2callback"
        return [
            web.post(f"{prefix}/api/v1/users/login/oauth", self.begin),
            web.get(self._path, self.finish, allow_head=False),
        ]

    async def begin(self, request: web.Request) -> web.Response:
        """Return where the browser is to go; the answer's cookie has to come back with it."""
        fields = await read_fields(request)
        name = fields.text("provider")
        fields.done()
        provider = self._federation.providers.get(name)
        if provider is None:
            known = ", ".join(self._federation.providers) or "none is configured"
            raise InvalidInput([FieldError("provider", f"must be a provider of this gateway: {known}")])
        browser = self._browser(request) or secrets.token_urlsafe(32)
        try:
            url = await self._federation.begin(provider, _PURPOSE, browser, self._redirect_uri(name))
        except FederationRefused as error:
            raise self._refused(name, error) from error
        response = reply({"redirect_url": url})
        response.set_cookie(
            self._cookie,
            browser,
            max_age=int(LIFETIME.total_seconds()),
            path="/",
            secure=self._settings.server.secure,
            httponly=True,
            samesite="Lax",
        )
        return response

    async def finish(self, request: web.Request) -> web.Response:
        """Answer with tokens for who came back."""
        pairs = list(request.query.items())
        if len(dict(pairs)) != len(pairs):
            raise InvalidInput([FieldError("", "a parameter is there twice")])
        name = request.query.get("provider", "")
        answer = Answer({key: value for key, value in pairs if key != "provider"})
        try:
            returned = await self._federation.take_back(
                name, frozenset({_PURPOSE}), answer, self._browser(request), self._redirect_uri(name)
            )
            user = await self._federation.logins.sign_in(returned.provider, returned.profile)
        except FederationRefused as error:
            raise self._refused(name, error) from error
        if not user.is_active:
            raise LoginRefused("inactive")
        if self._settings.registration.require_verified_email and not user.is_verified:
            raise LoginRefused("unverified")
        methods: tuple[str, ...] = _FEDERATED
        if returned.provider.settings.trust_mfa and returned.profile.has_two_factors:
            methods = (*_FEDERATED, _MFA)
        else:
            address = self._proxies.client_of(request.remote, request.headers).address
            await self._login.require_nothing_more(user, address, _FEDERATED)
        pair = await self._refresh_tokens.start_family(user.id, methods=methods)
        return reply(tokens_and_user(pair, await self._users.get(user.id)))

    def _redirect_uri(self, name: str) -> str:
        return f"{self._settings.server.public_url}{self._path}?provider={quote(name, safe='')}"

    def _browser(self, request: web.Request) -> str | None:
        values = re.findall(rf"(?:^|;)[ \t]*{re.escape(self._cookie)}=([A-Za-z0-9_-]{{43}})(?=;|$)", _cookies(request))
        return values[0] if len(values) == 1 else None

    def _refused(self, name: str, error: FederationRefused) -> Refused:
        _log.warning("a sign-in with %s was refused: %s", name[:40], error)
        if error.reason == "provider_down":
            return Refused(_DOWN)
        detail = "Nobody can be let in by what the provider says, or by what came back from it."
        return Refused(Problem(401, f"provider_{error.reason}", detail))


def _cookies(request: web.Request) -> str:
    return "; ".join(request.headers.getall("Cookie", ()))
