"""What takes several settings to see: names that must exist, be unique, or agree."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from gateway.config.document import Finding, KeyPath
from gateway.config.issuer_check import issuer_findings
from gateway.config.provider_check import provider_findings
from gateway.config.route import Require, Route
from gateway.config.settings import Settings
from gateway.config.values import server_address

# The event table is read each second, which takes its time as well.
_FRESHEST: Final = timedelta(milliseconds=1500)


def crosscheck(settings: Settings) -> Iterator[Finding]:
    """Yield what is wrong between keys, each with the path of the key to change."""
    yield from _server(settings)
    yield from _secrets(settings)
    yield from _lifetimes(settings)
    yield from issuer_findings(settings)
    yield from _upstreams(settings)
    yield from provider_findings(settings)
    yield from _routes(settings)


def _upstreams(settings: Settings) -> Iterator[Finding]:
    for name, upstream in settings.upstreams.items():
        path: KeyPath = ("upstreams", name)
        tls = upstream.tls
        if (tls.cert_file is None) is not (tls.key_file is None):
            yield Finding((*path, "tls"), "cert_file and key_file belong together: give both")
        if tls.model_fields_set and not any(url.startswith("https:") for url in upstream.servers):
            yield Finding((*path, "tls"), "has no effect: none of the servers has an https URL")
        if len(set(upstream.servers)) < len(upstream.servers):
            yield Finding((*path, "servers"), "names a server twice")


def _server(settings: Settings) -> Iterator[Finding]:
    server = settings.server
    listen: KeyPath = ("server", "listen")
    if len(set(server.listen)) < len(server.listen):
        yield Finding(listen, "names an address twice")
    if server.proxy_protocol and not server.trusted_proxies:
        reads = (("server", "trusted_proxies"),)
        yield Finding(("server", "proxy_protocol"), "takes server.trusted_proxies: nobody could connect", reads)
    if server.tls is not None and not server.secure:
        yield Finding(
            ("server", "public_url"), "must begin with https:// where server.tls is given", (("server", "tls"),)
        )
    if server.internal_listen in server.listen and not str(server.internal_listen).endswith(":0"):
        yield Finding(("server", "internal_listen"), "is an address of server.listen, too", (listen,))


def _secrets(settings: Settings) -> Iterator[Finding]:
    if settings.secret_key is not None and settings.secret_key_file is not None:
        yield Finding(("secret_key_file",), "secret_key and secret_key_file exclude each other: give one")
    if settings.database.url is not None and settings.database.url_file is not None:
        yield Finding(("database", "url_file"), "url and url_file exclude each other: give one")
    mail = settings.mail
    if mail.url is not None and mail.url_file is not None:
        yield Finding(("mail", "url_file"), "url and url_file exclude each other: give one")
    if (mail.url is not None or mail.url_file is not None) and mail.sender is None:
        yield Finding(("mail",), "takes from: whom do letters come from?")
    if settings.authz.key is not None and settings.authz.key_file is not None:
        yield Finding(("authz", "key_file"), "key and key_file exclude each other: give one")


def _lifetimes(settings: Settings) -> Iterator[Finding]:
    sessions, tokens = settings.sessions, settings.tokens
    if sessions.lifetime < sessions.idle_timeout:
        yield Finding(("sessions", "idle_timeout"), "is longer than sessions.lifetime", (("sessions", "lifetime"),))
    if tokens.refresh_lifetime < tokens.access_lifetime:
        reads = (("tokens", "refresh_lifetime"),)
        yield Finding(("tokens", "access_lifetime"), "is longer than tokens.refresh_lifetime", reads)
    if tokens.key_rotation < tokens.access_lifetime:
        reads = (("tokens", "access_lifetime"),)
        yield Finding(("tokens", "key_rotation"), "is shorter than tokens.access_lifetime", reads)
    if settings.database.max_staleness < _FRESHEST:
        yield Finding(("database", "max_staleness"), "must be at least 1500ms: the event table is read each second")


def _routes(settings: Settings) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for index, route in enumerate(settings.routes):
        path: KeyPath = ("routes", index)
        yield from _route(settings, route, path)
        name = route.name or f"route-{index + 1}"
        if name in first:
            where = (*path, "name") if route.name else path
            yield Finding(where, f"{name!r} is the name of routes[{first[name]}] already")
        first.setdefault(name, index)


def _route(settings: Settings, route: Route, path: KeyPath) -> Iterator[Finding]:
    if route.match.path and route.match.path_regex is not None:
        yield Finding((*path, "match", "path_regex"), "path and path_regex exclude each other: give one")
    if "require" in route.model_fields_set and route.require in (None, Require()):
        # Whoever wrote it meant to keep somebody out.
        yield Finding((*path, "require"), "is empty: say what is required, or take it out")
    elif route.require is not None and route.access == "public":
        reads = ((*path, "access"),)
        yield Finding((*path, "require"), "has no effect where access is public: set access to required", reads)
    if route.resource and route.audience is not None:
        yield Finding((*path, "audience"), "a resource is its own audience: give resource or audience")
    tls = settings.server.tls
    if "client_certificate" in route.credentials and (tls is None or tls.client_ca_file is None):
        reads = (("server", "tls"),)
        yield Finding((*path, "credentials"), "client_certificate takes server.tls.client_ca_file", reads)
    given = [key for key in ("upstream", "redirect", "respond") if getattr(route, key)]
    if len(given) > 1:
        yield Finding((*path, given[1]), f"{given[0]} and {given[1]} exclude each other: give one")
    elif route.access != "deny" and given in ([], ["upstream"]):
        yield from _upstream(settings, route.upstream, (*path, "upstream"), (*path, "access"))


def _upstream(settings: Settings, upstream: str, path: KeyPath, access: KeyPath) -> Iterator[Finding]:
    if not upstream:
        yield Finding(path, "is required, unless access is deny, or redirect or respond is given", (access,))
    elif upstream in settings.upstreams:
        return
    elif "://" in upstream or upstream.startswith("unix:"):
        try:
            server_address(upstream)
        except ValueError as error:
            yield Finding(path, _advice(str(error)))
    else:
        message = f"no upstream is called {upstream!r}{_hint(upstream, settings)}; write its name or a URL"
        yield Finding(path, message, (("upstreams", upstream),))


def _hint(upstream: str, settings: Settings) -> str:
    close = difflib.get_close_matches(upstream, settings.upstreams, n=1)
    if close:
        return f", did you mean {close[0]!r}"
    return f" (there are: {', '.join(sorted(settings.upstreams)[:10])})" if settings.upstreams else ""


def _advice(message: str) -> str:
    return f"{message}; a path is added with rewrite.add_prefix" if "path" in message else message
