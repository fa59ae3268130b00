"""The consent page: who asks for what, for how long, and where the answer goes; allow or deny.

A decision is taken only from the form that this session was shown for this very request. What was agreed to goes on
at the authorization endpoint, which judges the request anew.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Final

from aiohttp import web

from gateway.oauth.audience import Audiences
from gateway.oauth.authorization_request import AuthorizationRequest
from gateway.oauth.authorize import Authorization
from gateway.oauth.claims import names_beyond
from gateway.oauth.problem import OAuthError
from gateway.oauth.state.consents import Consents
from gateway.oauth.state.requests import AuthorizationRequests
from gateway.problem import Problem
from gateway.web.application import application_of, destination_of
from gateway.web.authorize import AUTHORIZE, CONSENT
from gateway.web.continuing import Continuing, go_on, to_application
from gateway.web.frame import Frame
from gateway.web.grant_words import GrantWords
from gateway.web.pages import Pages
from gateway.web.signed_in import SignedIn, Visitor

FORM: Final = "consent"


class ConsentPage:
    """GET shows what is asked for; POST decides."""

    def __init__(
        self,
        *,
        frame: Frame,
        pages: Pages,
        signed_in: SignedIn,
        authorization: Authorization,
        requests: AuthorizationRequests,
        audiences: Audiences,
        consents: Consents,
        words: GrantWords,
    ) -> None:
        self._frame = frame
        self._pages = pages
        self._signed_in = signed_in
        self._authorization = authorization
        self._requests = requests
        self._audiences = audiences
        self._consents = consents
        self._words = words

    def routes(self) -> list[web.RouteDef]:
        path = self._pages.path(CONSENT)
        return [web.get(path, self._signed_in(self.show)), web.post(path, self._signed_in(self.decide))]

    async def show(self, request: web.Request, visitor: Visitor) -> web.Response:
        try:
            return await self._ask(request.query.get("request_uri", ""), visitor)
        except OAuthError as error:
            return self._refused(request, error)

    async def decide(self, request: web.Request, visitor: Visitor) -> web.Response:
        request_uri = request.query.get("request_uri", "")
        try:
            _, asked = await self._authorization.waiting_request(request_uri)
            fields = await self._signed_in.read_form(request, visitor, self._form(request_uri, asked))
            match fields.get("decision"):
                case "allow":
                    return await self._allow(request, request_uri, asked, visitor)
                case "deny":
                    return await self._deny(request, request_uri, asked)
                case _:
                    return await self._ask(request_uri, visitor)
        except OAuthError as error:
            return self._refused(request, error)

    async def _allow(
        self, request: web.Request, request_uri: str, asked: AuthorizationRequest, visitor: Visitor
    ) -> web.Response:
        account_id = visitor.owner.account_id
        await self._consents.remember(account_id, asked.client.id, asked.scopes, self._opened(asked), _claims(asked))
        await self._requests.consent(request_uri, account_id)
        url = self._pages.path(AUTHORIZE, client_id=asked.client.id, request_uri=request_uri)
        return go_on(self._pages, request, url, _back_to(asked))

    async def _deny(self, request: web.Request, request_uri: str, asked: AuthorizationRequest) -> web.Response:
        url = await self._authorization.refuse(request_uri)
        return go_on(self._pages, request, url, _back_to(asked))

    async def _ask(self, request_uri: str, visitor: Visitor) -> web.Response:
        _, asked = await self._authorization.waiting_request(request_uri)
        client = asked.client
        back = self._pages.path(AUTHORIZE, client_id=client.id, request_uri=request_uri)
        return self._pages.render(
            "consent",
            leads_to=_back_to(asked).sources,
            action=self._pages.path(CONSENT, request_uri=request_uri),
            csrf_token=self._signed_in.token(visitor, self._form(request_uri, asked)),
            application=application_of(client, await self._consents.owner_of(client), self._words.brand),
            lines=self._words.lines(asked.scopes, self._opened(asked), _claims(asked), visitor.owner),
            lasting=self._words.lasting(client, offline=asked.offline),
            returns_to=destination_of(asked.redirect_uri),
            owner=visitor.owner,
            switch_url=self._pages.path("login", prompt="select_account", rd=back),
        )

    def _opened(self, asked: AuthorizationRequest) -> Collection[str]:
        return self._audiences.opened(asked.client, asked.resources)

    def _form(self, request_uri: str, asked: AuthorizationRequest) -> str:
        """Name the form by what it shows: a client may register itself anew while somebody reads."""
        shown = (request_uri, asked.client.name, asked.redirect_uri, asked.scopes, self._opened(asked), _claims(asked))
        return f"{FORM} {json.dumps(shown)}"

    def _refused(self, request: web.Request, error: OAuthError) -> web.Response:
        return self._frame.problem(
            request, Problem(400, "request_refused", f"{error.description} Go back to the application and try again.")
        )


def _back_to(asked: AuthorizationRequest) -> Continuing:
    return to_application(asked.client.name, asked.client, asked.redirect_uri)


def _claims(asked: AuthorizationRequest) -> Collection[str]:
    return names_beyond(asked.scopes, asked.claim_names)
