"""Invitations over JSON, for administrators."""

from __future__ import annotations

from aiohttp import web

from gateway.accounts.recovery.invitations import Invitations
from gateway.api.caller import Callers
from gateway.api.fields import read_fields
from gateway.api.reply import reply


class InvitationsApi:
    """``/api/v1/invitations``."""

    def __init__(self, callers: Callers, invitations: Invitations) -> None:
        self._callers = callers
        self._invitations = invitations

    def routes(self, prefix: str) -> list[web.RouteDef]:
        return [web.post(f"{prefix}/api/v1/invitations", self.invite)]

    async def invite(self, request: web.Request) -> web.Response:
        """Invite somebody. The link is in the answer where no mail is sent, for the administrator to pass on."""
        identity = await self._callers.admin(request)
        fields = await read_fields(request)
        email, roles = fields.text("email"), fields.texts("roles")
        fields.done()
        made = await self._invitations.invite(email, roles, invited_by=identity.user_id)
        document = {"email": made.email, "roles": list(made.roles), "sent": made.sent}
        return reply(document if made.sent else {**document, "link": made.url}, 201)
