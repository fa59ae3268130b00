"""Clients that register themselves (RFC 7591), and what they may do with themselves afterwards (RFC 7592).

Nothing here makes a token open a route: such clients are nobody's, or an account's, and never the administrator's.
Authlib's endpoints serve neither strict JSON nor secrets that are stored as digests, so these are our own.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NoReturn

from aiohttp import web

from gateway.accounts.api_tokens import ApiTokenOwner, ApiTokens
from gateway.clock import Clock
from gateway.config.oauth import OAuth
from gateway.errors import InvalidInput, NotFound
from gateway.json_body import read_object
from gateway.oauth.cors import endpoint
from gateway.oauth.problem import OAuthError, json_answer
from gateway.oauth.state.client import Client
from gateway.oauth.state.client_metadata import checked_metadata, metadata_error_code
from gateway.oauth.state.clients import Clients, secret_hash
from gateway.oauth.state.registry import Issued, Registry, Rights
from gateway.oauth.strangers import Strangers
from gateway.policy.client import TrustedProxies
from gateway.policy.rate_limit import RateLimit
from gateway.refusal import Refused

SCOPE: Final = "client:register"
# Whoever may register without asking anybody gets so many for the whole gateway; what is not used is deleted.
MOST_OPEN: Final = 10_000
_PER_ADDRESS: Final = RateLimit(requests=20, seconds=3600, by_user=False)
_NOTHING: Final[Mapping[str, Any]] = MappingProxyType({})
_BEARER: Final = re.compile(r"Bearer +([A-Za-z0-9._~+/-]{1,200}=*)", re.IGNORECASE)  # RFC 6750 section 2.1
# What the server says of a client and a client may not (RFC 7592 section 2.2).
_SERVER_SAYS: Final = (
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
)


class Registration:
    """``/oauth/register`` and ``/oauth/register/{client_id}`` below the portal's address."""

    def __init__(
        self,
        *,
        settings: OAuth,
        portal_url: str,
        registry: Registry,
        clients: Clients,
        api_tokens: ApiTokens,
        proxies: TrustedProxies,
        clock: Clock,
    ) -> None:
        self._mode = settings.registration
        self._url = f"{portal_url}/oauth/register"
        self._registry = registry
        self._clients = clients
        self._api_tokens = api_tokens
        self._clock = clock
        self._strangers = Strangers(_PER_ADDRESS, proxies, clock)

    def routes(self, prefix: str) -> list[web.RouteDef]:
        register = f"{prefix}/oauth/register"
        return [
            *endpoint(register, self.register, "POST"),
            *endpoint(f"{register}/{{client_id}}", self.manage, "GET", "PUT", "DELETE"),
        ]

    async def manage(self, request: web.Request) -> web.Response:
        work = {"PUT": self.replace, "DELETE": self.delete}.get(request.method, self.show)  # GET brings HEAD along
        try:
            return await work(request)
        except NotFound as error:  # or deleted meanwhile
            raise _unauthorized("invalid_token", "The token is not that client's.") from error

    async def register(self, request: web.Request) -> web.Response:
        """Make a client of what it says of itself (RFC 7591 section 3)."""
        self._require_open()
        owner = await self._owner(request)
        if owner is None:
            await self._admit(request)
        metadata = _metadata(await _members(request))
        _check_stands_for_people(metadata, owner.account_id if owner is not None else None)
        try:
            issued = await self._registry.create(
                metadata, Rights(), owner_id=owner.account_id if owner is not None else None, manages_itself=True
            )
        except InvalidInput as error:
            _refuse(error)
        return self._answer(issued, str(issued.registration_token), 201)

    async def show(self, request: web.Request) -> web.Response:
        """Tell a client what is registered of it (RFC 7592 section 2.1)."""
        client, token = await self._itself(request)
        return self._answer(Issued(client), token)

    async def replace(self, request: web.Request) -> web.Response:
        """Put what is sent in the place of all that was registered (RFC 7592 section 2.2)."""
        client, token = await self._itself(request)
        members = await _members(request)
        if members.get("client_id") != client.id:
            raise OAuthError("invalid_request", "client_id must be in the body, and the one of the address.")
        if wrong := [name for name in _SERVER_SAYS if name in members]:
            raise OAuthError("invalid_request", f"{wrong[0]} must not be in the body.")
        secret = members.get("client_secret")
        if secret is not None and not (isinstance(secret, str) and client.has_secret(secret, self._clock.now())):
            raise OAuthError("invalid_request", "client_secret is not the one that was given out.")
        metadata = _metadata(members, client.metadata)
        if "client_credentials" not in client.grant_types:
            _check_stands_for_people(metadata, client.owner_id)
        try:
            issued = await self._registry.change(client.id, metadata=metadata)
        except InvalidInput as error:
            _refuse(error)
        return self._answer(issued, token)

    async def delete(self, request: web.Request) -> web.Response:
        """Delete a client with everything that was granted to it (RFC 7592 section 2.3)."""
        client, _ = await self._itself(request)
        await self._registry.delete(client.id)
        return web.Response(status=204, headers={"Cache-Control": "no-store"})

    def _require_open(self) -> None:
        if self._mode == "off":
            raise OAuthError("access_denied", "Administrators register the clients of this server.", status=403)

    async def _owner(self, request: web.Request) -> ApiTokenOwner | None:
        """Return whose token was sent; None where none is needed. Raises OAuthError."""
        if self._mode == "open" and "Authorization" not in request.headers:
            return None
        owner = await self._api_tokens.find(_bearer(request))
        if owner is None or owner.is_kept:
            raise _unauthorized("invalid_token", "An API token with the scope client:register is needed.")
        if SCOPE not in owner.scopes:
            raise _unauthorized("insufficient_scope", f"The token lacks the scope {SCOPE}.", status=403)
        return owner

    async def _admit(self, request: web.Request) -> None:
        """Bound what strangers can make: by address, and in all."""
        self._strangers.admit(request)
        if await self._registry.count_registered() >= MOST_OPEN:
            raise OAuthError("temporarily_unavailable", "There are too many registered clients.", status=503)

    async def _itself(self, request: web.Request) -> tuple[Client, str]:
        """Return the client of the address, and the registration access token that proves it is the one who asks.

        Raises OAuthError, NotFound.
        """
        self._require_open()
        token = _bearer(request)
        client = await self._registry.get(request.match_info["client_id"])
        known = client.registration_hash
        usable = await self._clients.find(client.id) is not None
        if known is None or not hmac.compare_digest(known, secret_hash(token)) or not usable:
            raise _unauthorized("invalid_token", "The token is not that client's.")
        return client, token

    def _answer(self, issued: Issued, token: str, status: int = 200) -> web.Response:
        """RFC 7591 section 3.2.1. A secret is known when it is made alone: only its digest is kept."""
        client = issued.client
        document: dict[str, Any] = {
            "client_id": client.id,
            "client_id_issued_at": int(client.created_at.timestamp()),
            **client.metadata,
            "registration_client_uri": f"{self._url}/{client.id}",
            "registration_access_token": token,
        }
        if issued.secret is not None:
            document |= {"client_secret": issued.secret, "client_secret_expires_at": 0}
        return json_answer(document, status)


