"""What is allowed and yet seldom meant: said by ``gateway config check``, never an error."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final

from gateway.config.authz import Authz
from gateway.config.document import Finding, KeyPath
from gateway.config.route import Match
from gateway.config.settings import Settings
from gateway.config.treatment import FileValue
from gateway.policy.client import UNIX_PEERS

_CHEAP_BCRYPT: Final = 10
_EVERY_PATH: Final = frozenset({"/**"})


def advise(settings: Settings) -> Iterator[Finding]:
    """Yield a finding for each key that may not do what its author wants."""
    yield from _exposure(settings)
    yield from _unused(settings)
    yield from _unverified(settings)
    yield from _readable_secrets(settings)
    yield from _issuers(settings)


def _issuers(settings: Settings) -> Iterator[Finding]:
    for index, issuer in enumerate(settings.trusted_issuers):
        for key in ("jwks_file", "ca_file", "token_file"):
            path: Path | None = getattr(issuer, key)
            if path is not None and not os.access(path, os.R_OK):
                # It may come later, as in a pod.
                yield Finding(
                    ("trusted_issuers", index, key), f"{path} cannot be read: until it can, no token is taken"
                )


def _exposure(settings: Settings) -> Iterator[Finding]:
    if not settings.server.secure and not _is_local(settings.server.public_host):
        yield Finding(("server", "public_url"), "is plain http: passwords and cookies can be read on their way")
    networks = [ip_network(each) for each in settings.server.trusted_proxies if each != UNIX_PEERS]
    if any(network.prefixlen == 0 for network in networks):
        message = "trusts everybody: any client can forge its address and the host it asks for"
        yield Finding(("server", "trusted_proxies"), message)
    if settings.server.trusted_proxies and settings.authz == Authz():
        for key, _ in _secret_headers(settings):
            message = "can be read by clients if a trusted proxy passes them on to /.gateway/authz/: set authz.key_file"
            yield Finding(key, message)
    if settings.passwords.bcrypt_cost < _CHEAP_BCRYPT:
        yield Finding(("passwords", "bcrypt_cost"), "makes stolen hashes cheap to guess: 12 is a good value")


def _unverified(settings: Settings) -> Iterator[Finding]:
    for name, upstream in settings.upstreams.items():
        if upstream.tls.insecure_skip_verify:
            message = "is set: whoever can intercept connections to the servers reads and answers every request"
            yield Finding(("upstreams", name, "tls", "insecure_skip_verify"), message)


def _unused(settings: Settings) -> Iterator[Finding]:
    used = {route.upstream for route in settings.routes}
    for name in settings.upstreams:
        if name not in used:
            yield Finding(("upstreams", name), "is used by no route")
    everything = None
    for index, route in enumerate(settings.routes):
        if everything is not None:
            yield Finding(("routes", index), f"is never reached: routes[{everything}] matches every request")
        elif _matches_everything(route.match):
            everything = index


def _matches_everything(match: Match) -> bool:
    narrow = match.host or match.path_regex or match.methods or match.headers
    return not narrow and (not match.path or bool(_EVERY_PATH & set(match.path)))


def _readable_secrets(settings: Settings) -> Iterator[Finding]:
    for key, path in _secret_files(settings):
        try:
            mode = path.stat().st_mode
        except OSError:
            continue  # reading it is what reports that
        if mode & stat.S_IROTH:
            yield Finding(key, f"{path} can be read by every user of this machine: chmod o-r {path}")


def _secret_files(settings: Settings) -> Iterator[tuple[KeyPath, Path]]:
    if settings.secret_key_file is not None:
        yield ("secret_key_file",), settings.secret_key_file
    if settings.database.url_file is not None:
        yield ("database", "url_file"), settings.database.url_file
    if settings.mail.url_file is not None:
        yield ("mail", "url_file"), settings.mail.url_file
    if settings.server.tls is not None:
        yield ("server", "tls", "key_file"), settings.server.tls.key_file
        for index, pair in enumerate(settings.server.tls.sni):
            yield ("server", "tls", "sni", index, "key_file"), pair.key_file
    if settings.authz.key_file is not None:
        yield ("authz", "key_file"), settings.authz.key_file
    for index, issuer in enumerate(settings.trusted_issuers):
        if issuer.token_file is not None:
            yield ("trusted_issuers", index, "token_file"), issuer.token_file
        if issuer.introspection is not None and issuer.introspection.client_secret_file is not None:
            path = ("trusted_issuers", index, "introspection", "client_secret_file")
            yield path, issuer.introspection.client_secret_file
    yield from _secret_headers(settings)


def _secret_headers(settings: Settings) -> Iterator[tuple[KeyPath, Path]]:
    for index, route in enumerate(settings.routes):
        for name, value in route.identity.headers.items():
            if isinstance(value, FileValue):
                yield ("routes", index, "identity", "headers", name), value.file


def _is_local(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
