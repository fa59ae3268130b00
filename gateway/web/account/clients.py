"""Pages about OAuth clients: one's own under ``/account/clients``, everybody's under ``/admin/clients``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web

from gateway.errors import FieldError, InvalidInput, NotFound
from gateway.oauth.state.client import Client
from gateway.oauth.state.client_metadata import ID_TOKEN_ALGORITHMS, SECRET_METHODS
from gateway.oauth.state.registry import Issued, Registry, Rights
from gateway.translation.words import later
from gateway.web.account.client_form import (
    ADVANCED,
    AUTH_WORDS,
    GRANT_WORDS,
    RIGHT_WORDS,
    Form,
    empty_form,
    form_of,
    grants_shown,
    in_words,
    metadata_of,
    rights_in,
)
from gateway.web.console import Console
from gateway.web.pages import Pages, redirect
from gateway.web.signed_in import SignedIn, Visitor

OWN: Final = "account/clients"
ALL: Final = "admin/clients"
FORM: Final = "clients"
_ON_A_PAGE: Final = 50
_MOST_PAGES: Final = 10_000
_LONGEST_SEARCH: Final = 100
# How long the old secret goes on, by what the form says.
_OVERLAPS: Final[Mapping[str, tuple[str, timedelta]]] = {
    "day": (later("for 24 hours"), timedelta(days=1)),
    "hour": (later("for an hour"), timedelta(hours=1)),
    "week": (later("for 7 days"), timedelta(days=7)),
    "none": (later("not at all: it has leaked"), timedelta(0)),
}
_DONE: Final[Mapping[str, str]] = {
    "saved": later("Saved."),
    "deleted": later("The application is deleted, with everything that people had granted to it."),
    "disabled": later("The application is disabled. What people had granted to it has ended."),
    "enabled": later("The application can be used again."),
}


class ClientPages:
    """The pages of one desk: a person's own clients, or with ``by_admin`` all of them."""

    def __init__(
        self,
        *,
        pages: Pages,
        signed_in: SignedIn,
        console: Console,
        registry: Registry,
        issuer: str,
        by_admin: bool,
    ) -> None:
        self._pages = pages
        self._signed_in = signed_in
        self._console = console
        self._registry = registry
        self._issuer = issuer
        self._by_admin = by_admin
        self._section = ALL if by_admin else OWN
        self._path = pages.path(self._section)

    def routes(self) -> list[web.RouteDef]:
        shown = {"": self.overview, "/new": self.new, "/{client}": self.show, "/{client}/edit": self.edit}
        shown["/{client}/delete"] = self.ask_to_delete
        done = {"/new": self.create, "/{client}/edit": self.save, "/{client}/rotate": self.rotate}
        done["/{client}/delete"] = self.delete
        if self._by_admin:
            done["/{client}/active"] = self.set_active
        wrap = self._signed_in
        return [
            *(web.get(self._path + path, wrap(work, admins_only=self._by_admin)) for path, work in shown.items()),
            *(web.post(self._path + path, wrap(work, admins_only=self._by_admin)) for path, work in done.items()),
        ]

    async def overview(self, request: web.Request, visitor: Visitor) -> web.Response:
        search = request.query.get("search", "")[:_LONGEST_SEARCH]
        number = _page_number(request.query.get("page", ""))
        owner_id = None if self._by_admin else visitor.owner.account_id
        found = await self._registry.page(
            search=search, limit=_ON_A_PAGE, offset=(number - 1) * _ON_A_PAGE, owner_id=owner_id
        )
        return self._render(
            "clients",
            visitor,
            notice=_DONE.get(request.query.get("done", ""), ""),
            clients=[self._row(client, found.owners) for client in found.items],
            total=found.total,
            search=search,
            earlier=self._list_url(search, number - 1) if number > 1 else "",
            later=self._list_url(search, number + 1) if number * _ON_A_PAGE < found.total else "",
        )

    async def new(self, _request: web.Request, visitor: Visitor) -> web.Response:
        return self._form(visitor, None, empty_form())

    async def create(self, request: web.Request, visitor: Visitor) -> web.Response:
        form = await self._signed_in.read_form(request, visitor, FORM)
        try:
            metadata = metadata_of(form, {}, by_admin=self._by_admin)
            rights = rights_in(form, is_active=True) if self._by_admin else Rights()
            owner_id = None if self._by_admin else visitor.owner.account_id
            issued = await self._registry.create(metadata, rights, owner_id=owner_id)
        except InvalidInput as error:
            return self._form(visitor, None, form, error.errors)
        return self._issued(visitor, issued, "created")

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        client = await self._named(request, visitor)
        owners = (await self._registry.page(search=client.id, limit=1)).owners if self._by_admin else {}
        return self._render(
            "client",
            visitor,
            notice=_DONE.get(request.query.get("done", ""), ""),
            client=client,
            owner=owners.get(client.owner_id or "", ""),
            grants=[GRANT_WORDS[grant][0] for grant in client.grant_types if grant in GRANT_WORDS],
            authenticates=AUTH_WORDS[client.auth_method],
            rights=[label for name, (label, _) in RIGHT_WORDS.items() if getattr(client, name)],
            has_secret=client.auth_method in SECRET_METHODS,
            overlaps=[(key, words) for key, (words, _) in _OVERLAPS.items()],
            issuer=self._issuer,
            url=self._client_url(client),
        )

    async def edit(self, request: web.Request, visitor: Visitor) -> web.Response:
        client = await self._named(request, visitor)
        return self._form(visitor, client, form_of(client))

    async def save(self, request: web.Request, visitor: Visitor) -> web.Response:
        form = await self._signed_in.read_form(request, visitor, FORM)
        client = await self._named(request, visitor)
        try:
            issued = await self._registry.change(
                client.id,
                metadata=metadata_of(form, client.metadata, by_admin=self._by_admin),
                rights=rights_in(form, is_active=client.is_active) if self._by_admin else None,
                by_admin=self._by_admin,
            )
        except InvalidInput as error:
            return self._form(visitor, client, form, error.errors)
        if issued.secret is not None:
            return self._issued(visitor, issued, "saved")
        return redirect(f"{self._client_url(client)}?done=saved")

    async def rotate(self, request: web.Request, visitor: Visitor) -> web.Response:
        form = await self._signed_in.read_form(request, visitor, FORM)
        client = await self._named(request, visitor)
        _, overlap = _OVERLAPS.get(form.get("overlap", ""), _OVERLAPS["day"])
        return self._issued(visitor, await self._registry.rotate_secret(client.id, overlap), "rotated")

    async def ask_to_delete(self, request: web.Request, visitor: Visitor) -> web.Response:
        client = await self._named(request, visitor)
        return self._render("client_delete", visitor, client=client, url=self._client_url(client))

    async def delete(self, request: web.Request, visitor: Visitor) -> web.Response:
        await self._signed_in.read_form(request, visitor, FORM)
        await self._registry.delete((await self._named(request, visitor)).id)
        return redirect(f"{self._path}?done=deleted")

    async def set_active(self, request: web.Request, visitor: Visitor) -> web.Response:
        form = await self._signed_in.read_form(request, visitor, FORM)
        client = await self._named(request, visitor)
        active = form.get("active") == "yes"
        await self._registry.set_active(client.id, active=active)
        return redirect(f"{self._client_url(client)}?done={'enabled' if active else 'disabled'}")

    async def _named(self, request: web.Request, visitor: Visitor) -> Client:
        """Return the client of the address. Raises NotFound, for another person's as well."""
        client = await self._registry.get(request.match_info["client"])
        if not self._by_admin and client.owner_id != visitor.owner.account_id:
            raise NotFound("no such client")
        return client

    def _form(
        self, visitor: Visitor, client: Client | None, form: Form, errors: Sequence[FieldError] = ()
    ) -> web.Response:
        wrong = {error.field for error in errors}
        return self._render(
            "client_edit",
            visitor,
            status=400 if errors else 200,
            client=client,
            values={name: value[:20_000] for name, value in form.items()},
            errors=[in_words(error) for error in errors],
            grants=grants_shown(form, by_admin=self._by_admin),
            methods=AUTH_WORDS,
            algorithms=ID_TOKEN_ALGORITHMS,
            rights=RIGHT_WORDS if self._by_admin else {},
            advanced=bool(wrong & ADVANCED) or any(form.get(name) for name in ADVANCED),
            action=f"{self._client_url(client)}/edit" if client is not None else f"{self._path}/new",
            back=self._client_url(client) if client is not None else self._path,
        )

    def _issued(self, visitor: Visitor, issued: Issued, what: str) -> web.Response:
        return self._render(
            "client_secret",
            visitor,
            what=what,
            client=issued.client,
            secret=issued.secret,
            issuer=self._issuer,
            url=self._client_url(issued.client),
        )

    def _row(self, client: Client, owners: Mapping[str, str]) -> Mapping[str, Any]:
        return {
            "client": client,
            "url": self._client_url(client),
            "owner": owners.get(client.owner_id or "", ""),
            "grants": [GRANT_WORDS[grant][0] for grant in client.grant_types if grant in GRANT_WORDS],
        }

    def _render(self, template: str, visitor: Visitor, **values: Any) -> web.Response:
        return self._console.render(
            template, visitor, self._section, form=FORM, list_url=self._path, by_admin=self._by_admin, **values
        )

    def _client_url(self, client: Client) -> str:
        return f"{self._path}/{quote(client.id, safe='')}"

    def _list_url(self, search: str, number: int) -> str:
        return f"{self._path}?search={quote(search, safe='', errors='replace')}&page={number}"


def _page_number(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 1  # noqa: PLR2004 - _MOST_PAGES
    return min(max(number, 1), _MOST_PAGES)
