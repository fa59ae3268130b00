"""What a page's form leads to: said to the person, and named in the form's policy.

A login that an authorization request waits for ends at that request's client, so the client is looked up: browsers
apply a form's policy to every redirect after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from gateway.oauth.authorize import Authorization
from gateway.oauth.problem import OAuthError
from gateway.web.application import destination_of, is_checked, led_to_by
from gateway.web.return_to import Destination, Place


@dataclass(frozen=True, slots=True)
class Continuing:
    """``name`` is the host or the application that a person goes on to, empty for the portal's own pages.

    ``sources`` are what the form's policy names.
    """

    name: str = ""
    sources: tuple[str, ...] = ()


_NOWHERE: Final = Continuing()


class Continuations:
    """Finds out what a destination leads to."""

    def __init__(self, authorization: Authorization, authorize_path: str) -> None:
        self._authorization = authorization
        self._path = authorize_path

    async def of(self, destination: Destination | None) -> Continuing:
        """Return what ``destination`` leads to. Raises StorageError."""
        if destination is None:
            return _NOWHERE
        if destination.place is not Place.PORTAL:
            return Continuing(destination.host, (destination.origin,))
        client = await self._client(destination.path)
        return Continuing(client.name, (destination.origin, *client.sources))

    async def _client(self, path: str) -> Continuing:
        parts = urlsplit(path)
        request_uris = parse_qs(parts.query).get("request_uri", [])
        if parts.path != self._path or len(request_uris) != 1:
            return _NOWHERE
        try:
            _, asked = await self._authorization.waiting_request(request_uris[0])
        except OAuthError:
            return _NOWHERE  # the endpoint will say so
        client = asked.client
        # Anybody may have registered a name: where it leads says more.
        name = client.name if is_checked(client) else f"{client.name} ({destination_of(asked.redirect_uri)})"
        return Continuing(name, led_to_by(client, asked.redirect_uri))
