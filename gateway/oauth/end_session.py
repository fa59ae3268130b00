"""Requests to sign out that come from clients (OpenID Connect RP-Initiated Logout 1.0). Pure but for its lookups."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.accounts.sessions import SessionOwner
from gateway.errors import TokenRejected
from gateway.oauth.id_token_hint import IdTokenHints
from gateway.oauth.parameters import Parameters
from gateway.oauth.problem import OAuthError
from gateway.oauth.redirect_uri import with_parameters
from gateway.oauth.state.client import Client
from gateway.oauth.state.clients import Clients
from gateway.oauth.subject import Subjects, sid
from gateway.tokens.compact import decoded, json_object, parted


@dataclass(frozen=True, slots=True)
class LogoutRequest:
    """A request that was judged. ``return_url`` is where the browser goes afterwards, a registered address.

    ``hint`` are the claims of an ID token of ours, which only the client and its person have.
    """

    client: Client | None
    hint: Mapping[str, Any] | None = field(repr=False)
    return_url: str | None

    def is_vouched_for(self, owner: SessionOwner, subjects: Subjects) -> bool:
        """Tell whether the hint is about this very login: then nobody else can have made the request up."""
        if self.hint is None or self.client is None or self.hint["sub"] != subjects.sub(self.client, owner.account_id):
            return False
        return self.hint.get("sid") == sid(owner.session.login_id, self.client.id)


class EndSessions:
    """Judges requests to sign out."""

    def __init__(self, clients: Clients, hints: IdTokenHints, subjects: Subjects) -> None:
        self._clients = clients
        self._hints = hints
        self.subjects = subjects

    async def read(self, parameters: Parameters) -> LogoutRequest:
        """Return the request. Raises OAuthError when anything in it is not as it was registered, StorageError.

        A request with anything wrong leads nowhere (section 4), and one that does not say who asks leads here.
        """
        unverified_hint = parameters.get("id_token_hint")
        client = await self._client(parameters, unverified_hint)
        hint = None
        if unverified_hint is not None:
            if client is None:
                raise _bad_hint()
            try:
                hint = self._hints.claims(client, unverified_hint)
            except TokenRejected as error:
                raise _bad_hint() from error
        return LogoutRequest(client, hint, _return_url(client, parameters))

    async def _client(self, parameters: Parameters, unverified_hint: str | None) -> Client | None:
        named = parameters.get("client_id") or _unverified_audience(unverified_hint)
        if named is None:
            return None
        client = await self._clients.find(named)
        if client is None and "client_id" in parameters:
            raise OAuthError("invalid_request", "There is no such application here.")
        return client


def _return_url(client: Client | None, parameters: Parameters) -> str | None:
    asked = parameters.get("post_logout_redirect_uri")
    if asked is None:
        return None
    if client is None:
        return None  # section 3: without knowing who asks, nobody is sent anywhere
    if asked not in client.metadata.get("post_logout_redirect_uris", ()):
        raise OAuthError("invalid_request", "The application did not register this post_logout_redirect_uri.")
    return with_parameters(asked, [("state", parameters["state"])]) if "state" in parameters else asked


def _unverified_audience(unverified_hint: str | None) -> str | None:
    """Return whom a hint claims to be for; whether it is, is verified with that client's name."""
    if unverified_hint is None:
        return None
    try:
        audience = json_object(decoded(parted(unverified_hint).payload)).get("aud")
    except TokenRejected:
        return None
    return audience if isinstance(audience, str) else None


def _bad_hint() -> OAuthError:
    return OAuthError("invalid_request", "The id_token_hint is not an ID token that the application got here.")
