"""``/api/me``: what applications ask for."""

from __future__ import annotations

from aiohttp import web

from gateway.accounts.users import Users
from gateway.api.caller import Callers
from gateway.api.reply import reply
from gateway.api.revision import user_reply


class ProfileApi:
    """Who am I."""

    def __init__(self, callers: Callers, users: Users) -> None:
        self._callers = callers
        self._users = users

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return [
            web.get(f"{prefix}/api/me", self.me),
            web.get(f"{prefix}/api/v1/users/me", self.me),
            web.get(f"{prefix}/api/v1/users/login/profile", self.profile),
        ]

    async def me(self, request: web.Request) -> web.Response:
        identity = await self._callers.myself(request)
        user = await self._users.get(identity.user_id)
        return user_reply(user)

    async def profile(self, request: web.Request) -> web.Response:
        identity = await self._callers.myself(request)
        user = await self._users.get(identity.user_id)
        return reply({"user": user.document()})
