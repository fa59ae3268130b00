"""An OAuth client as people are shown it: its name and mark, who stands behind it, and where it takes them.

Whatever a client says of itself is text here. Its logo is not loaded: a picture from elsewhere tells its host who is
being asked, and may be anybody's; the first letter of the name stands for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from gateway.oauth.redirect_uri import origin_of
from gateway.oauth.state.client import Client
from gateway.oauth.state.client_uris import is_private
from gateway.translation.words import later, text

_LINKS: Final = (
    ("client_uri", later("Homepage")),
    ("policy_uri", later("Privacy policy")),
    ("tos_uri", later("Terms of use")),
)
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True)
class Link:
    """A page of the application's own. ``host`` is said, so that nobody takes it for one of ours."""

    label: str
    url: str
    host: str


@dataclass(frozen=True, slots=True)
class Application:
    """What a page says of a client. ``unchecked`` says who registered it, when that was not an administrator."""

    client_id: str
    name: str
    unchecked: str
    links: tuple[Link, ...]

    @property
    def mark(self) -> str:
        """One letter that stands for the application."""
        return next((character for character in self.name if character.isalnum()), "?")


def application_of(client: Client, owner: str, brand: str) -> Application:
    """Return how a client is shown. ``owner`` is the username of who registered it, if that was somebody."""
    links = tuple(
        Link(label, str(client.metadata[member]), urlsplit(str(client.metadata[member])).hostname or "")
        for member, label in _LINKS
        if client.metadata.get(member)
    )
    return Application(client.id, client.name, _unchecked(client, owner, brand), links)


def destination_of(redirect_uri: str) -> str:
    """Say where an answer takes the person: a host, or an application of theirs."""
    if is_private(redirect_uri):
        return "an application on this device"
    host = urlsplit(redirect_uri).hostname or ""
    return text("a program on this computer") if host in _LOOPBACK else host


def led_to_by(client: Client, redirect_uri: str) -> tuple[str, ...]:
    """Return the sources that a form's policy has to name for its redirects to reach the client.

    Beside the address of the answer the application's homepage: many send people on to it at once, and Chromium
    follows a form's policy as far as the redirects go.
    """
    homepage = client.metadata.get("client_uri")
    addresses = [redirect_uri, *([str(homepage)] if homepage and not is_private(redirect_uri) else [])]
    return tuple(dict.fromkeys(origin_of(address) for address in addresses))


def _unchecked(client: Client, owner: str, brand: str) -> str:
    if client.is_checked:
        return ""
    if owner:
        return text("Registered by %(owner)s. %(brand)s has not checked it.", owner=owner, brand=brand)
    return text("It registered itself. %(brand)s has not checked it.", brand=brand)