async def _members(request: web.Request) -> Mapping[str, Any]:
    try:
        return await read_object(request)
    except InvalidInput as error:
        raise OAuthError("invalid_client_metadata", error.errors[0].detail) from error
    except web.HTTPUnsupportedMediaType as error:
        raise OAuthError("invalid_client_metadata", "The body must be application/json.", status=415) from error
    except Refused as error:
        raise OAuthError("invalid_client_metadata", error.problem.detail, status=error.problem.status) from error


def _metadata(members: Mapping[str, Any], kept: Mapping[str, Any] = _NOTHING) -> dict[str, Any]:
    try:
        return checked_metadata(members, kept=kept)
    except InvalidInput as error:
        _refuse(error)


def _check_stands_for_people(metadata: Mapping[str, Any], owner_id: str | None) -> None:
    """Refuse a stranger's client that would stand for itself: anybody could make one, and so be somebody."""
    if owner_id is None and "client_credentials" in metadata["grant_types"]:
        raise OAuthError("invalid_client_metadata", "grant_types: client_credentials takes somebody's API token.")


def _refuse(error: InvalidInput) -> NoReturn:
    said = "; ".join(f"{each.field}: {each.detail}" if each.field else each.detail for each in error.errors)
    raise OAuthError(metadata_error_code(error.errors), said[:1000]) from error


def _bearer(request: web.Request) -> str:
    """Return the one bearer token of the request. Raises OAuthError."""
    values = request.headers.getall("Authorization", [])
    match = _BEARER.fullmatch(values[0]) if len(values) == 1 else None
    if match is None:
        raise _unauthorized("", "A bearer token is needed.")
    return match[1]


def _unauthorized(error: str, description: str, status: int = 401) -> OAuthError:
    said = f', error="{error}"' if error else ""
    scope = f', scope="{SCOPE}"' if error == "insufficient_scope" else ""
    challenge = {"WWW-Authenticate": f'Bearer realm="gateway"{said}{scope}'}
    return OAuthError(error or "invalid_token", description, status=status, headers=challenge)
