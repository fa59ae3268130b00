"""What one's account is shared with: every application, what it may do, since when; and the way to take it back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiohttp import web

from gateway.oauth.audience import Audiences
from gateway.oauth.state.consents import Consent, Consents
from gateway.translation.words import later
from gateway.web.application import Application, application_of
from gateway.web.console import Console
from gateway.web.grant_words import GrantWords, Line
from gateway.web.pages import Pages, redirect
from gateway.web.signed_in import SignedIn, Visitor

PAGE: Final = "account/applications"
FORM: Final = "revoke"
_DONE: Final = later("The application can no longer use your account.")
_NOTHING: Final = later("That application had no access any more.")


@dataclass(frozen=True, slots=True)
class Shared:
    """One application on the page. ``by_operator``: it was not asked for, the operator's own applications are not."""

    application: Application
    lines: tuple[Line, ...]
    by_operator: bool
    since: datetime
    last_used: datetime | None


class ApplicationsPage:
    """The portal's ``/account/applications``."""

    def __init__(
        self,
        *,
        pages: Pages,
        signed_in: SignedIn,
        console: Console,
        consents: Consents,
        audiences: Audiences,
        words: GrantWords,
    ) -> None:
        self._pages = pages
        self._signed_in = signed_in
        self._console = console
        self._consents = consents
        self._audiences = audiences
        self._words = words

    def routes(self) -> list[web.RouteDef]:
        path = self._pages.path(PAGE)
        return [web.get(path, self._signed_in(self.show)), web.post(path, self._signed_in(self.revoke))]

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        consents = await self._consents.list_for(visitor.owner.account_id)
        return self._console.render(
            "applications",
            visitor,
            PAGE,
            form=FORM,
            notice={"yes": _DONE, "no": _NOTHING}.get(request.query.get("revoked", ""), ""),
            applications=[self._shared(each, visitor) for each in consents],
            action=self._pages.path(PAGE),
        )

    async def revoke(self, request: web.Request, visitor: Visitor) -> web.Response:
        fields = await self._signed_in.read_form(request, visitor, FORM)
        client_id = fields.get("client_id", "")
        done = "\0" not in client_id and await self._consents.revoke(visitor.owner.account_id, client_id)
        return redirect(self._pages.path(PAGE, revoked="yes" if done else "no"))

    def _shared(self, consent: Consent, visitor: Visitor) -> Shared:
        client = consent.client
        # Of several grants at least one may be for no resource: rather one line too many than one too few.
        opened = {*self._audiences.opened(client, ()), *consent.resources}
        lines = self._words.lines(consent.scopes, sorted(opened), consent.claims, visitor.owner)
        return Shared(
            application=application_of(client, consent.owner, self._words.brand),
            lines=tuple(lines),
            by_operator=client.first_party,
            since=consent.since,
            last_used=consent.last_used,
        )
