"""Whom an access token is for (RFC 9068 section 3, RFC 8707)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final

from gateway.oauth.problem import OAuthError
from gateway.oauth.scopes import OPENID
from gateway.oauth.state.client import Client

_LONGEST: Final = 2048


class Audiences:
    """Knows the resources: the identifiers of routes that take tokens of their own, by name."""

    def __init__(self, issuer: str, userinfo: str, resources: Mapping[str, str]) -> None:
        self._issuer = issuer
        self.userinfo = userinfo
        self.resources = resources

    def requested(self, client: Client, asked: Sequence[str]) -> tuple[str, ...]:
        """Return the resources that are asked for, as they are known here. Raises OAuthError invalid_target."""
        known = []
        for resource in dict.fromkeys(asked):
            match = self._known(resource)
            if match is None or (match == self._issuer and not opens_routes(client)):
                raise OAuthError("invalid_target", "There is no such resource here, or not for this client.")
            known.append(match)
        return tuple(known)

    def narrowed(self, granted: Sequence[str], asked: Sequence[str]) -> tuple[str, ...]:
        """Return which granted resources a token is wanted for (RFC 8707 section 2.2). Raises OAuthError."""
        if not asked:
            return tuple(granted)
        known = tuple(self._known(resource) or "" for resource in dict.fromkeys(asked))
        if not set(known) <= set(granted):
            raise OAuthError("invalid_target", "This resource has not been granted.")
        return known

    def of(self, client: Client, scopes: Collection[str], resources: Sequence[str]) -> list[str]:
        """Return the ``aud`` of a token: its resources, else every ordinary route, where the client may open those.

        A token that opens nothing is still good for what the client is told about its person.
        """
        audiences = list(self.opened(client, resources))
        if OPENID in scopes or not audiences:
            audiences.append(self.userinfo)
        return audiences

    def opened(self, client: Client, resources: Sequence[str]) -> tuple[str, ...]:
        """Return what a grant opens: its resources, else every ordinary route, where the client may open those.

        This is what people agree to: who agreed to one resource has not agreed to all routes.
        """
        return tuple(resources) or ((self._issuer,) if opens_routes(client) else ())

    def _known(self, resource: str) -> str | None:
        # The slash at the end of an address is lost and found on many ways.
        for candidate in (resource, resource.removesuffix("/"), f"{resource}/"):
            if len(resource) <= _LONGEST and (candidate in self.resources or candidate == self._issuer):
                return candidate
        return None


def opens_routes(client: Client) -> bool:
    """Tell whether tokens of the client are for ordinary routes, which have no audience of their own."""
    return client.opens_routes or client.first_party
