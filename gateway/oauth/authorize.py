"""The authorization endpoint without its pages: who asks, who is signed in, and what is to be done about it.

Nothing is sent to a redirect address before it is known to be the client's own.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol
from urllib.parse import urlencode

from gateway.accounts.sessions import SessionOwner
from gateway.clock import Clock
from gateway.oauth.authorization_request import (
    AuthorizationRequest,
    answers_by_fragment,
    needs_second_factor,
    read_authorization_request,
)
from gateway.oauth.bridge import run_sync
from gateway.oauth.claims import names_beyond
from gateway.oauth.engine import EngineRequest
from gateway.oauth.id_token_hint import IdTokenHints
from gateway.oauth.issuing import ACR_VALUES
from gateway.oauth.parameters import Parameters
from gateway.oauth.problem import OAuthError, as_oauth_error
from gateway.oauth.redirect_uri import is_redirect_uri, with_parameters
from gateway.oauth.scopes import OPENID
from gateway.oauth.server import EngineAnswer, Server
from gateway.oauth.state.client import Client
from gateway.oauth.state.families import Granted
from gateway.oauth.state.requests import URN, AuthorizationRequests, WaitingRequest
from gateway.policy.challenge import acr_of


@dataclass(frozen=True, slots=True)
class ToClient:
    """The answer: where the browser goes."""

    url: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NeedsLogin:
    """Somebody has to sign in. ``continue_at`` is the query that goes on with this request.

    ``prompt`` is why, though somebody is signed in: ``login`` again, or ``select_account`` for somebody else.
    """

    continue_at: str = field(repr=False)
    prompt: str = ""
    login_hint: str = ""


@dataclass(frozen=True, slots=True)
class NeedsConsent:
    """Whoever is signed in has to agree."""

    request_uri: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NotByItself:
    """An error for a client that nobody has checked: the person may take it there, and is not sent.

    Else anybody could register an address and have people sent to it by a link of ours (RFC 9700 section 4.11.2).
    """

    url: str = field(repr=False)
    redirect_uri: str
    client: Client
    error: OAuthError


Outcome = ToClient | NeedsLogin | NeedsConsent | NotByItself


class Agreed(Protocol):
    """Knows what people have agreed to."""

    async def covers(
        self,
        account_id: str,
        client_id: str,
        scopes: Collection[str],
        resources: Collection[str],
        claims: Collection[str],
    ) -> bool:
        """Tell whether an account has agreed to all of this before. Raises StorageError."""
        ...


class RequestRefused(OAuthError):
    """A request that is answered with a page: who sent it, or where the answer belongs, is not certain."""


class Authorization:
    """Decides authorization requests."""

    def __init__(
        self,
        server: Server,
        requests: AuthorizationRequests,
        consents: Agreed,
        hints: IdTokenHints,
        *,
        issuer: str,
        clock: Clock,
    ) -> None:
        self._server = server
        self._parts = server.parts
        self._requests = requests
        self._consents = consents
        self._hints = hints
        self._issuer = issuer
        self._clock = clock

    async def decide(self, parameters: Parameters, owner: SessionOwner | None) -> Outcome:
        """Return what comes next. Raises RequestRefused, StorageError."""
        waiting = await self._waiting(parameters)
        if waiting is not None:
            parameters = Parameters(waiting.parameters)
        client, redirect_uri = await self.client_and_address(parameters)
        try:
            request = self._read(client, redirect_uri, parameters, pushed=waiting is not None)
            return await self._next(request, waiting, owner)
        except RequestRefused:
            raise
        except Exception as error:
            told = as_oauth_error(error)
            url = self._error_url(redirect_uri, parameters, told)
            if client.is_checked or "none" in parameters.get("prompt", "").split():
                return ToClient(url)
            return NotByItself(url, redirect_uri, client, told)

    async def keep(self, parameters: Parameters) -> str:
        """Let a request wait that has not been judged yet; its client and address are known. Raises RequestRefused."""
        client, _ = await self.client_and_address(parameters)
        if client.metadata.get("require_pushed_authorization_requests"):
            # What waits counts as pushed, or as judged: this is neither.
            raise RequestRefused("invalid_request", "The application has to push its requests.")
        return await self._requests.keep(client.id, parameters.values_by_name(), pushed=False)

    async def check(self, parameters: Parameters) -> AuthorizationRequest:
        """Judge a request that is pushed (RFC 9126 section 2.1). Raises OAuthError."""
        if "request_uri" in parameters:
            raise OAuthError("invalid_request", "request_uri cannot be pushed.")
        client, redirect_uri = await self.client_and_address(parameters)
        request = self._read(client, redirect_uri, parameters, pushed=True)
        await run_sync(self._server.get_consent_grant, self._engine_request(request), None)
        return request

    async def refuse(self, request_uri: str) -> str:
        """Return where a browser goes whose person does not agree. Raises RequestRefused, StorageError."""
        waiting = await self._requests.find(request_uri)
        if waiting is None or not await self._requests.take(request_uri):
            raise _expired()
        parameters = Parameters(waiting.parameters)
        _, redirect_uri = await self.client_and_address(parameters)
        return self._error_url(redirect_uri, parameters, OAuthError("access_denied", "The person did not agree."))

    async def waiting_request(self, request_uri: str) -> tuple[WaitingRequest, AuthorizationRequest]:
        """Return a request that waits for consent. Raises RequestRefused, OAuthError, StorageError."""
        waiting = await self._requests.find(request_uri)
        if waiting is None:
            raise _expired()
        parameters = Parameters(waiting.parameters)
        client, redirect_uri = await self.client_and_address(parameters)
        return waiting, self._read(client, redirect_uri, parameters, pushed=True)

    async def client_and_address(self, parameters: Parameters) -> tuple[Client, str]:
        """Return who asks and where the answer goes. Raises RequestRefused, StorageError."""
        client = await self._parts.clients.find(parameters.get("client_id", ""))
        if client is None:
            raise RequestRefused("invalid_client", "There is no such application here.")
        uris, asked = client.redirect_uris, parameters.get("redirect_uri")
        if asked is None:
            # OpenID Connect Core 1.0 section 3.1.2.1 requires it; OAuth lets the only one be left out.
            if len(uris) != 1 or OPENID in parameters.get("scope", "").split():
                raise RequestRefused("invalid_request", "redirect_uri is missing.")
            return client, uris[0]
        if not is_redirect_uri(client, asked):
            raise RequestRefused("invalid_request", "The redirect_uri is not one that the application registered.")
        return client, asked

    def _read(self, client: Client, redirect_uri: str, parameters: Parameters, *, pushed: bool) -> AuthorizationRequest:
        if "request_uri" in parameters:
            raise OAuthError("request_uri_not_supported", "Only requests that were pushed here can be referred to.")
        if not pushed and client.metadata.get("require_pushed_authorization_requests"):
            raise OAuthError("invalid_request", "The application has to push its requests.")
        return read_authorization_request(client, redirect_uri, parameters, self._parts.scopes, self._parts.audiences)

    async def _waiting(self, parameters: Parameters) -> WaitingRequest | None:
        request_uri = parameters.get("request_uri", "")
        if not request_uri.startswith(URN):
            return None
        waiting = await self._requests.find(request_uri)
        if waiting is None:
            raise _expired()
        if waiting.client_id != parameters.get("client_id"):
            raise RequestRefused("invalid_request", "The request belongs to another application.")
        return waiting

    async def _next(
        self, request: AuthorizationRequest, waiting: WaitingRequest | None, owner: SessionOwner | None
    ) -> Outcome:
        # Whatever is wrong is found before anybody is asked for anything.
        grant = await run_sync(self._server.get_consent_grant, self._engine_request(request), owner)
        self._hints.subject(request.client, request.parameters.get("id_token_hint"))
        if request.claims.acr_values is not None and not request.claims.acr_values & ACR_VALUES:
            # An essential acr that cannot be had is a login that failed (OpenID Connect Core 1.0 section 5.5.1.1).
            raise OAuthError("unmet_authentication_requirements", "Nobody signs in here in the way that is asked for.")
        silent = "none" in request.prompts
        if owner is None or self._must_sign_in(request, waiting, owner):
            if silent:
                raise OAuthError("login_required", "Nobody is signed in, or not recently enough.")
            return await self._ask_to_sign_in(request, waiting, owner)
        if needs_second_factor(request, owner.session.methods):
            if silent:
                raise OAuthError("interaction_required", "A second factor is asked for.")
            return await self._ask_for_second_factor(request, waiting)
        if await self._must_agree(request, waiting, owner):
            if silent:
                raise OAuthError("consent_required", "The person has not agreed to this.")
            return NeedsConsent(await self._kept(request, waiting))
        if waiting is not None and not await self._requests.take(waiting.request_uri):
            raise _expired()
        engine_request: EngineRequest = grant.request
        engine_request.granted = self._granted(request, owner)
        engine_request.answered_at = request.redirect_uri
        answer: EngineAnswer = await run_sync(
            self._server.create_authorization_response, engine_request, grant_user=owner, grant=grant
        )
        return ToClient(self._with_issuer(answer.location, fragment=request.by_fragment))

    def _must_sign_in(self, request: AuthorizationRequest, waiting: WaitingRequest | None, owner: SessionOwner) -> bool:
        authenticated_at = owner.session.authenticated_at
        if self._is_somebody_else(request, owner):
            return True
        # Whoever signed in since this request came has done what it asks for.
        if waiting is not None and not waiting.pushed and authenticated_at >= waiting.created_at:
            return False
        if request.prompts & {"login", "select_account"}:
            return True
        if request.max_age_seconds is None:
            return False
        return self._clock.now() - authenticated_at > timedelta(seconds=request.max_age_seconds)

    def _is_somebody_else(self, request: AuthorizationRequest, owner: SessionOwner) -> bool:
        hint = request.parameters.get("id_token_hint")
        return self._hints.names_somebody_else(request.client, hint, owner.account_id) or self._hints.is_nobody_of(
            request.client, request.claims.subjects, owner.account_id
        )

    async def _ask_to_sign_in(
        self, request: AuthorizationRequest, waiting: WaitingRequest | None, owner: SessionOwner | None
    ) -> NeedsLogin:
        request_uri = await self._kept(request, waiting)
        query = urlencode({"client_id": request.client.id, "request_uri": request_uri})
        prompt = ""
        if owner is not None:
            switch = "select_account" in request.prompts or self._is_somebody_else(request, owner)
            prompt = "select_account" if switch else "login"
        return NeedsLogin(query, prompt, request.parameters.get("login_hint", ""))

    async def _ask_for_second_factor(self, request: AuthorizationRequest, waiting: WaitingRequest | None) -> NeedsLogin:
        request_uri = await self._kept(request, waiting)
        return NeedsLogin(urlencode({"client_id": request.client.id, "request_uri": request_uri}), "mfa", "")

    async def _must_agree(
        self, request: AuthorizationRequest, waiting: WaitingRequest | None, owner: SessionOwner
    ) -> bool:
        if request.client.first_party:
            return False
        agreed_now = waiting is not None and waiting.consented_by == owner.account_id
        if not agreed_now and ("consent" in request.prompts or _could_be_anybody(request)):
            return True
        # Also to what was agreed to just now: the client may have grown since.
        beyond = names_beyond(request.scopes, request.claim_names)
        return not await self._consents.covers(
            owner.account_id,
            request.client.id,
            request.scopes,
            self._parts.audiences.opened(request.client, request.resources),
            beyond,
        )

    async def _kept(self, request: AuthorizationRequest, waiting: WaitingRequest | None) -> str:
        """Return the address under which the request waits. A pushed one waits anew, for as long as people take."""
        if waiting is not None and not waiting.pushed:
            return waiting.request_uri
        if waiting is not None and not await self._requests.take(waiting.request_uri):
            raise _expired()
        return await self._requests.keep(request.client.id, request.parameters.values_by_name(), pushed=False)

    def _granted(self, request: AuthorizationRequest, owner: SessionOwner) -> Granted:
        session, parts = owner.session, self._parts
        lifetime = timedelta(seconds=request.client.seconds("refresh_token_lifetime", parts.refresh_lifetime))
        return Granted(
            account_id=owner.account_id,
            client_id=request.client.id,
            scopes=request.scopes,
            authenticated_at=session.authenticated_at,
            methods=session.methods,
            expires_at=self._clock.now() + lifetime,
            resources=request.resources,
            claims=request.claims.names,
            acr=acr_of(session.methods),
            login_id=session.login_id,
            offline=request.offline,
        )

    def _engine_request(self, request: AuthorizationRequest) -> EngineRequest:
        return EngineRequest("GET", request.parameters)

    def _error_url(self, redirect_uri: str, parameters: Parameters, error: OAuthError) -> str:
        """Return where an error is told (RFC 6749 section 4.1.2.1)."""
        answer = [("error", error.error), ("error_description", error.description)]
        if "state" in parameters:
            answer.append(("state", parameters["state"]))
        fragment = answers_by_fragment(parameters)
        return self._with_issuer(with_parameters(redirect_uri, answer, fragment=fragment), fragment=fragment)

    def _with_issuer(self, url: str, *, fragment: bool) -> str:
        """Say who answers, so that no other server's answer is taken for ours (RFC 9207 section 2)."""
        if fragment:
            return f"{url}&{urlencode({'iss': self._issuer})}"
        return with_parameters(url, [("iss", self._issuer)])


def _could_be_anybody(request: AuthorizationRequest) -> bool:
    """Tell whether another program on the person's device could have sent this (RFC 8252 section 8.6).

    An address of a private scheme belongs to whoever took it: without a secret, a consent of before says nothing.
    """
    return request.client.is_public and not request.redirect_uri.startswith(("https://", "http://"))


def _expired() -> RequestRefused:
    return RequestRefused("invalid_request", "This request has been answered already, or it took too long.")
