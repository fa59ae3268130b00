"""``/api/me`` and the key set: what applications ask for."""

from __future__ import annotations

from aiohttp import web

from gateway.accounts.users import Users
from gateway.api.caller import Callers
from gateway.api.reply import reply
from gateway.tokens.keys import SigningKeys


class ProfileApi:
    """Who am I, and with which keys are assertions and tokens verified."""

    def __init__(self, callers: Callers, users: Users, keys: SigningKeys) -> None:
        self._callers = callers
        self._users = users
        self._keys = keys

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.get(f"{prefix}/api/me", self.me),
            web.get(f"{prefix}/api/v1/users/me", self.me),
            web.get(f"{prefix}/api/v1/users/login/profile", self.profile),
            web.get(f"{prefix}/oauth/jwks", self.jwks),
            # RFC 8615 section 3: well-known addresses stand at the origin's root.
            web.get("/.well-known/jwks.json", self.jwks),
        ]

    async def me(self, request: web.Request) -> web.Response:
        identity = await self._callers.myself(request)
        user = await self._users.get(identity.user_id)
        return reply(user.document())

    async def profile(self, request: web.Request) -> web.Response:
        identity = await self._callers.myself(request)
        user = await self._users.get(identity.user_id)
        return reply({"user": user.document()})

    async def jwks(self, _request: web.Request) -> web.Response:
        """Answer the public keys (RFC 7517); short-lived in caches, so that a new key is known before it signs."""
        response = reply(self._keys.jwks())
        response.headers["Cache-Control"] = "public, max-age=300"
        return response
