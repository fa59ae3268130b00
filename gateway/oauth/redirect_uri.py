"""Where answers may be sent: exactly what was registered (RFC 9700 section 4.1.3), and how it is written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlencode, urlsplit

from gateway.oauth.state.client import Client

# RFC 8252 section 7.3: a native application cannot know beforehand which port it will be given. Only numbers: a name
# could be made to lead elsewhere, and only in the one spelling that was registered.
_LOOPBACK: Final = re.compile(r"(http://(?:127\.0\.0\.1|\[::1\]))(?::(\d{1,5}))?(/[^\s]*)?", re.ASCII)
_LAST_PORT: Final = 65535


def is_redirect_uri(client: Client, unverified: str) -> bool:
    """Tell whether an address is one that the client registered: byte for byte, but for the port of a loopback."""
    if unverified in client.redirect_uris:
        return True
    asked = _without_port(unverified)
    return asked is not None and any(asked == _without_port(each) for each in client.redirect_uris)


def with_parameters(uri: str, parameters: Iterable[tuple[str, str]], *, fragment: bool = False) -> str:
    """Return a registered address with an answer's parameters in its query, or in its fragment."""
    encoded = urlencode(list(parameters))
    if fragment:
        return f"{uri}#{encoded}"
    return f"{uri}{'&' if urlsplit(uri).query else '?'}{encoded}" if not uri.endswith("?") else f"{uri}{encoded}"


def origin_of(uri: str) -> str:
    """Return what a policy has to name for a browser to go there: an origin, or the scheme of an application."""
    parts = urlsplit(uri)
    # A policy cannot name an address of IPv6 (CSP 3 section 2.3.1): the scheme stands for it.
    if parts.scheme in {"http", "https"} and not parts.netloc.startswith("["):
        return f"{parts.scheme}://{parts.netloc}"
    return f"{parts.scheme}:"


def _without_port(uri: str) -> tuple[str, str] | None:
    match = _LOOPBACK.fullmatch(uri)
    if match is None or (match[2] is not None and not 0 < int(match[2]) <= _LAST_PORT):
        return None
    return match[1], match[3] or ""
