"""Browser sessions over JSON: ``/api/v1/users/{user}/sessions``. One item is one login, on all hosts it reached."""

from __future__ import annotations

from uuid import UUID

from aiohttp import web

from gateway.accounts.logins import logins_of
from gateway.accounts.sessions import Sessions
from gateway.api.caller import Callers
from gateway.api.reply import reply
from gateway.errors import NotFound


class SessionsApi:
    """List and end logins: one's own, or anyone's for an administrator."""

    def __init__(self, callers: Callers, sessions: Sessions) -> None:
        self._callers = callers
        self._sessions = sessions

    def routes(self, prefix: str) -> list[web.RouteDef]:
        sessions = f"{prefix}/api/v1/users/{{user}}/sessions"
        return [
            web.get(sessions, self.page),
            web.delete(sessions, self.end_all),
            web.delete(f"{sessions}/{{id}}", self.end),
        ]

    async def page(self, request: web.Request) -> web.Response:
        verified, user = await self._callers.named(request, request.match_info["user"])
        logins = logins_of(await self._sessions.list_for(user.id))
        return reply([login.document(verified.login_id) for login in logins])

    async def end(self, request: web.Request) -> web.Response:
        """End one login."""
        _, user = await self._callers.owner_of(request, request.match_info["user"])
        try:
            login_id = str(UUID(request.match_info["id"]))
        except ValueError as error:
            raise NotFound("no such session") from error
        if not await self._sessions.revoke_login_of(user.id, login_id):
            raise NotFound("no such session")
        return reply({"success": True})

    async def end_all(self, request: web.Request) -> web.Response:
        """End every login, and say how many sessions there were."""
        _, user = await self._callers.owner_of(request, request.match_info["user"])
        return reply({"success": True, "ended": await self._sessions.revoke_account(user.id)})
