"""Answers of applications that think they live elsewhere: made to fit where clients reach them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import urlsplit

from gateway.policy.rewrite import client_path
from gateway.policy.rules import Rule
from gateway.policy.target import DEFAULT_PORTS, Target

_REFRESH: Final = re.compile(r"(?i)(\s*[0-9.]+\s*[;,]\s*(?:url\s*=\s*)?)(.*)")
_ENDS: Final = ("", "/", "?", "#")
# Browsers take a backslash for a slash, and no notice of tabs (URL standard, section 4.4).
_NAMES_HOST: Final = re.compile(r"/\t*[/\\]")


class Fitting:
    """For one route as one target reaches it. ``servers`` are the upstream's URLs."""

    __slots__ = ("_cookies", "_host", "_location", "_origins", "_rewrite", "_same")

    def __init__(self, rule: Rule, target: Target, servers: Iterable[str]) -> None:
        self._rewrite = rule.rewrite
        self._location = rule.fit_location
        self._cookies = rule.fit_cookies
        self._host = target.host
        self._origins = tuple(origin for server in servers for origin in _origins(server))
        # An application behind TLS that does not know it says http; one that leads http to https means it.
        self._same = f"http://{target.authority}" if target.scheme == "https" else None

    def location(self, value: bytes) -> bytes:
        """Return a Location or Content-Location."""
        if not self._location:
            return value
        return self._fitted(value.decode("latin-1")).encode("latin-1")

    def refresh(self, value: bytes) -> bytes:
        """Return a Refresh."""
        match = _REFRESH.fullmatch(value.decode("latin-1"))
        if match is None or not self._location:
            return value
        return (match[1] + self._fitted(match[2])).encode("latin-1")

    def cookie(self, value: bytes) -> bytes:
        """Return a Set-Cookie: without a domain that is not the client's, and with the path that clients use."""
        if not self._cookies or b";" not in value:
            return value
        first, *attributes = value.decode("latin-1").split(";")
        kept = [each for each in map(self._attribute, attributes) if each is not None]
        return ";".join([first, *kept]).encode("latin-1")

    def _attribute(self, attribute: str) -> str | None:
        name, mark, value = attribute.partition("=")
        word = name.strip().lower()
        if word == "domain":
            domain = value.strip().lower().lstrip(".")
            return attribute if domain and (self._host == domain or self._host.endswith(f".{domain}")) else None
        if word == "path" and value.strip().startswith("/"):
            path = client_path(value.strip(), self._rewrite)
            return f"{name}{mark}{path if path == value.strip() else path.rstrip('/') or '/'}"
        return attribute

    def _fitted(self, location: str) -> str:
        path = self._path(location)
        if path is None:
            return location
        fitted = client_path(path, self._rewrite)
        # RFC 3986 section 4.2: two slashes begin another host's name; with a dot between, the path stays what it was.
        return f"/.{fitted}" if _NAMES_HOST.match(fitted) else fitted

    def _path(self, location: str) -> str | None:
        """Return the application's path that a location names, None when it leads elsewhere."""
        for origin in self._origins if self._same is None else (*self._origins, self._same):
            rest = location[len(origin) :]
            if location[: len(origin)].lower() == origin and rest[:1] in _ENDS:
                return rest if rest.startswith("/") else f"/{rest}"
        return location if location.startswith("/") and not _NAMES_HOST.match(location) else None


def _origins(server: str) -> list[str]:
    """Return how a server's own origin may be written, with and without the port that goes without saying."""
    parts = urlsplit(server)
    if parts.hostname is None:
        return []
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    default = DEFAULT_PORTS[parts.scheme]
    port = parts.port or default
    written = [f"{parts.scheme}://{host}:{port}"]
    return [*written, f"{parts.scheme}://{host}"] if port == default else written
