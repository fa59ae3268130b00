"""``/account/data``: a copy of what is kept about somebody, and the end of their account."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from aiohttp import web

from gateway.accounts.accounts import Accounts
from gateway.accounts.logins import logins_of
from gateway.accounts.user import name_key
from gateway.clock import Clock
from gateway.errors import FieldError, InvalidInput
from gateway.federation.federation import Federation
from gateway.oauth.state.consents import Consents
from gateway.oauth.state.registry import Registry
from gateway.translation.words import later
from gateway.web.console import Console
from gateway.web.field_words import sentence
from gateway.web.pages import Pages, redirect
from gateway.web.signed_in import SignedIn, Visitor

PAGE: Final = "account/data"
FORM: Final = "data"
_MOST_CLIENTS: Final = 1000
_LONGEST_NAME: Final = 400
_LABELS: Final[Mapping[str, str]] = {"username": later("The username")}
_ANOTHER: Final = FieldError("username", later("must be yours, as it stands above the field"))


class DataPage:
    """Gives out and deletes. Both take a recent sign-in."""

    def __init__(
        self,
        *,
        pages: Pages,
        signed_in: SignedIn,
        console: Console,
        accounts: Accounts,
        consents: Consents,
        registry: Registry,
        federation: Federation,
        clock: Clock,
    ) -> None:
        self._pages = pages
        self._signed_in = signed_in
        self._console = console
        self._accounts = accounts
        self._consents = consents
        self._registry = registry
        self._federation = federation
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        page, signed_in = self._pages.path(PAGE), self._signed_in
        return [
            web.get(page, signed_in(self.show)),
            web.post(f"{page}/export", signed_in(self.export, fresh=True)),
            web.get(f"{page}/delete", signed_in(self.ask_to_delete, fresh=True)),
            web.post(f"{page}/delete", signed_in(self.delete, fresh=True)),
        ]

    async def show(self, _request: web.Request, visitor: Visitor) -> web.Response:
        return self._render("data", visitor)

    async def export(self, request: web.Request, visitor: Visitor) -> web.Response:
        """Answer with a file. What is secret is not in it: neither digests, nor keys, nor codes."""
        await self._signed_in.read_form(request, visitor, FORM)
        body = json.dumps(await self._document(visitor), indent=2, ensure_ascii=False).encode("utf-8", "replace")
        headers = {
            "Content-Disposition": 'attachment; filename="account.json"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(body=body, content_type="application/json", charset="utf-8", headers=headers)

    async def ask_to_delete(self, _request: web.Request, visitor: Visitor) -> web.Response:
        return self._render("account_delete", visitor, username=visitor.owner.username, errors=())

    async def delete(self, request: web.Request, visitor: Visitor) -> web.Response:
        form = await self._signed_in.read_form(request, visitor, FORM)
        owner = visitor.owner
        if name_key(form.get("username", "")[:_LONGEST_NAME]) != name_key(owner.username):
            return self._refused(visitor, [_ANOTHER])
        try:
            await self._accounts.users.delete(owner.account_id)
        except InvalidInput as error:
            return self._refused(visitor, error.errors)
        return redirect(self._pages.path("login"))

    def _refused(self, visitor: Visitor, errors: Sequence[FieldError]) -> web.Response:
        said = [sentence(each, _LABELS) for each in errors]
        return self._render("account_delete", visitor, status=400, username=visitor.owner.username, errors=said)

    async def _document(self, visitor: Visitor) -> Mapping[str, Any]:
        account_id, accounts = visitor.owner.account_id, self._accounts
        user = await accounts.users.get(account_id)
        logins = logins_of(await accounts.sessions.list_for(account_id))
        consents = await self._consents.list_for(account_id)
        clients = await self._registry.page(limit=_MOST_CLIENTS, owner_id=account_id)
        return {
            "exported_at": self._clock.now().isoformat(),
            "account": {**user.document(), "language": user.language},
            "sessions": [login.document(visitor.owner.session.login_id) for login in logins],
            "known_devices": await accounts.devices.documents(account_id),
            "api_tokens": [token.document() for token in await accounts.api_tokens.list_for(account_id)],
            "second_factors": await self._factors(account_id),
            "linked_accounts": [each.document() for each in await self._federation.logins.list_for(account_id)],
            "connected_applications": [
                {
                    "client_id": each.client.id,
                    "name": each.client.name,
                    "scopes": list(each.scopes),
                    "since": each.since.isoformat(),
                    "last_used": each.last_used.isoformat() if each.last_used else None,
                }
                for each in consents
            ],
            "oauth_clients": [{"client_id": each.id, "metadata": dict(each.metadata)} for each in clients.items],
        }

    async def _factors(self, account_id: str) -> Sequence[Mapping[str, Any]]:
        apps = await self._accounts.second_factors.totps.list_for(account_id)
        passkeys = await self._accounts.passkeys.list_for(account_id)
        return [
            *(_factor("authenticator_app", each.name, each.created_at, each.last_used_at) for each in apps),
            *(_factor("passkey", each.name, each.created_at, each.last_used_at) for each in passkeys),
        ]

    def _render(self, template: str, visitor: Visitor, **values: Any) -> web.Response:
        return self._console.render(template, visitor, PAGE, form=FORM, url=self._pages.path(PAGE), **values)


def _factor(kind: str, name: str, created_at: datetime, last_used_at: datetime | None) -> Mapping[str, Any]:
    used = last_used_at.isoformat() if last_used_at else None
    return {"kind": kind, "name": name, "created_at": created_at.isoformat(), "last_used_at": used}
