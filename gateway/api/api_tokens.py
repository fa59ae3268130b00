"""API tokens over JSON: ``/api/v1/users/{user}/api-tokens``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from aiohttp import web

from gateway.accounts.api_tokens import ApiTokens, KeptTo
from gateway.api.caller import Callers
from gateway.api.fields import read_fields
from gateway.api.reply import reply


class ApiTokensApi:
    """Make, list and delete tokens: one's own, or anyone's for an administrator."""

    def __init__(self, callers: Callers, api_tokens: ApiTokens) -> None:
        self._callers = callers
        self._api_tokens = api_tokens

    def routes(self, prefix: str) -> list[web.RouteDef]:
        tokens = f"{prefix}/api/v1/users/{{user}}/api-tokens"
        return [
            web.post(tokens, self.create),
            web.get(tokens, self.page),
            web.delete(f"{tokens}/{{id}}", self.delete),
        ]

    async def create(self, request: web.Request) -> web.Response:
        """Make a token; ``expires_in`` is in seconds. The answer holds its text, this once."""
        verified, user = await self._callers.named(request, request.match_info["user"])
        self._callers.require_fresh(verified)
        fields = await read_fields(request)
        name, scopes, expires_in = fields.text("name"), fields.texts("scopes") or [], fields.whole("expires_in")
        if expires_in is not None and not 0 < expires_in <= 10 * 366 * 86400:
            fields.refuse("expires_in", "must be a number of seconds, at most ten years")
        routes, hosts = fields.texts("routes"), fields.texts("hosts")
        fields.done()
        kept_to = KeptTo(_tuple(routes), _tuple(hosts))
        lifetime = timedelta(seconds=expires_in) if expires_in is not None else None
        token, text = await self._api_tokens.create(user.id, name, scopes, lifetime, kept_to)
        return reply({**token.document(), "token": text}, 201)

    async def page(self, request: web.Request) -> web.Response:
        _, user = await self._callers.owner_of(request, request.match_info["user"])
        return reply([token.document() for token in await self._api_tokens.list_for(user.id)])

    async def delete(self, request: web.Request) -> web.Response:
        _, user = await self._callers.owner_of(request, request.match_info["user"])
        await self._api_tokens.revoke(user.id, request.match_info["id"])
        return reply({"success": True})


def _tuple(names: Sequence[str] | None) -> tuple[str, ...] | None:
    return None if names is None else tuple(names)
