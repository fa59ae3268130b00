"""What a page's form leads to: said to the person, and named in the form's policy.

A login that an authorization request waits for ends at that request's client, so the client is looked up: browsers
apply a form's policy to every redirect after it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, urlsplit

from aiohttp import web

from gateway.oauth.authorize import Authorization
from gateway.oauth.problem import OAuthError
from gateway.oauth.state.client import Client
from gateway.oauth.state.client_uris import is_private
from gateway.web.application import destination_of, led_to_by
from gateway.web.pages import Pages, redirect
from gateway.web.return_to import Destination, Place


@dataclass(frozen=True, slots=True)
class Continuing:
    """``name`` is the host or the application that a person goes on to, empty for the portal's own pages.

    ``sources`` are what the form's policy names. ``further``: who knows where it leads from there.
    """

    name: str = ""
    sources: tuple[str, ...] = ()
    further: bool = False


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
        return Continuing(client.name, (destination.origin, *client.sources), client.further)

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
        name = client.name if client.is_checked else f"{client.name} ({destination_of(asked.redirect_uri)})"
        return to_application(name, client, asked.redirect_uri)


def to_application(name: str, client: Client, redirect_uri: str) -> Continuing:
    """Return what a form leads to that an application's request waits for."""
    # A call of an application on the device needs the click, which an own page in between would lose.
    return Continuing(name, led_to_by(client, redirect_uri), further=not is_private(redirect_uri))


def go_on(pages: Pages, request: web.BaseRequest, url: str, continuing: Continuing) -> web.Response:
    """Answer a form by sending the browser on.

    Applications often redirect once more, to origins that only they know. Browsers that would stop there, as if the
    form itself had gone there, get a page that ends the form's navigation and goes on by itself; they all say what
    a request is for.
    """
    if continuing.further and request.headers.get("Sec-Fetch-Dest") == "document":
        return pages.render("going_on", url=url, going_to=continuing.name)
    return redirect(url)
