"""What takes several settings to see: names that must exist, be unique, or agree."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.config.document import KeyPath
from gateway.config.route import Route
from gateway.config.settings import Settings

Finding = tuple[KeyPath, str]


def crosscheck(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong between keys, each with the path of the key to change."""
    yield from _routes(settings)
    yield from _secrets(settings)
    yield from _server(settings)


def _routes(settings: Settings) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, route in enumerate(settings.routes):
        yield from _route(settings, route, ("routes", index))
        if route.name and route.name in first:
            yield ("routes", index, "name"), f"is the name of route {first[route.name] + 1} already"
        first.setdefault(route.name, index)


def _route(settings: Settings, route: Route, path: KeyPath) -> Iterator[Finding]:
    if route.match.path and route.match.path_regex:
        yield (*path, "match", "path_regex"), "path and path_regex exclude each other"
    if route.access == "deny":
        return
    if not route.upstream:
        yield (*path, "upstream"), "is required, unless access is deny"
    elif route.upstream not in settings.upstreams:
        yield from _upstream_reference(settings, route.upstream, (*path, "upstream"))
    if route.require is not None and route.access == "public":
        yield (*path, "require"), "has no effect where access is public: set access to required"


def _upstream_reference(settings: Settings, upstream: str, path: KeyPath) -> Iterator[Finding]:
    parts = urlsplit(upstream)
    if "://" not in upstream:
        known = ", ".join(sorted(settings.upstreams)) or "none"
        yield path, f"no upstream is called {upstream!r} (known: {known}); write its name or a URL"
    elif parts.scheme not in {"http", "https"} or not parts.hostname or parts.username is not None:
        yield path, "must be the name of an upstream or a URL that starts with http:// or https://"
    elif parts.path not in {"", "/"} or parts.query or parts.fragment:
        yield path, "must have no path; use rewrite.add_prefix"


def _secrets(settings: Settings) -> Iterator[Finding]:
    if settings.secret_key is not None and settings.secret_key_file is not None:
        yield ("secret_key_file",), "secret_key and secret_key_file exclude each other"
    if settings.database.url is not None and settings.database.url_file is not None:
        yield ("database", "url_file"), "url and url_file exclude each other"


def _server(settings: Settings) -> Iterator[Finding]:
    if settings.sessions.lifetime < settings.sessions.idle_timeout:
        yield ("sessions", "idle_timeout"), "is longer than sessions.lifetime"
    if settings.database.max_staleness.total_seconds() < 1.5:  # noqa: PLR2004 - one poll a second, and its time
        yield ("database", "max_staleness"), "must be at least 1500ms: the event table is read each second"
